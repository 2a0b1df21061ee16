package matrix

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/worker"
)

// Idle workers that wait at a primary leave it when another takes over: where it is told that it is a replica now, and
// where it stands still and says nothing, and lives on later.
func TestBlockedClientsLeaveTheOldPrimary(t *testing.T) {
	for name, fail := range map[string]func(t *testing.T, s *redistest.Sentinel, old *redisserver.Server){
		"handed over": func(t *testing.T, s *redistest.Sentinel, _ *redisserver.Server) { s.Failover(t) },
		"frozen": func(t *testing.T, s *redistest.Sentinel, old *redisserver.Server) {
			if err := old.Freeze(); err != nil {
				t.Fatal(err)
			}
			s.AwaitOther(t, old)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.NewSentinel(t, 1, 1)
			old, url := s.Primary(t), s.URL()
			r := &rig{T: t, ctx: t.Context(), url: url, srv: old, rdb: redistest.Client(t, old), logs: &book{}}
			r.client = r.open(url)
			var l ledger
			for range 3 {
				r.start(r.open(url), l.sleeper(), worker.Config{})
			}
			r.add(nap{})
			r.wait("a job to run", func() bool { return l.jobs() == 1 })
			r.wait("three to wait for work", func() bool { return len(blocked(r.ctx, r.rdb)) == 3 })
			fail(t, s, old)
			r.resumes(5*time.Second, func() bool { return l.jobs() == 2 })
			fresh := redistest.Client(t, s.Primary(t))
			r.wait("three to wait at the new primary", func() bool { return len(blocked(r.ctx, fresh)) == 3 })
			if err := old.Thaw(); err != nil {
				t.Error(err)
			}
			before := redistest.Client(t, old, func(o *redis.Options) { o.ReadTimeout = patience })
			r.wait("nobody to wait at the old one", func() bool {
				return before.Ping(r.ctx).Err() == nil && len(blocked(r.ctx, before)) == 0
			})
			r.add(nap{})
			r.wait("another job", func() bool { return l.jobs() == 3 })
		})
	}
}
