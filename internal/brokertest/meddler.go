package brokertest

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// meddler is a client under which something happens right after the sessions were read, a number of times.
type meddler struct {
	redis.UniversalClient
	after func()
	times int
}

func (m *meddler) ZRange(ctx context.Context, key string, start, stop int64) *redis.StringSliceCmd {
	cmd := m.UniversalClient.ZRange(ctx, key, start, stop)
	if m.times > 0 {
		m.times--
		m.after()
	}
	return cmd
}
