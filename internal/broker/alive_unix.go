//go:build unix

package broker

import (
	"net"
	"syscall"
)

// glance looks whether there is something to read on a connection, without reading it.
type glance struct {
	raw   syscall.RawConn
	look  func(fd uintptr) bool // made once: it is done over and over
	empty bool
}

// newGlance answers nil where a connection cannot be looked at.
func newGlance(c net.Conn) *glance {
	s, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return nil
	}
	g := &glance{raw: raw}
	g.look = func(fd uintptr) bool {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK)
		g.empty = err == syscall.EAGAIN || err == syscall.EWOULDBLOCK
		return true
	}
	return g
}

// readable tells whether a read would not wait: for what the server has said, for its having closed, or for an error.
func (g *glance) readable() bool {
	g.empty = false
	return g.raw.Read(g.look) != nil || !g.empty
}
