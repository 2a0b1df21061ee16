package monitor

import (
	"net"
	"net/netip"
)

// DefaultAddress is where a worker is asked that was not told otherwise.
const DefaultAddress = "127.0.0.1:9090"

// Reachable is where a program on the same machine finds who listens on an address: one that listens on all of them is on
// the loopback too.
func Reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	switch ip, err := netip.ParseAddr(host); {
	case host == "", err == nil && ip.IsUnspecified() && ip.Is4():
		host = "127.0.0.1"
	case err == nil && ip.IsUnspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}
