package redistest

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/tidemill/tidemill/internal/redisserver"
)

const slots = 16384

// Cluster is a Redis Cluster of the test's own.
type Cluster struct {
	Primaries []*redisserver.Server
	Replicas  []*redisserver.Server // of the primary of the same place; none where they were not asked for
	certs     *Certs                // nil: it speaks no TLS
}

// NewSecureCluster starts primaries that speak TLS to clients, which need a
// certificate, and to each other.
func NewSecureCluster(t testing.TB, primaries int) *Cluster {
	t.Helper()
	certs := NewCerts(t)
	c := start(t, primaries, false, WithTLS(certs), WithConfig("tls-cluster yes"))
	c.certs = certs
	c.join(t)
	return c
}

// NewCluster starts so many primaries, each with a replica if asked for, and
// answers when every node says that the Cluster is up. Redis takes 2 s for that.
func NewCluster(t testing.TB, primaries int, replicas bool, opts ...Option) *Cluster {
	t.Helper()
	c := start(t, primaries, replicas, opts...)
	c.join(t)
	return c
}

func start(t testing.TB, primaries int, replicas bool, opts ...Option) *Cluster {
	t.Helper()
	c := &Cluster{}
	n := primaries
	if replicas {
		n *= 2
	}
	config := WithConfig("cluster-enabled yes", "cluster-node-timeout 1500", "cluster-announce-ip 127.0.0.1",
		"repl-diskless-sync-delay 0", "repl-ping-replica-period 1", "cluster-replica-validity-factor 0")
	for i := range n {
		srv := Server(t, append([]Option{config}, opts...)...)
		if i < primaries {
			c.Primaries = append(c.Primaries, srv)
		} else {
			c.Replicas = append(c.Replicas, srv)
		}
	}
	return c
}

func (c *Cluster) all() []*redisserver.Server {
	return append(append([]*redisserver.Server{}, c.Primaries...), c.Replicas...)
}

// join makes one Cluster of the servers.
func (c *Cluster) join(t testing.TB) {
	t.Helper()
	ctx := context.Background()
	nodes := make([]*redis.Client, 0, len(c.all()))
	for _, srv := range c.all() {
		nodes = append(nodes, Client(t, srv))
	}
	do := func(rdb *redis.Client, args ...any) {
		t.Helper()
		if err := rdb.Do(ctx, args...).Err(); err != nil {
			t.Fatalf("redistest: %v: %v", args, err)
		}
	}
	for i, rdb := range nodes {
		do(rdb, "CLUSTER", "SET-CONFIG-EPOCH", i+1)
		if n := len(c.Primaries); i < n {
			if err := rdb.ClusterAddSlotsRange(ctx, slots*i/n, slots*(i+1)/n-1).Err(); err != nil {
				t.Fatalf("redistest: %v", err)
			}
		}
	}
	for i, rdb := range nodes { // each with each: to hear of one another by gossip takes longer
		for _, other := range c.all()[i+1:] {
			do(rdb, "CLUSTER", "MEET", "127.0.0.1", c.port(t, other))
		}
	}
	for i, rdb := range nodes[len(c.Primaries):] {
		id := nodes[i].Do(ctx, "CLUSTER", "MYID").Val()
		WaitFor(t, settleWithin, func() bool { return rdb.Do(ctx, "CLUSTER", "REPLICATE", id).Err() == nil }, "a node to know its primary")
	}
	known := fmt.Sprintf("cluster_known_nodes:%d\r\n", len(nodes))
	for i, rdb := range nodes {
		WaitFor(t, settleWithin, func() bool {
			info := rdb.ClusterInfo(ctx).Val()
			up := strings.Contains(info, "cluster_state:ok") && strings.Contains(info, known) &&
				!strings.Contains(rdb.ClusterNodes(ctx).Val(), "handshake")
			//lint:ignore SA1019 it is what clients ask
			for _, slots := range rdb.ClusterSlots(ctx).Val() { // a replica is listed once something has reached it
				up = up && len(slots.Nodes) == len(nodes)/len(c.Primaries)
			}
			return up && (i < len(c.Primaries) || strings.Contains(rdb.Info(ctx, "replication").Val(), "master_link_status:up"))
		}, "the Cluster to be up")
	}
}

// port is the one by which a node is known to others.
func (c *Cluster) port(t testing.TB, srv *redisserver.Server) string {
	t.Helper()
	if c.certs != nil {
		return TLSPort(t, srv)
	}
	return strconv.Itoa(srv.Port())
}

// URL is the redis+cluster:// URL, which names every primary; rediss+cluster://
// where it speaks TLS.
func (c *Cluster) URL(t testing.TB) string {
	t.Helper()
	addrs := make([]string, len(c.Primaries))
	for i, srv := range c.Primaries {
		addrs[i] = "127.0.0.1:" + c.port(t, srv)
	}
	if c.certs != nil {
		return "rediss+cluster://" + strings.Join(addrs, ",") + "?" + c.certs.Query()
	}
	return "redis+cluster://" + strings.Join(addrs, ",")
}

// Client returns a new client of the Cluster, closed with the test.
func (c *Cluster) Client(t testing.TB) *redis.ClusterClient {
	t.Helper()
	o := &redis.ClusterOptions{
		DisableIdentity: true, MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	for _, srv := range c.all() {
		o.Addrs = append(o.Addrs, srv.Addr())
	}
	rdb := redis.NewClusterClient(o)
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

// Owner is the server that holds a key's slot now.
func (c *Cluster) Owner(t testing.TB, key string) *redisserver.Server {
	t.Helper()
	rdb := c.Client(t)
	node, err := rdb.MasterForKey(context.Background(), key)
	if err != nil {
		t.Fatalf("redistest: %v", err)
	}
	for _, srv := range c.all() {
		if srv.Addr() == node.Options().Addr {
			return srv
		}
	}
	t.Fatalf("redistest: %s is at %s", key, node.Options().Addr)
	return nil
}

// Move migrates a key's slot with all its keys to another primary, as an
// operator does while the Cluster serves.
func (c *Cluster) Move(t testing.TB, key string, to *redisserver.Server) {
	t.Helper()
	ctx := context.Background()
	source, target := Client(t, c.Owner(t, key)), Client(t, to)
	slot := source.ClusterKeySlot(ctx, key).Val()
	from, dest := source.Do(ctx, "CLUSTER", "MYID").Val(), target.Do(ctx, "CLUSTER", "MYID").Val()
	do := func(rdb *redis.Client, args ...any) {
		t.Helper()
		if err := rdb.Do(ctx, args...).Err(); err != nil {
			t.Fatalf("redistest: %v: %v", args, err)
		}
	}
	do(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", from)
	do(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", dest)
	for {
		keys := source.ClusterGetKeysInSlot(ctx, int(slot), 100).Val()
		if len(keys) == 0 {
			break
		}
		args := []any{"MIGRATE", "127.0.0.1", to.Port(), "", 0, 5000, "KEYS"}
		for _, k := range keys {
			args = append(args, k)
		}
		do(source, args...)
	}
	do(target, "CLUSTER", "SETSLOT", slot, "NODE", dest)
	do(source, "CLUSTER", "SETSLOT", slot, "NODE", dest)
	var others sync.WaitGroup
	for _, srv := range c.Primaries {
		rdb := Client(t, srv)
		others.Go(func() { _ = rdb.Do(ctx, "CLUSTER", "SETSLOT", slot, "NODE", dest).Err() })
	}
	others.Wait()
}
