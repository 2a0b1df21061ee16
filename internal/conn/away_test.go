package conn

import (
	"errors"
	"net"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redistest"
)

// However many calls failed while Redis was away, the first one after that gets through: go-redis would refuse it for up to a
// second, and Redis could be away again by then.
func TestBackFromAway(t *testing.T) {
	srv := redistest.Server(t)
	set := open(t, srv.URL(), Config{})
	line, err := set.Line("line")
	if err != nil {
		t.Fatal(err)
	}
	defer line.Close()
	for _, rdb := range []redis.UniversalClient{set.Shared(), line.Client()} {
		srv.Kill()
		for range 3 * rdb.(interface{ PoolStats() *redis.PoolStats }).PoolStats().TotalConns {
			_ = rdb.Ping(t.Context()).Err() // the connections that it had
		}
		for range 50 {
			err := rdb.Ping(t.Context()).Err()
			var op *net.OpError
			if !errors.As(err, &op) || op.Op != "dial" || !errors.Is(Classify(err), ErrUnavailable) {
				t.Fatalf("%#v", err)
			}
		}
		if err := srv.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := rdb.Ping(t.Context()).Err(); err != nil {
			t.Errorf("redis is back: %v", err)
		}
	}
}
