package conn

import (
	"context"
	"fmt"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Node is one server that takes writes.
type Node struct {
	Addr string
	rdb  *redis.Client
}

// Nodes answers the servers that take writes: one, or every primary of a Cluster.
func (s *Set) Nodes(ctx context.Context) ([]Node, error) {
	if single, ok := s.shared.(*redis.Client); ok {
		return []Node{{Addr: s.addr, rdb: single}}, nil
	}
	cluster, ok := s.shared.(*redis.ClusterClient)
	if !ok {
		return nil, fmt.Errorf("%w: a %T has no nodes", ErrConfig, s.shared)
	}
	var mu sync.Mutex
	var nodes []Node
	err := cluster.ForEachMaster(ctx, func(_ context.Context, rdb *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		nodes = append(nodes, Node{Addr: rdb.Options().Addr, rdb: rdb})
		return nil
	})
	return nodes, Classify(err)
}

// Identify says what the server is.
func (n Node) Identify(ctx context.Context) (Server, error) { return identify(ctx, n.rdb) }

// Ping asks for a sign of life.
func (n Node) Ping(ctx context.Context) error { return Classify(n.rdb.Ping(ctx).Err()) }

// Info answers every field of INFO; none where the server hides it.
func (n Node) Info(ctx context.Context) (map[string]string, error) {
	return info(ctx, n.rdb, "default")
}

// Settings answers settings by a pattern; none where the server hides them.
func (n Node) Settings(ctx context.Context, pattern string) (map[string]string, error) {
	all, err := n.rdb.ConfigGet(ctx, pattern).Result()
	return all, unlessHidden(err)
}

// Eviction answers the eviction policy and maxmemory in bytes, both empty where the server hides them.
func (n Node) Eviction(ctx context.Context) (policy, limit string, err error) {
	return evictionOf(ctx, n.rdb)
}

// Client is the connection to this server alone.
func (n Node) Client() *redis.Client { return n.rdb }

// Owner answers the address of the server that has the slot of a key or sharded channel now, as far as the client knows;
// "" of a Set that is no Cluster.
func (s *Set) Owner(ctx context.Context, key string) (string, error) {
	cluster, ok := s.shared.(*redis.ClusterClient)
	if !ok {
		return "", nil
	}
	node, err := cluster.MasterForKey(ctx, key)
	if err != nil {
		return "", Classify(err)
	}
	return node.Options().Addr, nil
}
