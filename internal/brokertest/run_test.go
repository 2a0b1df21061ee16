package brokertest

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
)

func protocol(version int) func(*redis.Options) {
	return func(o *redis.Options) { o.Protocol = version }
}

func TestEmbedded(t *testing.T) {
	for name, version := range map[string]int{"resp2": 2, "resp3": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			Run(t, func(t *testing.T) redis.UniversalClient { return redistest.Embedded(t, protocol(version)) })
		})
	}
}

func TestEmbeddedBig(t *testing.T) {
	t.Parallel()
	RunBig(t, func(t *testing.T) redis.UniversalClient {
		b := redistest.NewBubble(t)
		b.M.ClockTTL(false) // nothing here expires by itself, and the pump looks at every key
		return b.Client()
	})
}

func TestServers(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		for name, version := range map[string]int{"resp2": 2, "resp3": 3} {
			t.Run(name, func(t *testing.T) {
				rdb := redistest.Client(t, srv)
				if err := rdb.FlushAll(t.Context()).Err(); err != nil {
					t.Fatal(err)
				}
				open := func(t *testing.T) redis.UniversalClient { return redistest.Client(t, srv, protocol(version)) }
				Run(t, open)
				if err := rdb.FlushAll(t.Context()).Err(); err != nil {
					t.Fatal(err)
				}
				RunBig(t, open)
			})
		}
	})
}
