package redistest

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// memWire is one end of a connection in memory. It differs from net.Pipe in that
// it buffers, without a limit: a pipe hands bytes over only when both sides meet,
// so a client that writes a long pipeline before it reads a reply and a server
// that writes replies as it reads would wait for each other for ever. All its
// waiting is durably blocking, as testing/synctest wants it.
type memWire struct {
	in, out *memStream

	mu            sync.Mutex
	writeDeadline time.Time
}

// memStream is one direction.
type memStream struct {
	mu           sync.Mutex
	wake         *sync.Cond
	buf          []byte
	finished     bool // the writer will send no more
	closed       bool // the reader has gone
	readDeadline time.Time
}

func newMemStream() *memStream {
	s := &memStream{}
	s.wake = sync.NewCond(&s.mu)
	return s
}

// newMemPair returns the two ends of a connection.
func newMemPair() (*memWire, *memWire) {
	a, b := newMemStream(), newMemStream()
	return &memWire{in: a, out: b}, &memWire{in: b, out: a}
}

// Read implements net.Conn. What was written before the peer closed is read
// before the end is.
func (c *memWire) Read(p []byte) (int, error) {
	s := c.in
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		var left time.Duration
		if !s.readDeadline.IsZero() {
			left = time.Until(s.readDeadline)
		}
		switch {
		case s.closed:
			return 0, net.ErrClosed
		case !s.readDeadline.IsZero() && left <= 0:
			return 0, os.ErrDeadlineExceeded
		case len(s.buf) > 0 || len(p) == 0:
			n := copy(p, s.buf)
			if s.buf = s.buf[n:]; len(s.buf) == 0 {
				s.buf = nil // or the array would only ever grow
			}
			return n, nil
		case s.finished:
			return 0, io.EOF
		}
		s.await(left)
	}
}

// await waits for a change, no longer than d unless d is zero.
func (s *memStream) await(d time.Duration) {
	if d > 0 {
		timer := time.AfterFunc(d, func() {
			s.mu.Lock() // or the wake-up could fall between the check and the wait
			defer s.mu.Unlock()
			s.wake.Broadcast()
		})
		defer timer.Stop()
	}
	s.wake.Wait()
}

// Write implements net.Conn. It never blocks.
func (c *memWire) Write(p []byte) (int, error) {
	c.mu.Lock()
	deadline := c.writeDeadline
	c.mu.Unlock()
	if !deadline.IsZero() && time.Until(deadline) <= 0 {
		return 0, os.ErrDeadlineExceeded
	}
	s := c.out
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.finished:
		return 0, net.ErrClosed
	case s.closed:
		return 0, io.ErrClosedPipe
	}
	s.buf = append(s.buf, p...)
	s.wake.Broadcast()
	return len(p), nil
}

// CloseWrite ends this end's sending; the peer reads what is left, then EOF.
func (c *memWire) CloseWrite() error {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	c.out.finished = true
	c.out.wake.Broadcast()
	return nil
}

// Close implements net.Conn.
func (c *memWire) Close() error {
	_ = c.CloseWrite()
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	c.in.closed = true
	c.in.buf = nil
	c.in.wake.Broadcast()
	return nil
}

// SetDeadline implements net.Conn.
func (c *memWire) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (c *memWire) SetReadDeadline(t time.Time) error {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	c.in.readDeadline = t
	c.in.wake.Broadcast()
	return nil
}

// SetWriteDeadline implements net.Conn.
func (c *memWire) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writeDeadline = t
	return nil
}

// LocalAddr implements net.Conn.
func (c *memWire) LocalAddr() net.Addr { return memAddr{} }

// RemoteAddr implements net.Conn.
func (c *memWire) RemoteAddr() net.Addr { return memAddr{} }

type memAddr struct{}

func (memAddr) Network() string { return "memory" }
func (memAddr) String() string  { return bubbleAddr }
