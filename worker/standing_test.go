package worker

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/conn"
	"github.com/tidemill/tidemill/internal/loop"
)

// What a standing claim took beyond the free slots goes back at once, and so does what is beyond a bound that its queue was
// given meanwhile.
func TestStandingClaimIsTrimmed(t *testing.T) {
	for name, c := range map[string]struct{ running, limit, left int }{
		"all are free":        {running: 0, left: 3},
		"one is":              {running: 3, left: 1},
		"none is":             {running: 4, left: 0},
		"the queue's are not": {running: 1, limit: 2, left: 1},
	} {
		d := newDispatcher(t, raw(), "letter", 3)
		w, q := d.w, d.w.consumers[0]
		w.waker = &waker{of: map[*consumer]*watch{q: {retry: loop.NewTrigger()}}}
		w.config.Concurrency, w.executors = 4, 4
		w.running, q.running, q.limit = c.running, c.running, c.limit
		w.executors = w.config.Concurrency // none but those that run
		o := &order{c: q, epoch: q.epoch, hints: q.hints + 1, call: broker.Exchange{Want: 3}}
		w.answeredLocked(o, standing, &broker.Exchanged{Jobs: append([]broker.Claimed(nil), d.jobs...)})
		if len(w.buffer) != c.left || len(q.fails) != 3-c.left {
			t.Errorf("%s: %d jobs are kept and %d go back, want %d kept of 3", name, len(w.buffer), len(q.fails), c.left)
		}
	}
}

// None stands for a queue while another has work, nor for more than a job where a crash of it counts for much.
func TestStandingClaimStandsBack(t *testing.T) {
	w := bench(t, Config{Concurrency: 50, CrashLimit: 2, Queues: []Queue{{Name: "a"}, {Name: "b"}}})
	w.conn = new(conn.Set)
	a := &watch{w: w, expected: w.consumers[0], woken: time.Now()}
	w.pace = pace{since: time.Now(), prefetch: 20}
	both := []bool{true, true}
	for _, c := range w.consumers {
		c.maybe = false
	}
	if o := a.stand(w.consumers, both); o == nil || o.call.Want != 1 {
		t.Errorf("for one job: %+v", o)
	}
	w.config.CrashLimit = 3
	if o := a.stand(w.consumers, both); o == nil || o.call.Want != 21 {
		t.Errorf("for many: %+v", o)
	}
	w.config.Strict, a.expected = true, w.consumers[1]
	if o := a.stand(w.consumers, both); o == nil || o.call.Want != 1 {
		t.Errorf("for one of the lower queue: %+v", o)
	}
	w.consumers[0].maybe = true
	if o := a.stand(w.consumers, both); o != nil {
		t.Errorf("though another has work: %+v", o)
	}
}

// A worker whose slots its standing claim has filled waits for no call, as none is made.
func TestStandingClaimThatFillsTheWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bench(t, Config{Concurrency: 1})
		c, began := w.consumers[0], time.Now()
		a := newWatch(&waker{w: w}, nil)
		w.running = 1
		if a.used(t.Context(), c); time.Since(began) != 0 {
			t.Errorf("it paused for %v", time.Since(began))
		}
		w.running = 0 // a lane will ask
		if a.used(t.Context(), c); time.Since(began) == 0 {
			t.Error("it did not wait for the lane's answer")
		}
	})
}

// A short batch takes no long one's memory.
func TestSpareBatches(t *testing.T) {
	w := bench(t, Config{})
	for _, n := range []int{250, 8, 4} {
		w.spareLocked(&batch{runs: make([]run, n)})
	}
	for _, want := range []struct{ n, capacity int }{{1, 4}, {1, 8}, {1, 1}, {100, 250}, {100, 100}} {
		if b := w.batchLocked(want.n); len(b.runs) != want.n || cap(b.runs) != want.capacity {
			t.Errorf("%d runs: %d of %d, want of %d", want.n, len(b.runs), cap(b.runs), want.capacity)
		}
	}
}
