package doctor_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// case_ is a defect that is planted into a healthy queue.
type case_ struct {
	name  string
	plant func(w *ward)
	want  map[string]int64
	after func(w *ward) // what else must hold once it is mended
	rest  []int         // of the jobs 1 to 8, those that do not run afterwards
	more  []int         // jobs beside those that do
}

func (w *ward) key(place int) string { return w.q.Key(place) }

func (w *ward) zadd(key string, n int, score int64) {
	w.Helper()
	w.must(w.rdb.ZAdd(w.ctx, key, redis.Z{Member: sid(n), Score: float64(score)}).Err())
}

func (w *ward) push(key string, n int) {
	w.Helper()
	w.must(w.rdb.RPush(w.ctx, key, sid(n)).Err())
}

// take takes a job's entry off its list.
func (w *ward) take(key string, n int) {
	w.Helper()
	if gone, err := w.rdb.LRem(w.ctx, key, 0, sid(n)).Result(); err != nil || gone != 1 {
		w.Fatalf("%d entries of job %d, %v", gone, n, err)
	}
}

func (w *ward) set1(key, field, value string) {
	w.Helper()
	w.must(w.rdb.HSet(w.ctx, key, field, value).Err())
}

// session registers a session that nobody keeps alive.
func (w *ward) session(name string) {
	w.Helper()
	w.sessions = true
	_, pulses, err := broker.New(w.rdb, w.space).Heartbeat(w.ctx, 2*time.Second, []broker.Beat{{Queue: w.q, Session: name, Mode: broker.Register}})
	w.must(err)
	w.must(pulses[0].Err)
}

func (w *ward) is(n int, want queue.State) {
	w.Helper()
	s, err := w.client.Get(w.ctx, "q", id(n).String())
	w.must(err)
	if s.State != want {
		w.Errorf("job %d is %s, want %s", n, s.State, want)
	}
}

func later() int64 { return time.Now().Add(time.Hour).UnixMilli() }

const token = 1_800_000_000_000_000

// TestPlanted plants each defect: the doctor finds just it, mends it, finds nothing any more, and a worker runs what there is
// to run, each job once.
func TestPlanted(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	for i, c := range append(append(jobCases, entryCases...), otherCases...) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWard(t, srv.URL(), fmt.Sprintf("ns%d", i))
			w.healthy()
			w.gather = i % 3 * 2 // few: so that it goes through the lists several times
			w.finds(nil)
			c.plant(w)
			r := w.finds(c.want)
			w.mends(r)
			if c.after != nil {
				c.after(w)
			}
			if again := ill(w.examine()); len(again) > 0 {
				for check := range again {
					if !strings.HasPrefix(check, "waiting-") && check != "key-put-aside" {
						t.Errorf("after the repair: %v", again)
					}
				}
			}
			want := append([]int{}, c.more...)
			for n := 1; n <= 8; n++ {
				rests := false
				for _, other := range c.rest {
					rests = rests || other == n
				}
				if !rests {
					want = append(want, n)
				}
			}
			w.works(want...)
		})
	}
}

