package conn

import (
	"crypto/tls"
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
	return (&tls.Dialer{NetDialer: dialer, Config: opt.TLSConfig}).DialContext
}
