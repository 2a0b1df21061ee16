package worker

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// ttl is the session TTL of these tests, the default.
const ttl = DefaultSessionTTL

// A worker that vanishes costs its jobs the TTL and a second, and no attempt.
func TestVanishedWorkerIsRecovered(t *testing.T) {
	inBubble(t, func(e *env) {
		var causes list[error]
		a := newRig(blocked(&causes))
		b := newRig(succeed)
		p := e.start(a.Mux, Config{})
		var ids []uuid.UUID
		for range 20 {
			ids = append(ids, e.add("job", queue.Retain(time.Hour)))
		}
		e.wait(time.Second, "the handlers", func() bool { return a.n() == 20 })
		e.start(b.Mux, Config{})
		time.Sleep(3 * time.Second)
		p.gate.close()
		gone := time.Now()
		e.wait(10*time.Second, "all to start again", func() bool { return b.n() == 20 })
		if took := time.Since(gone); took > ttl+time.Second {
			t.Errorf("it took %v", took)
		}
		if took := b.at(0).Sub(gone); took < ttl/2 {
			t.Errorf("the first started after %v already", took)
		}
		e.drained(time.Second)
		again := make(map[uuid.UUID]bool)
		for _, info := range b.infos() { // in any order: handlers that start together overtake each other
			if info.Attempt != 1 || info.Crashes != 1 || again[info.ID] || !slices.Contains(ids, info.ID) {
				t.Fatalf("of the jobs %v started: %+v", ids, info)
			}
			again[info.ID] = true
			e.wantState(info.ID, queue.Succeeded)
		}
		p.gate.open()
		e.wait(10*time.Second, "the handlers' end", func() bool { return causes.len() == 20 })
		for _, cause := range causes.all() {
			if !errors.Is(cause, queue.ErrSessionLost) {
				t.Fatalf("cause: %v", cause)
			}
		}
		time.Sleep(10 * time.Second)
		if n := e.counts(); n.Succeeded != 20 || n.Failed != 0 || n.Recovered != 20 || a.n() != 20 || b.n() != 20 {
			t.Errorf("%d and %d starts, %+v", a.n(), b.n(), n)
		}
	})
}

