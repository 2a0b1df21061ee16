package doctor_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/doctor"
	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// TestRaced mends by hand what the doctor found before it repairs: it must do nothing, and every job runs once.
func TestRaced(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	for i, tt := range []struct {
		name        string
		plant, heal func(w *ward)
	}{
		{"no state", func(w *ward) { w.take(w.key(keys.Ready), 3) }, func(w *ward) { w.push(w.key(keys.Ready), 3) }},
		{"two states", func(w *ward) { w.zadd(w.key(keys.Dead), 9, 1) }, func(w *ward) { w.must(w.rdb.ZRem(w.ctx, w.key(keys.Dead), sid(9)).Err()) }},
		{"listed twice", func(w *ward) { w.push(w.key(keys.Ready+4), 3) }, func(w *ward) { w.take(w.key(keys.Ready+4), 3) }},
		{"no job", func(w *ward) { w.push(w.key(keys.Ready), 40) }, func(w *ward) { w.take(w.key(keys.Ready), 40) }},
		{"ghosts", func(w *ward) { w.must(w.rdb.HIncrBy(w.ctx, w.key(keys.Meta), "ghosts", 2).Err()) },
			func(w *ward) { w.must(w.rdb.HIncrBy(w.ctx, w.key(keys.Meta), "ghosts", -2).Err()) }},
		{"session", func(w *ward) {
			w.take(w.key(keys.Ready), 3)
			w.zadd(w.q.Running("gone"), 3, token)
		}, func(w *ward) {
			w.must(w.rdb.Del(w.ctx, w.q.Running("gone")).Err())
			w.push(w.key(keys.Ready), 3)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWard(t, srv.URL(), fmt.Sprintf("ns%d", i))
			w.healthy()
			tt.plant(w)
			r := w.examine()
			if r.Result != doctor.Problem {
				t.Fatalf("the defect was not found: %+v", r.Findings)
			}
			tt.heal(w)
			done, err := w.doctor().Repair(w.ctx, r)
			w.must(err)
			if len(done) != 1 || done[0].Mended != 0 || done[0].Left != 1 {
				t.Errorf("got %+v", done)
			}
			w.finds(nil)
			w.works(1, 2, 3, 4, 5, 6, 7, 8)
		})
	}
}

// A repair that is decided on while Redis holds more defects than one call takes mends all of them.
func TestMany(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	w := newWard(t, srv.URL(), "ns")
	const many = 300
	w.gather = 70
	for n := range many {
		w.add(n+1, queue.Priority(n%2))
	}
	w.must(w.rdb.Del(w.ctx, w.key(keys.Ready), w.key(keys.Ready+1)).Err())
	for n := range many {
		w.push(w.key(keys.Ready+2), 1000+n)
	}
	r := w.finds(map[string]int64{"job-without-state": many, "entry-without-job": many})
	for _, f := range r.Findings {
		if f.Check == "job-without-state" && (len(f.Examples) != 5 || f.Examples[0] != id(1).String()) {
			t.Errorf("examples: %v", f.Examples)
		}
	}
	w.mends(r)
	w.finds(nil)
	var all []int
	for n := range many {
		all = append(all, n+1)
	}
	w.works(all...)
}

// What no repair is for is told all the same.
func TestNotes(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	w := newWard(t, srv.URL(), "ns")
	w.healthy()
	w.session("gone")
	w.must(w.rdb.ZAdd(w.ctx, w.key(keys.Sessions), redis.Z{Member: "gone", Score: 1000}).Err())
	w.finds(map[string]int64{"waiting-for-a-worker": 1})
	w.must(w.rdb.ZAdd(w.ctx, w.key(keys.Sessions), redis.Z{Member: "lives", Score: float64(time.Now().Add(time.Hour).UnixMilli())}).Err())
	w.set1(w.key(keys.Meta), "beat", fmt.Sprint(later()))
	w.must(w.rdb.HDel(w.ctx, w.key(keys.Meta), "no_recover_until").Err())
	w.must(w.rdb.Set(w.ctx, "ns:{q}:mine", "x", 0).Err())
	w.must(w.rdb.Set(w.ctx, "ns:other:queues", "x", 0).Err()) // of namespace ns:other
	w.must(w.rdb.Set(w.ctx, "ns:what", "x", 0).Err())
	w.must(w.rdb.Set(w.ctx, w.space.Aside(w.key(keys.Jobs), "1"), "x", 0).Err())
	w.must(w.rdb.ZAdd(w.ctx, w.key(keys.Dead), redis.Z{Member: "no id", Score: float64(later())}).Err())
	w.must(w.rdb.RPush(w.ctx, w.key(keys.Ready), "no id either").Err())
	r := w.finds(map[string]int64{"session-not-recovered": 1, "unknown-key": 2, "key-put-aside": 1, "member-that-is-no-id": 2})
	if r.Result != doctor.Warning || r.Repairable() != 0 {
		t.Errorf("%s, %d can be mended", r.Result, r.Repairable())
	}
}
