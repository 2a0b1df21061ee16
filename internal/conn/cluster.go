package conn

import (
	"context"
	"net"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// newCluster makes a Cluster client that looks anew where the slots are as soon
// as a node fails it. go-redis does so when a node redirects it, which a dead
// one does not, and else once a minute.
func newCluster(opt *redis.ClusterOptions) *redis.ClusterClient {
	var client atomic.Pointer[redis.ClusterClient]
	reload := func(ctx context.Context) {
		if c := client.Load(); c != nil {
			c.ReloadState(ctx)
		}
	}
	if dial := opt.Dialer; dial != nil {
		opt.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dial(ctx, network, addr)
			if err != nil && ctx.Err() == nil {
				reload(context.Background())
			}
			return c, err
		}
	}
	rdb := redis.NewClusterClient(opt)
	rdb.AddHook(reloading{reload})
	client.Store(rdb)
	return rdb
}

// reloading is the hook of newCluster.
type reloading struct{ reload func(context.Context) }

func (h reloading) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h reloading) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if Retryable(err) {
			h.reload(context.WithoutCancel(ctx))
		}
		return err
	}
}

func (h reloading) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		if Retryable(err) {
			h.reload(context.WithoutCancel(ctx))
		}
		return err
	}
}

// isPartOfCluster tells whether a server has only a part of a Cluster's slots:
// a client of that server alone would be refused the rest. What hides the
// answer is taken for a server of its own.
func isPartOfCluster(ctx context.Context, rdb *redis.Client) bool {
	srv, err := identify(ctx, rdb)
	if err != nil || srv.Mode != "cluster" {
		return false
	}
	return !servesAll(ctx, rdb)
}

// servesAll tells whether a node has every slot that its Cluster serves.
func servesAll(ctx context.Context, rdb *redis.Client) bool {
	me, err := rdb.Do(ctx, "CLUSTER", "MYID").Text()
	if err != nil {
		return true
	}
	//lint:ignore SA1019 CLUSTER SHARDS came with Redis 7.0 only
	slots, err := rdb.ClusterSlots(ctx).Result()
	if err != nil {
		return true
	}
	for _, s := range slots {
		if len(s.Nodes) > 0 && s.Nodes[0].ID != me {
			return false
		}
	}
	return true
}

// Refresh has a Cluster client look anew where the slots are, after a call that
// failed. Clients of this package do so by themselves; one that was passed in
// would go on asking a dead node for up to a minute. It does not wait.
func (s *Set) Refresh() {
	if cluster, ok := s.shared.(*redis.ClusterClient); ok && !s.owned {
		cluster.ReloadState(context.Background())
	}
}