// Without a peer the next worker to start takes the jobs over.
func TestNextWorkerRecovers(t *testing.T) {
	inBubble(t, func(e *env) {
		var causes list[error]
		a, b := newRig(blocked(&causes)), newRig(succeed)
		p := e.start(a.Mux, Config{})
		e.add("job")
		e.wait(time.Second, "the handler", func() bool { return a.n() == 1 })
		p.gate.close()
		time.Sleep(time.Minute)
		began := time.Now()
		e.start(b.Mux, Config{})
		e.wait(10*time.Second, "the job", func() bool { return b.n() == 1 })
		if took := time.Since(began); took > ttl+time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// What a stopped process sends after it was given up, and what was stuck on the way, changes nothing, and is counted.
func TestLateWritesAreRefused(t *testing.T) {
	inBubble(t, func(e *env) {
		release := make(chan error)
		a := newRig(func(context.Context, *queue.Job[queue.Raw]) error { return <-release })
		b := newRig(succeed)
		p := e.start(a.Mux, Config{Concurrency: 3})
		old := p.session()
		for range 3 {
			e.add("job", queue.Retain(time.Hour))
		}
		e.wait(time.Second, "the handlers", func() bool { return a.n() == 3 })
		e.start(b.Mux, Config{Concurrency: 3})
		// From now on nothing of the first one's reaches the server, until all of it does at once.
		deliver := e.b.HoldRequest(about(func() string { return old }, script("heartbeat", "exchange", "fail")))
		release <- nil
		release <- errors.New("failed meanwhile")
		e.wait(15*time.Second, "the second worker", func() bool { return b.n() == 3 })
		e.drained(time.Second)
		before := e.counts()
		deliver()
		release <- nil // and one that returns only now
		e.wait(10*time.Second, "a new session", func() bool { return p.session() != old && p.joined() })
		time.Sleep(10 * time.Second)
		n := e.counts()
		if n.Refused < 2 { // an acknowledgement and a failure; what was sent again meanwhile counts again
			t.Errorf("%d late writes were refused", n.Refused)
		}
		before.Refused = n.Refused
		if n != before || n.Succeeded != 3 || n.Failed != 0 || n.Recovered != 3 {
			t.Errorf("before %+v, after %+v", before, n)
		}
		for _, info := range b.infos() {
			e.wantState(info.ID, queue.Succeeded)
		}
		if lines := e.logs.find("session lost"); len(lines) != 1 {
			t.Errorf("logged %v", lines)
		}
	})
}

// The session is lost, the handler does not care: it keeps its slot, and the job does not start beside itself.
func TestStuckHandlerKeepsItsSlot(t *testing.T) {
	inBubble(t, func(e *env) {
		var g gauge
		var running sync.Map
		release := make(chan struct{})
		mux := NewMux()
		mux.HandleKind("job", func(_ context.Context, job *queue.Job[queue.Raw]) error {
			defer g.enter()()
			if _, twice := running.LoadOrStore(job.ID, true); twice {
				t.Error("a job overlaps itself")
			}
			defer running.Delete(job.ID)
			<-release
			return nil
		})
		starts := func() int { n, _ := g.read(); return n }
		p := e.start(mux, Config{Concurrency: 2, StuckAfter: 5 * time.Second})
		stuck := e.add("job", queue.Retain(time.Hour), queue.Timeout(time.Second))
		e.wait(time.Second, "the handler", func() bool { return starts() == 1 })
		// Somebody else's recovery: the claim is gone, the job is ready again.
		e.b.M.Del(e.q.Running(p.session()))
		_, err := e.b.M.Push(e.q.Key(keys.Ready), string(stuck[:]))
		e.must(err)
		e.wait(12*time.Second, "the loss to be noticed", func() bool { return len(e.logs.find("claim is gone")) == 1 })
		e.add("job")
		e.wait(10*time.Second, "the other slot", func() bool { return starts() == 2 })
		e.wait(20*time.Second, "the report", func() bool { return len(e.logs.find("handler is stuck")) > 0 })
		time.Sleep(time.Minute)
		if lines := e.logs.find("handler is stuck"); len(lines) != 1 || lines[0]["job_id"] != stuck.String() {
			t.Errorf("reported: %v", lines)
		}
		if starts, most := g.read(); starts != 2 || most != 2 {
			t.Errorf("%d starts, %d at once", starts, most)
		}
		release <- struct{}{}
		release <- struct{}{}
		e.wait(10*time.Second, "the job's own turn", func() bool { return starts() == 3 })
		close(release)
		e.drained(10 * time.Second)
		e.wantState(stuck, queue.Succeeded)
	})
}

// A timeout that the handler ignores frees no slot.
func TestIgnoredTimeoutKeepsTheSlot(t *testing.T) {
	inBubble(t, func(e *env) {
		var g gauge
		mux := NewMux()
		mux.HandleKind("job", func(context.Context, *queue.Job[queue.Raw]) error {
			defer g.enter()()
			time.Sleep(30 * time.Second)
			return errors.New("at last")
		})
		e.start(mux, Config{Concurrency: 3})
		var ids []uuid.UUID
		for range 9 {
			ids = append(ids, e.add("job", queue.Timeout(time.Second), queue.MaxAttempts(1)))
		}
		e.drained(5 * time.Minute)
		if starts, most := g.read(); most != 3 || starts != 9 {
			t.Errorf("%d at once, %d starts", most, starts)
		}
		if s := e.wantState(ids[0], queue.DeadState); !strings.Contains(s.Reason, "at last (job timed out") {
			t.Errorf("reason %q", s.Reason)
		}
		if n := len(e.logs.find("handler is stuck")); n != 9 {
			t.Errorf("%d reports of 9", n)
		}
	})
}

// One heartbeat that is swallowed on the way must not cost the session.
func TestSwallowedHeartbeatCostsNothing(t *testing.T) {
	inBubble(t, func(e *env) {
		r := newRig(func(context.Context, *queue.Job[queue.Raw]) error {
			time.Sleep(time.Minute)
			return nil
		})
		p := e.start(r.Mux, Config{})
		e.start(NewMux(), Config{Queues: []Queue{{Name: "default"}}, Concurrency: 1}).w.Quiet(true) // ready to recover
		e.add("job")
		e.wait(time.Second, "the handler", func() bool { return r.n() == 1 })
		first := p.session()
		release := e.b.HoldRequest(redistest.Once(about(func() string { return first }, script("heartbeat"))))
		e.wait(3*time.Second, "a heartbeat to be held", func() bool { return e.b.Held() == 1 })
		e.drained(2 * time.Minute)
		if n := e.counts(); p.session() != first || n.Recovered != 0 || n.Succeeded != 1 || r.n() != 1 {
			t.Errorf("%d starts, %+v", r.n(), n)
		}
		release() // late by a minute
		time.Sleep(time.Second)
		if p.session() != first {
			t.Error("the late one did harm")
		}
	})
}

// A claim whose answer never came sits in a live session: the heartbeat finds it.
func TestStrayClaimGoesBack(t *testing.T) {
	inBubble(t, func(e *env) {
		r := newRig(succeed)
		p := e.start(r.Mux, Config{})
		p.w.Quiet(true)
		id := e.add("job")
		e.b.M.Del(e.q.Key(keys.Ready))
		_, err := e.b.M.ZAdd(e.q.Running(p.session()), float64(time.Now().UnixMicro()), string(id[:]))
		e.must(err)
		e.b.M.HSet(e.q.Key(keys.Meta), "token", "9000000000000000")
		p.w.Quiet(false)
		e.drained(15 * time.Second)
		if r.n() != 1 || len(e.logs.find("does not hold goes back")) != 1 {
			t.Errorf("%d starts, logged %v", r.n(), e.logs.find("goes back"))
		}
	})
}
