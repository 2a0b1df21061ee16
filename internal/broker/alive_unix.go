//go:build unix

package broker

import (
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// glance looks whether there is something to read on a connection, without reading it.
type glance struct {
	raw   syscall.RawConn
	look  func(fd uintptr) bool // made once: it is done over and over
	fds   [1]unix.PollFd
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
		g.fds[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
		n, err := unix.Poll(g.fds[:], 0)
		g.empty = n == 0 || errors.Is(err, unix.EINTR)
		return true
	}
	return g
}

// readable tells whether a read would not wait: for what the server has said, for its having closed, or for an error.
func (g *glance) readable() bool {
	g.empty = false
	return g.raw.Read(g.look) != nil || !g.empty
}
