package conn

import (
	"fmt"

	"github.com/redis/go-redis/v9"
)

const (
	// DefaultMaxConnections is the budget of a Config that names none.
	DefaultMaxConnections = 50
	// MinConnections is the smallest budget: one connection each for commands,
	// blocking calls, the heartbeat and the subscription.
	MinConnections = 4

	keptForSmall = MinConnections - 1
	// keptInCluster leaves room for 16 blocking connections there, and for a
	// second worker in the process.
	keptInCluster = 24
)

// budget returns the number of connections that cfg allows.
func (cfg Config) budget() (int, error) {
	switch {
	case cfg.MaxConnections == 0:
		return DefaultMaxConnections, nil
	case cfg.MaxConnections < MinConnections:
		return 0, fmt.Errorf("%w: MaxConnections is %d, at least %d are needed "+
			"(1 for commands, 1 for blocking calls, 1 for the heartbeat, 1 for the subscription)",
			ErrConfig, cfg.MaxConnections, MinConnections)
	}
	return cfg.MaxConnections, nil
}

// sizePools gives the shared client its part of the budget, four fifths unless
// the URL asks for other sizes, and returns that part. In a Cluster, where
// workers block on a connection for each queue, more is left for those. A
// client for reads from replicas gets a fifth of the part, without a share of
// its own in what the URL asks for.
func (t *target) sizePools(opt *redis.Options, limit int) (readers, part int, err error) {
	room, usual := limit-keptForSmall, limit-limit/5
	if t.kind == inCluster {
		usual = max(limit/2, limit-keptInCluster)
	}
	if t.replicas {
		readers = max(min(room, usual)/5, 1)
		if readers >= room {
			return 0, 0, fmt.Errorf("%w: read_from=replica wants a connection of its own: MaxConnections must be at least %d",
				ErrConfig, MinConnections+1)
		}
	}
	part, err = sizePools(opt, limit, min(room, usual)-readers, readers)
	return readers, part, err
}

// sizePools sizes the pools to usual connections where the URL asks for none,
// and returns how many they and the others have together.
//
// go-redis puts a second pool for pipelines beside the first, outside of
// MaxActiveConns and 10 connections large. It is turned off unless the URL asks
// for one, and counted then. A pool never has more than PoolSize connections in
// use, since each needs one of PoolSize turns.
func sizePools(opt *redis.Options, limit, usual, others int) (int, error) {
	pipeline := max(opt.PipelinePoolSize, 0)
	room := limit - keptForSmall
	if opt.PoolSize == 0 {
		opt.PoolSize = max(usual-pipeline, 1)
	}
	part := opt.PoolSize + pipeline + others
	if part > room {
		return 0, fmt.Errorf("%w: pool_size=%d and pipeline_pool_size=%d want %d connections, of MaxConnections=%d only %d are "+
			"for commands (%d are kept for blocking calls, heartbeat and subscription): MaxConnections must be at least %d",
			ErrConfig, opt.PoolSize, pipeline, part, limit, room, keptForSmall, part+keptForSmall)
	}
	for name, v := range map[string]int{"min_idle_conns": opt.MinIdleConns, "max_active_conns": opt.MaxActiveConns} {
		if v > opt.PoolSize {
			return 0, fmt.Errorf("%w: %s=%d is more than the pool holds (%d)", ErrConfig, name, v, opt.PoolSize)
		}
	}
	if pipeline == 0 {
		opt.PipelinePoolSize = -1
	}
	return part, nil
}
