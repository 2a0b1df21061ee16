package redisserver

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports are drawn from below the range that kernels hand to outgoing
// connections (32768 up on Linux, 49152 up elsewhere): while a server is down
// for a Restart, no client can be given its port as a source port, and a client
// that dials the dead port cannot end up connected to itself. The cluster bus,
// 10000 higher, stays below that range too.
const (
	lowPort  = 11000
	highPort = 22000
	busShift = 10000
	portTry  = 100
)

var errNoPort = errors.New("no free port found on 127.0.0.1")

// claim keeps others that ask here from a port: the UDP port of the same number
// is taken, which no server uses. A server that is down until its Restart holds
// nothing else, and a test suite starts hundreds meanwhile. It ends when it is
// closed or forgotten, and with the process.
type claim []net.PacketConn

func (c claim) release() {
	for _, held := range c {
		_ = held.Close()
	}
}

// freePort claims a port that nothing listened on a moment ago, together with
// a free cluster bus port when the server will need one.
func freePort(cluster bool) (int, claim, error) {
	for range portTry {
		port := lowPort + rand.IntN(highPort-lowPort)
		ports := []int{port}
		if cluster {
			ports = append(ports, port+busShift)
		}
		if c := claimAll(ports); c != nil {
			return port, c, nil
		}
	}
	return 0, nil, fmt.Errorf("%w: %d tries between %d and %d", errNoPort, portTry, lowPort, highPort)
}

// claimAll answers nil where one of them is not free.
func claimAll(ports []int) (c claim) {
	for _, port := range ports {
		held, err := net.ListenPacket("udp", at(port))
		if err == nil {
			c = append(c, held)
		}
		if err != nil || !free(port) {
			c.release()
			return nil
		}
	}
	return c
}

func at(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// FreePort returns a port of 127.0.0.1 that nothing listened on a moment ago,
// for what a server serves beside its first one; a cluster bus would be free
// too. Another process may be quicker to take it.
func FreePort() (int, error) {
	port, c, err := freePort(true)
	c.release()
	return port, err
}

func free(port int) bool {
	l, err := net.Listen("tcp", at(port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}
