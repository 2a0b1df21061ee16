package conn

import (
	"context"
	"net"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// ours sets what every client of our own has in common, and gives it n
// connections. Credentials, database, TLS, dialer and timeouts stay as they are.
func ours(opt *redis.Options, n int) {
	opt.MaxRetries = -1
	opt.Protocol = 2
	opt.DisableIdentity = true
	opt.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	opt.PushNotificationProcessor = nil // a RESP3 client leaves its own here
	opt.ClientSideCache, opt.ClientSideCacheConfig = nil, nil
	opt.ContextTimeoutEnabled = true // a caller's deadline bounds the read
	opt.DialerRetries = 1            // who calls retries, with backoff
	opt.DialTimeout = orDefault(opt.DialTimeout, dialTimeout)
	opt.ReadTimeout = orDefault(opt.ReadTimeout, ioTimeout)
	opt.WriteTimeout = orDefault(opt.WriteTimeout, ioTimeout)
	opt.PoolSize = n
}

// small turns a copy of a client's options into those of a small client. The
// pipeline pool is off, so n bounds all of its connections.
func small(opt *redis.Options, n int, name string) *redis.Options {
	o := *opt
	ours(&o, n)
	o.ClientName = name
	o.PipelinePoolSize = -1
	o.MinIdleConns, o.MaxIdleConns, o.MaxActiveConns, o.MaxConcurrentDials = 0, 0, 0, 0
	return &o
}

// smallCluster is small for a Cluster; n is the number for each node. It talks
// to primaries only, whatever the client it comes from prefers for reads.
func smallCluster(opt *redis.ClusterOptions, n int, name string) *redis.ClusterOptions {
	o := *opt
	o.Addrs = slices.Clone(o.Addrs) // go-redis appends the nodes that it finds to it
	o.MaxRetries = -1
	o.Protocol = 2
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	o.PushNotificationProcessor = nil
	o.ContextTimeoutEnabled = true
	o.DialerRetries = 1
	o.DialTimeout = orDefault(o.DialTimeout, dialTimeout)
	o.ReadTimeout = orDefault(o.ReadTimeout, ioTimeout)
	o.WriteTimeout = orDefault(o.WriteTimeout, ioTimeout)
	o.DisableRoutingPolicies = true // what is sent has keys; the policies cost a COMMAND for each client
	o.ReadOnly, o.RouteByLatency, o.RouteRandomly = false, false, false
	if o.MaxRedirects == 0 { // go-redis keeps "off" (-1) as 0 after its set-up, and would read 0 as 3
		o.MaxRedirects = -1
	}
	o.ClientName = name
	o.PoolSize = n
	o.PipelinePoolSize = -1
	o.MinIdleConns, o.MaxIdleConns, o.MaxActiveConns, o.MaxConcurrentDials = 0, 0, 0, 0
	return &o
}

// orDefault replaces a timeout that is unset or switched off (go-redis keeps
// "off" as 0 or below after its set-up).
func orDefault(d, otherwise time.Duration) time.Duration {
	if d <= 0 {
		return otherwise
	}
	return d
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)
