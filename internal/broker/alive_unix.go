//go:build unix

package broker

import (
	"net"
	"syscall"
)

// canEnd tells whether ended can tell.
func canEnd(c net.Conn) bool {
	_, ok := c.(syscall.Conn)
	return ok
}

// ended tells whether the server has closed a connection on which nothing is under way, or said something unasked.
func ended(c net.Conn) bool {
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return true
	}
	alive := false
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK)
		alive = err == syscall.EAGAIN || err == syscall.EWOULDBLOCK
		return true
	})
	return err != nil || !alive
}
