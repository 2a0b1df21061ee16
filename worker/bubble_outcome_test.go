package worker

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/queue"
)

// steady is a retry policy without chance.
var steady = Backoff{Base: 10 * time.Second, Cap: time.Hour, Factor: 2}

func succeed(context.Context, *queue.Job[queue.Raw]) error { return nil }

func TestSuccessLeavesNothing(t *testing.T) {
	inBubble(t, func(e *env) {
		r := newRig(succeed)
		p := e.start(r.Mux, Config{})
		id := e.add("job", queue.Meta("who", "me"))
		e.drained(time.Second)
		p.stopClean()
		if r.n() != 1 || r.info(0).ID != id || r.info(0).Attempt != 1 || r.info(0).Meta["who"] != "me" {
			t.Fatalf("attempts: %+v", r.infos())
		}
		e.wantState(id, "")
		if n := e.counts(); n.Succeeded != 1 || n.Failed != 0 || n.Refused != 0 {
			t.Errorf("counts: %+v", n)
		}
		for _, key := range e.b.M.Keys() {
			switch strings.TrimPrefix(key, "tm:{default}:") {
			case "meta", "producers", "tm:queues", "tm:settings":
			default:
				t.Errorf("left behind: %s", key)
			}
		}
	})
}

func TestRetriesBackOff(t *testing.T) {
	inBubble(t, func(e *env) {
		failures := 3
		var r *rig
		r = newRig(func(context.Context, *queue.Job[queue.Raw]) error {
			if n := r.n(); n <= failures {
				return fmt.Errorf("no luck %d", n)
			}
			return nil
		})
		e.start(r.Mux, Config{Retry: steady})
		id := e.add("job", queue.Retain(time.Hour))
		e.drained(5 * time.Minute)
		s := e.wantState(id, queue.Succeeded)
		if r.n() != 4 || s.Attempts != 4 {
			t.Fatalf("%d starts, %d attempts", r.n(), s.Attempts)
		}
		for i, want := range []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second} {
			late := r.at(i+1).Sub(r.at(i)) - want
			if late < 0 || late > 5*time.Millisecond {
				t.Errorf("retry %d came %v after its time", i+1, late)
			}
			if f := s.Errors[i]; f.Attempt != i+1 || f.Error != fmt.Sprintf("no luck %d", i+1) || f.At.Sub(r.at(i)).Abs() > time.Second {
				t.Errorf("failure %d: %+v", i, f)
			}
			if r.info(i+1).Attempt != i+2 || r.token(i+1) <= r.token(i) {
				t.Errorf("attempt %d: number %d, token %d after %d", i+2, r.info(i+1).Attempt, r.token(i+1), r.token(i))
			}
		}
		if n := e.counts(); n.Failed != 3 || n.Succeeded != 1 {
			t.Errorf("counts: %+v", n)
		}
		if lines := e.logs.find("job failed, retrying"); len(lines) != 3 || lines[2]["attempt"] != 3.0 || lines[2]["kind"] != "job" ||
			lines[2]["job_id"] != id.String() || lines[2]["queue"] != "default" || lines[2]["duration"] == nil {
			t.Errorf("logged: %v", lines)
		}
	})
}

func TestPolicyOfKindWins(t *testing.T) {
	inBubble(t, func(e *env) {
		var r *rig
		r = newRig(func(context.Context, *queue.Job[queue.Raw]) error {
			if r.n() == 1 {
				return errors.New("no")
			}
			return nil
		}, Retry(Backoff{Base: 7 * time.Second, Cap: time.Hour, Factor: 1}))
		e.start(r.Mux, Config{Retry: steady})
		e.add("job")
		e.drained(time.Minute)
		if late := r.at(1).Sub(r.at(0)) - 7*time.Second; late < 0 || late > 5*time.Millisecond {
			t.Errorf("the retry came %v after its time", late)
		}
	})
}

func TestVerdictsOfHandlers(t *testing.T) {
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		first    error
		delay    time.Duration // until the second attempt; 0 = there is none
		attempts int           // used in the end
		dead     string
	}{
		"retry after":       {first: queue.RetryAfter(boom, 90*time.Second), delay: 90 * time.Second, attempts: 2},
		"wrapped":           {first: fmt.Errorf("outer: %w", queue.RetryAfter(boom, 3*time.Second)), delay: 3 * time.Second, attempts: 2},
		"retry at once":     {first: queue.RetryAfter(boom, 0), delay: time.Microsecond, attempts: 2},
		"snooze":            {first: queue.Snooze(5 * time.Minute), delay: 5 * time.Minute, attempts: 1},
		"snooze at once":    {first: queue.Snooze(0), delay: time.Microsecond, attempts: 1},
		"dead":              {first: queue.Dead(boom), attempts: 1, dead: "boom"},
		"dead, wrapped":     {first: fmt.Errorf("outer: %w", queue.Dead(boom)), attempts: 1, dead: "outer: boom"},
		"no attempts left":  {first: boom, attempts: 1, dead: "boom"},
		"late, none left":   {first: queue.RetryAfter(boom, time.Second), attempts: 1, dead: "boom"},
		"dead without text": {first: queue.Dead(nil), attempts: 1, dead: "the handler gave up"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(e *env) {
				var r *rig
				r = newRig(func(context.Context, *queue.Job[queue.Raw]) error {
					if r.n() == 1 {
						return c.first
					}
					return nil
				})
				e.start(r.Mux, Config{Retry: steady, SessionTTL: time.Minute})
				limit := 5
				if strings.Contains(name, "left") {
					limit = 1
				}
				id := e.add("job", queue.Retain(time.Hour), queue.MaxAttempts(limit))
				e.drained(time.Hour)
				s := e.get(id)
				if s.Attempts != c.attempts || s.Reason != c.dead || (s.State == queue.DeadState) != (c.dead != "") {
					t.Errorf("%s with %d attempts, reason %q", s.State, s.Attempts, s.Reason)
				}
				if c.delay == 0 {
					if r.n() != 1 {
						t.Errorf("%d starts", r.n())
					}
					return
				}
				if late := r.at(1).Sub(r.at(0)) - c.delay; late < -time.Microsecond || late > 10*time.Millisecond {
					t.Errorf("the second start came %v after its time", late)
				}
			})
		})
	}
}