var jobCases = []case_{
	{name: "no state", want: map[string]int64{"job-without-state": 2}, plant: func(w *ward) {
		w.take(w.key(keys.Ready), 3)
		w.must(w.rdb.ZRem(w.ctx, w.key(keys.Scheduled), sid(9)).Err())
	}, more: []int{9}},
	{name: "no state and corrupt", want: map[string]int64{"job-without-state": 1}, plant: func(w *ward) {
		w.set1(w.key(keys.Jobs), sid(30), "\x01\x00\x00\xff\xff")
	}, after: func(w *ward) {
		w.is(30, queue.DeadState)
		if s, err := w.client.Get(w.ctx, "q", id(30).String()); err != nil || !strings.Contains(s.Reason, "corrupt") {
			w.Errorf("dead because of %q, %v", s.Reason, err)
		}
	}},
	{name: "ready and scheduled", want: map[string]int64{"job-in-several-states": 1}, rest: []int{3},
		plant: func(w *ward) { w.zadd(w.key(keys.Scheduled), 3, later()) }, after: func(w *ward) { w.is(3, queue.Scheduled) }},
	{name: "ready and dead", want: map[string]int64{"job-in-several-states": 1},
		plant: func(w *ward) { w.zadd(w.key(keys.Dead), 3, 1) }},
	{name: "ready and finished", want: map[string]int64{"job-in-several-states": 1}, rest: []int{3},
		plant: func(w *ward) { w.zadd(w.key(keys.Finished), 3, later()) }, after: func(w *ward) { w.is(3, queue.Succeeded) }},
	{name: "scheduled and dead and finished", want: map[string]int64{"job-in-several-states": 2}, plant: func(w *ward) {
		w.zadd(w.key(keys.Dead), 9, 1)
		w.zadd(w.key(keys.Dead), 10, 1)
		w.zadd(w.key(keys.Finished), 10, later())
	}, after: func(w *ward) {
		w.is(9, queue.Scheduled)
		w.is(10, queue.Succeeded)
	}},
	{name: "ready and running", want: map[string]int64{"job-in-several-states": 1}, plant: func(w *ward) {
		w.session("s")
		w.zadd(w.q.Running("s"), 3, token)
	}, after: func(w *ward) { w.is(3, queue.Running) }},
	{name: "running twice, and scheduled", want: map[string]int64{"job-in-several-states": 1}, plant: func(w *ward) {
		w.session("s")
		w.session("t")
		w.zadd(w.q.Running("s"), 9, token)
		w.zadd(w.q.Running("t"), 9, token+1)
	}, after: func(w *ward) {
		if n := w.rdb.ZCard(w.ctx, w.q.Running("s")).Val(); n != 0 {
			w.Error("the older claim is there still")
		}
		w.is(9, queue.Running)
	}, more: []int{9}},
}

var entryCases = []case_{
	{name: "listed twice", want: map[string]int64{"job-listed-twice": 2}, plant: func(w *ward) {
		w.push(w.key(keys.Ready), 3)
		w.push(w.key(keys.Ready+4), 3)
		w.push(w.key(keys.Suspect), 6)
	}},
	{name: "entries without a job", want: map[string]int64{"entry-without-job": 3}, plant: func(w *ward) {
		w.push(w.key(keys.Ready), 40)
		w.push(w.key(keys.Ready), 40)
		w.push(w.key(keys.Ready+9), 41)
		w.push(w.key(keys.Suspect), 42)
	}, after: func(w *ward) {
		if n, err := w.client.Counts(w.ctx, "q"); err != nil || n.Ready != 8 {
			w.Errorf("%d ready, %v; want 8", n.Ready, err)
		}
	}},
	{name: "members without a job", want: map[string]int64{"member-without-job": 4}, plant: func(w *ward) {
		w.session("s")
		w.zadd(w.key(keys.Scheduled), 40, later())
		w.zadd(w.key(keys.Dead), 41, later())
		w.zadd(w.key(keys.Finished), 42, later())
		w.zadd(w.q.Running("s"), 43, token)
	}},
	{name: "a tombstone that counts too much", want: map[string]int64{"stale-entries-of-a-job": 1}, plant: func(w *ward) {
		w.set1(w.key(keys.Jobs), sid(20), "\x00\x03")
	}},
	{name: "a tombstone of nothing", want: map[string]int64{"stale-entries-of-a-job": 1}, plant: func(w *ward) {
		w.set1(w.key(keys.Jobs), sid(40), "\x00\x01")
	}, after: func(w *ward) { w.add(40) }, more: []int{40}},
	{name: "records that count wrongly", want: map[string]int64{"stale-entries-of-a-job": 2}, plant: func(w *ward) {
		w.set1(w.key(keys.State), sid(7), "\x01\x00\x01\x00\x00\x00\x00")
		w.set1(w.key(keys.State), sid(9), "\x01\x00\x00\x02\x00\x00\x00")
	}},
	{name: "ghosts", want: map[string]int64{"counter": 2}, plant: func(w *ward) {
		w.must(w.rdb.HIncrBy(w.ctx, w.key(keys.Meta), "ghosts", 3).Err())
		w.must(w.rdb.HIncrBy(w.ctx, w.key(keys.Meta), "suspect_ghosts", -1).Err())
	}, after: func(w *ward) {
		if n, err := w.client.Counts(w.ctx, "q"); err != nil || n.Ready != 8 {
			w.Errorf("%d ready, %v; want 8", n.Ready, err)
		}
	}},
	{name: "counters that are no numbers", want: map[string]int64{"counter": 2}, plant: func(w *ward) {
		w.set1(w.key(keys.Meta), "succeeded", "many")
		w.set1(w.key(keys.Meta), "ghosts", "1e3")
	}},
}

