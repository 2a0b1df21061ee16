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

// freePort returns a port that nothing listened on a moment ago, together with
// a free cluster bus port when the server will need one.
func freePort(cluster bool) (int, error) {
	for range portTry {
		port := lowPort + rand.IntN(highPort-lowPort)
		if free(port) && (!cluster || free(port+busShift)) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("%w: %d tries between %d and %d", errNoPort, portTry, lowPort, highPort)
}

// FreePort returns a port of 127.0.0.1 that nothing listened on a moment ago,
// for what a server serves beside its first one; a cluster bus would be free
// too. Another process may be quicker to take it.
func FreePort() (int, error) { return freePort(true) }

func free(port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return l.Close() == nil
}