func TestMaxAttemptsEndInDead(t *testing.T) {
	inBubble(t, func(e *env) {
		r := newRig(func(context.Context, *queue.Job[queue.Raw]) error { return errors.New("never works") })
		e.start(r.Mux, Config{Retry: steady})
		id := e.add("job", queue.MaxAttempts(3))
		e.drained(5 * time.Minute)
		s := e.wantState(id, queue.DeadState)
		if r.n() != 3 || s.Attempts != 3 || s.Reason != "never works" || len(s.Errors) != 3 || s.EndedAt.Sub(r.at(2)).Abs() > time.Second {
			t.Errorf("%d starts, %+v", r.n(), s)
		}
		e.must(e.client.Redrive(e.ctx, "default", id.String()))
		e.drained(5 * time.Minute)
		if s := e.wantState(id, queue.DeadState); r.n() != 6 || s.Attempts != 3 || len(s.Errors) != 6 {
			t.Errorf("after a redrive: %d starts, %+v", r.n(), s)
		}
	})
}

// explode panics, under a name that its stack must show.
func explode() { panic("at the disco") }

func TestPanicKeepsItsStack(t *testing.T) {
	inBubble(t, func(e *env) {
		r := newRig(func(context.Context, *queue.Job[queue.Raw]) error {
			explode()
			return nil
		})
		e.start(r.Mux, Config{Retry: steady})
		id := e.add("job", queue.MaxAttempts(2))
		e.drained(time.Minute)
		s := e.wantState(id, queue.DeadState)
		if s.Reason != "panic: at the disco" || len(s.Errors) != 2 {
			t.Fatalf("%+v", s)
		}
		if !strings.Contains(s.Errors[1].Stack, "worker.explode") {
			t.Errorf("stack: %s", s.Errors[1].Stack)
		}
	})
}

// A handler that ends its goroutine must not cost the pool a slot.
func TestGoexitKeepsThePool(t *testing.T) {
	inBubble(t, func(e *env) {
		r := newRig(func(context.Context, *queue.Job[queue.Raw]) error {
			runtime.Goexit()
			return nil
		})
		var g gauge
		together := make(chan struct{})
		r.HandleKind("pair", func(context.Context, *queue.Job[queue.Raw]) error {
			defer g.enter()()
			together <- struct{}{}
			return nil
		})
		p := e.start(r.Mux, Config{Concurrency: 2})
		var last queue.Snapshot
		for range 10 {
			id := e.add("job", queue.MaxAttempts(1))
			e.drained(time.Second)
			last = *e.wantState(id, queue.DeadState)
		}
		if !strings.Contains(last.Reason, "runtime.Goexit") {
			t.Errorf("reason: %q", last.Reason)
		}
		for range 4 {
			e.add("pair")
		}
		time.Sleep(time.Second)
		for range 4 {
			<-together
		}
		e.drained(time.Second)
		if _, most := g.read(); most != 2 {
			t.Errorf("%d handlers at once, want 2", most)
		}
		p.stopClean()
	})
}

func TestResultIsKept(t *testing.T) {
	inBubble(t, func(e *env) {
		r := newRig(func(_ context.Context, job *queue.Job[queue.Raw]) error {
			if err := job.SetResult(make([]byte, queue.MaxResult+1)); !errors.Is(err, queue.ErrPayloadTooLarge) {
				return queue.Dead(fmt.Errorf("too large a result: %v", err))
			}
			return job.SetResult([]byte("42\x00\xff"))
		})
		e.start(r.Mux, Config{})
		kept, forgotten := e.add("job", queue.Retain(time.Minute)), e.add("job")
		e.drained(time.Second)
		s := e.wantState(kept, queue.Succeeded)
		if string(s.Result) != "42\x00\xff" || s.EndedAt.IsZero() || s.KeptUntil.Sub(s.EndedAt).Round(time.Second) != time.Minute {
			t.Errorf("%+v", s)
		}
		e.wantState(forgotten, "")
		time.Sleep(70 * time.Second)
		e.wantState(kept, "")
		if e.b.M.Exists(e.q.Key(8)) {
			t.Error("its result outlived it")
		}
	})
}