var otherCases = []case_{
	{name: "records, results and marks", want: map[string]int64{"record-without-job": 1, "record-cut-off": 1, "result-without-job": 1,
		"cancel-mark-without-claim": 2}, plant: func(w *ward) {
		w.set1(w.key(keys.State), sid(40), "\x01\x00\x00\x00\x00\x00\x00")
		w.set1(w.key(keys.State), sid(3), "\x01\x00")
		w.set1(w.key(keys.Results), sid(41), "{}")
		w.set1(w.key(keys.Cancels), sid(42), "7")
		w.set1(w.key(keys.Cancels), sid(4), "7")
	}},
	{name: "a session that is not listed", want: map[string]int64{"session-not-listed": 1, "lanes-without-session": 1}, plant: func(w *ward) {
		for _, n := range []int{3, 6} {
			w.take(w.key(keys.Ready), n)
			w.zadd(w.q.Running("gone"), n, token+int64(n))
		}
		w.set1(w.q.Lanes("gone"), "0", "1 OK")
		w.set1(w.q.Lanes("empty"), "0", "1 OK")
	}},
	{name: "late sessions", want: map[string]int64{"session-expires-late": 1, "recovery-put-off": 1}, plant: func(w *ward) {
		w.session("s")
		w.take(w.key(keys.Ready), 3)
		w.zadd(w.q.Running("s"), 3, token)
		w.must(w.rdb.ZAdd(w.ctx, w.key(keys.Sessions), redis.Z{Member: "s", Score: float64(later() + 36e5)}).Err())
		w.set1(w.key(keys.Meta), "no_recover_until", fmt.Sprint(later()+36e5))
	}},
	{name: "keys of other types", want: map[string]int64{"key-of-another-type": 3, "structures": 0, "workers": 0}, plant: func(w *ward) {
		w.must(w.rdb.Set(w.ctx, w.space.Name()+":topic:{x}:about", "mine", 0).Err())
		w.must(w.rdb.Set(w.ctx, w.key(keys.Results), "mine", 0).Err())
		w.must(w.rdb.Set(w.ctx, w.space.Orders(), "mine", 0).Err())
	}},
	{name: "names", want: map[string]int64{"queue-not-listed": 1, "name-of-no-queue": 1}, plant: func(w *ward) {
		w.must(w.rdb.SRem(w.ctx, w.space.Queues(), "q").Err())
		w.must(w.rdb.SAdd(w.ctx, w.space.Queues(), "no queue").Err())
	}},
	{name: "what processes left", want: map[string]int64{"poke-without-expiry": 1, "worker-gone": 2, "order-to-nobody": 1}, plant: func(w *ward) {
		w.push(w.q.Poke("i"), 1)
		w.set1(w.space.Workers(), "i", `{"host":"h","pid":7,"seen":"2020-01-01T00:00:00Z","sessions":{"q":"none"}}`)
		w.set1(w.space.Workers(), "j", `?`)
		w.set1(w.space.Orders(), "k", "quiet 1577836800000")
	}, after: func(w *ward) {
		if ttl := w.rdb.PTTL(w.ctx, w.q.Poke("i")).Val(); ttl <= 0 && ttl != -2 {
			w.Errorf("the poke list expires in %v", ttl)
		}
	}},
}
