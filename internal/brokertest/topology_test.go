package brokertest

import (
	"context"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/conn"
	"github.com/tidemill/tidemill/internal/redistest"
)

// The same cases through the clients that a URL opens, where several servers stand behind it.
func TestTopologies(t *testing.T) {
	sentinel := redistest.NewSentinel(t, 1, 1)
	cluster := redistest.NewCluster(t, 3, false)
	for name, url := range map[string]string{"sentinel": sentinel.URL(), "cluster": cluster.URL(t)} {
		t.Run(name, func(t *testing.T) {
			set, err := conn.Open(t.Context(), url, conn.Config{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = set.Close() })
			open := func(*testing.T) redis.UniversalClient { return set.Shared() }
			Run(t, open)
			flush(t, set.Shared())
			RunBig(t, open)
		})
	}
}

func flush(t *testing.T, rdb redis.UniversalClient) {
	t.Helper()
	all := func(ctx context.Context, node *redis.Client) error { return node.FlushAll(ctx).Err() }
	var err error
	if cluster, ok := rdb.(*redis.ClusterClient); ok {
		err = cluster.ForEachMaster(t.Context(), all)
	} else {
		err = all(t.Context(), rdb.(*redis.Client))
	}
	if err != nil {
		t.Fatal(err)
	}
}
