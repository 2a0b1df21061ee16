package conn

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	dialTimeout = 2 * time.Second
	ioTimeout   = 5 * time.Second
	// userTimeout is how long sent data, or a keepalive probe, may stay without
	// an answer before the kernel gives the connection up (Linux only).
	userTimeout = 5 * time.Second
)

// keepAlive makes a peer that vanished while we wait for it (a blocking call, a
// subscription) known after about 7 s on Linux, 11 s elsewhere.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3}

// newDialer returns the dialer of clients opened by URL. Unlike go-redis's own it
// ends with its context during the TLS handshake too.
func newDialer(opt *redis.Options) dialFunc {
	dialer := &net.Dialer{Timeout: opt.DialTimeout, KeepAliveConfig: keepAlive, Control: setUserTimeout}
	if opt.TLSConfig == nil {
		return dialer.DialContext
	}
	secure := &tls.Dialer{NetDialer: dialer, Config: opt.TLSConfig}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := secure.DialContext(ctx, network, addr)
		if err != nil {
			return nil, handshakeFault(network, addr, err)
		}
		return c, nil
	}
}

// handshakeFault makes a TLS handshake that broke off or was never answered the failed dial that it is: a plain server
// waits in silence for what it takes to be a long command. Refused certificates and the caller's own end stay as they are.
func handshakeFault(network, addr string, err error) error {
	var op *net.OpError
	broken := errors.As(err, &op) && op.Op != "dial" && op.Op != "remote error"
	if !broken && (op != nil || !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, io.EOF)) {
		return err
	}
	return &net.OpError{Op: "dial", Net: network, Err: fmt.Errorf("%w with %s (if it does not speak TLS, use redis://): %w", ErrNoTLS, addr, err)}
}
