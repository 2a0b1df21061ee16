package brokertest

import (
	"errors"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/conn"
	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
)

// A primary that became a replica answers no enqueue call, also where it would create nothing: what it has may be behind, and
// the lane's record could not be written.
func TestDemotedAnswersNoEnqueue(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		e := newEnv(t, redistest.Client(t, srv), "demoted")
		e.add(1, 1)
		e.must(e.rdb.Do(e.ctx, "REPLICAOF", "127.0.0.1", "1").Err()) // where there is nobody
		for name, one := range map[string]broker.Item{"a duplicate": item(1, 0), "no envelope": {ID: id(2)}, "a new one": item(3, 0)} {
			_, err := e.b.Enqueue(e.ctx, e.q, e.stamp(), []broker.Item{one})
			if !conn.Retryable(err) || !errors.As(err, new(redis.Error)) || !strings.Contains(err.Error(), "READONLY") {
				t.Errorf("%s: %v", name, err)
			}
		}
		e.must(e.rdb.Do(e.ctx, "REPLICAOF", "NO", "ONE").Err())
		e.resend(e.stamp(), "dc", item(1, 0), item(3, 0))
	})
}
