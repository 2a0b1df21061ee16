package redistest

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redisserver"
)

// Topology is one way in which Redis is run, ready for use.
type Topology struct {
	Name    string // standalone, tls, unix, sentinel or cluster
	URL     string // what a program is given
	Cluster bool
	servers []*redisserver.Server // those that take writes
	cluster *Cluster
}

// topologies start each kind.
var topologies = []struct {
	name  string
	start func(t testing.TB, opts []Option) *Topology
}{
	{"standalone", func(t testing.TB, opts []Option) *Topology {
		srv := Server(t, opts...)
		return &Topology{URL: srv.URL(), servers: []*redisserver.Server{srv}}
	}},
	{"tls", func(t testing.TB, opts []Option) *Topology {
		srv := NewSecure(t, opts...)
		return &Topology{URL: srv.URL(t), servers: []*redisserver.Server{srv.Server}}
	}},
	{"unix", func(t testing.TB, opts []Option) *Topology {
		dir, err := os.MkdirTemp("", "tm") // a socket's path must be short
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		socket := filepath.Join(dir, "redis.sock")
		srv := Server(t, append(slices.Clone(opts), func(o *redisserver.Options) { o.UnixSocket = socket })...)
		return &Topology{URL: "unix://" + socket, servers: []*redisserver.Server{srv}}
	}},
	{"sentinel", func(t testing.TB, opts []Option) *Topology {
		s := NewSentinel(t, 1, 1, opts...)
		return &Topology{URL: s.URL(), servers: s.Data[:1]}
	}},
	{"cluster", func(t testing.TB, opts []Option) *Topology {
		c := NewCluster(t, 3, false, opts...)
		return &Topology{URL: c.URL(t), Cluster: true, servers: c.Primaries, cluster: c}
	}},
}

// EachTopology runs a subtest for each topology: one server, one that wants TLS,
// a client certificate and a user with Permissions alone, a Unix socket, a
// primary with a replica under Sentinel, and a Cluster of three; with the server
// on PATH and with each that TIDEMILL_TEST_SERVERS names.
func EachTopology(t *testing.T, run func(t *testing.T, topo *Topology), opts ...Option) {
	t.Helper()
	paths := append([]string{onPath(t)}, filepath.SplitList(os.Getenv(serversEnv))...)
	for i, path := range paths {
		if path == "" {
			continue
		}
		prefix := ""
		if i > 0 {
			prefix = version(t, path) + "/"
		}
		for _, one := range topologies {
			t.Run(prefix+one.name, func(t *testing.T) {
				topo := one.start(t, append(slices.Clone(opts), WithBinary(path)))
				topo.Name = one.name
				run(t, topo)
			})
		}
	}
}

// Client returns a new client with all rights, closed with the test.
func (o *Topology) Client(t testing.TB) redis.UniversalClient {
	t.Helper()
	if o.cluster != nil {
		return o.cluster.Client(t)
	}
	return Client(t, o.servers[0])
}

// Flush deletes everything.
func (o *Topology) Flush(t testing.TB) {
	t.Helper()
	o.each(t, func(rdb *redis.Client) error { return rdb.FlushAll(context.Background()).Err() })
}

// Disconnect has the servers close every connection but the test's own, those
// that block and subscribe included.
func (o *Topology) Disconnect(t testing.TB) {
	t.Helper()
	o.each(t, func(rdb *redis.Client) error {
		for _, kind := range []string{"normal", "pubsub"} {
			if err := rdb.Do(context.Background(), "CLIENT", "KILL", "TYPE", kind).Err(); err != nil {
				return err
			}
		}
		return nil
	})
}

// Forget has the servers forget every script.
func (o *Topology) Forget(t testing.TB) {
	t.Helper()
	o.each(t, func(rdb *redis.Client) error { return rdb.ScriptFlush(context.Background()).Err() })
}

// each calls fn for every server that takes writes.
func (o *Topology) each(t testing.TB, fn func(rdb *redis.Client) error) {
	t.Helper()
	for _, srv := range o.servers {
		if err := fn(Client(t, srv)); err != nil {
			t.Fatalf("redistest: %s: %v", srv.Addr(), err)
		}
	}
}
