package worker

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/conn"
)

// A queue that falls idle while the worker stops starts nothing that the waker does not wait for. The race detector tells.
func TestIdleAsItStops(t *testing.T) {
	inBubble(t, func(e *env) {
		w, err := New(e.connect(nil), NewMux(), Config{})
		e.must(err)
		w.base = e.ctx
		c := w.consumers[0]
		for range 300 {
			k := newWaker(e.ctx, w, []*conn.Line{nil})
			a := k.of[c]
			a.first, a.waiting = c.keys, map[*consumer]bool{c: false}
			var both sync.WaitGroup
			both.Go(func() { a.idle(c) })
			both.Go(func() { // as the last pop and Run do
				a.mu.Lock()
				a.waiting = nil
				a.mu.Unlock()
				k.pokes.Wait()
			})
			both.Wait()
			k.pokes.Wait()
		}
	})
}

// A token that cannot be used, since a call that is under way has reserved all slots, is given back. When that call has
// told meanwhile that nothing is left, the queue is waited on again at once.
func TestTokenGivenBackIsWaitedFor(t *testing.T) {
	inBubble(t, func(e *env) {
		w, err := New(e.connect(nil), NewMux(), Config{Concurrency: 1})
		e.must(err)
		w.base = e.ctx
		line, err := w.conn.Line("blocking")
		e.must(err)
		defer line.Close()
		w.waker = newWaker(e.ctx, w, []*conn.Line{line})
		c := w.consumers[0]
		a := w.waker.of[c]
		c.active, w.wanted = true, 1
		a.use(e.ctx, c, false)
		w.mu.Lock()
		w.wanted, c.maybe = 0, false
		w.waker.idle(c)
		w.mu.Unlock()
		if _, wake, _ := a.lists(); !wake[0] {
			t.Error("the queue is not waited on though it has no work")
		}
	})
}

// A heartbeat may tell of the jobs that a token stands for before the token arrives: the claim that it causes has all slots
// reserved then. The token waits for that claim's answer, and is given back only if that leaves nothing that it can be used for.
func TestTokenWaitsForClaimUnderWay(t *testing.T) {
	for name, c := range map[string]struct {
		limit, running int
		lost, given    bool
	}{
		"nothing found":                {},
		"all slots taken":              {running: 1, given: true},
		"all of the queue's own taken": {limit: 1, running: 1, given: true},
		"the session is lost":          {lost: true, given: true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(e *env) {
				w, err := New(e.connect(nil), NewMux(), Config{Concurrency: 1 + 9*c.limit, Queues: []Queue{{Name: "default", Concurrency: c.limit}}})
				e.must(err)
				w.base = e.ctx
				line, err := w.conn.Line("blocking")
				e.must(err)
				defer line.Close()
				w.waker = newWaker(e.ctx, w, []*conn.Line{line})
				q := w.consumers[0]
				q.active = true
				q.hint() // by a heartbeat
				given := false
				nudge := script("nudge")
				e.b.Delay(func(cmd string, args []string) time.Duration {
					given = given || nudge(cmd, args)
					return 0
				})
				call := e.plan(w)
				var used sync.WaitGroup
				used.Go(func() { w.waker.of[q].use(e.ctx, q, false) })
				synctest.Wait()
				from := time.Now()
				w.mu.Lock()
				w.running, q.running = c.running, c.running
				if c.lost {
					q.active = false
				}
				w.mu.Unlock()
				answer := func(o *order) { w.answered(e.ctx, 0, []*order{o}, make([]broker.Exchanged, 1), []error{nil}) }
				answer(call)
				if !c.given { // the token asks for another look
					answer(e.plan(w))
				}
				used.Wait()
				if took := time.Since(from); given != c.given || took >= 50*time.Millisecond && !c.lost {
					t.Errorf("given back %v, after %v", given, took)
				}
			})
		})
	}
}

// plan answers the only queue's part of a lane's next round.
func (e *env) plan(w *Worker) *order {
	e.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	round, _ := w.planLocked(0, time.Now())
	if len(round) != 1 {
		e.Fatalf("planned %+v", round)
	}
	return round[0]
}
