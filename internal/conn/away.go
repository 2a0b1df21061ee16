package conn

import (
	"context"
	"net"
	"time"
)

// unbroken keeps a client of go-redis dialing however often that failed. A pool that counted as many failed dials as it has
// connections refuses every call until a probe, made once a second, gets through: a Redis that comes and goes could be missed again
// and again, though who calls here has a backoff of its own. So a dial that failed answers a connection that fails so. Not where
// go-redis dials ahead, for idle connections: it would keep those.
func unbroken(dial dialFunc, ahead int) dialFunc {
	if ahead > 0 {
		return dial
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil {
			return unreached{failedDial{err}}, nil
		}
		return c, nil
	}
}

// failedDial is one more layer around an error, as go-redis takes one off that it finds in a handshake.
type failedDial struct{ error }

func (e failedDial) Unwrap() error { return e.error }

// unreached is a connection that was never made, for the reason that its calls answer.
type unreached struct{ err error }

func (c unreached) Read([]byte) (int, error)         { return 0, c.err }
func (c unreached) Write([]byte) (int, error)        { return 0, c.err }
func (c unreached) Close() error                     { return nil }
func (c unreached) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c unreached) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c unreached) SetDeadline(time.Time) error      { return nil }
func (c unreached) SetReadDeadline(time.Time) error  { return nil }
func (c unreached) SetWriteDeadline(time.Time) error { return nil }
