//go:build !unix

package broker

import "net"

// canEnd tells that ended cannot tell here.
func canEnd(net.Conn) bool { return false }

func ended(net.Conn) bool { return false }
