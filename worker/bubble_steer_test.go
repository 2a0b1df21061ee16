package worker

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// blocked waits for its context and tells why that ended.
func blocked(causes *list[error]) Handler {
	return func(ctx context.Context, _ *queue.Job[queue.Raw]) error {
		<-ctx.Done()
		causes.add(context.Cause(ctx))
		return ctx.Err()
	}
}

func (e *env) cancel(id uuid.UUID, want queue.State) {
	e.Helper()
	got, err := e.client.Cancel(e.ctx, queue.DefaultQueue, id.String())
	e.must(err)
	if got != want {
		e.Fatalf("cancel answered %q, want %q", got, want)
	}
}

func TestCancelRunning(t *testing.T) {
	for name, c := range map[string]struct {
		lost   bool // the hint does not arrive
		within time.Duration
	}{"hint": {false, 50 * time.Millisecond}, "heartbeat": {true, 2100 * time.Millisecond}} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(e *env) {
				var causes list[error]
				r := newRig(blocked(&causes))
				e.start(r.Mux, Config{})
				id, gone := e.add("job", queue.Retain(time.Hour)), e.add("job")
				e.wait(time.Second, "the handlers", func() bool { return r.n() == 2 })
				time.Sleep(500 * time.Millisecond)
				if c.lost {
					// The publisher goes away before the server hears of it.
					release := e.b.HoldRequest(redistest.On("PUBLISH"))
					defer release()
				}
				began := time.Now()
				ctx, stop := context.WithTimeout(e.ctx, 10*time.Millisecond)
				defer stop()
				for _, id := range []uuid.UUID{id, gone} {
					state, err := e.client.Cancel(ctx, queue.DefaultQueue, id.String())
					if !c.lost && (err != nil || state != queue.Running) {
						t.Fatalf("cancel: %q, %v", state, err)
					}
					ctx, stop = context.WithTimeout(e.ctx, 10*time.Millisecond)
					defer stop()
				}
				e.wait(5*time.Second, "the handlers' end", func() bool { return causes.len() == 2 })
				if took := time.Since(began); took > c.within {
					t.Errorf("it took %v", took)
				}
				for _, cause := range causes.all() {
					if !errors.Is(cause, queue.ErrCancelled) {
						t.Errorf("cause: %v", cause)
					}
				}
				e.drained(time.Second)
				e.wantState(id, queue.Cancelled)
				e.wantState(gone, "")
				if n := e.counts(); n.Cancelled != 2 || n.Failed != 0 || r.n() != 2 {
					t.Errorf("%d starts, %+v", r.n(), n)
				}
			})
		})
	}
}

// A handler that finishes its work all the same has succeeded.
func TestCancelTooLate(t *testing.T) {
	inBubble(t, func(e *env) {
		r := newRig(func(ctx context.Context, _ *queue.Job[queue.Raw]) error {
			<-ctx.Done()
			return nil
		})
		e.start(r.Mux, Config{})
		id := e.add("job", queue.Retain(time.Hour))
		e.wait(time.Second, "the handler", func() bool { return r.n() == 1 })
		e.cancel(id, queue.Running)
		e.drained(5 * time.Second)
		e.wantState(id, queue.Succeeded)
	})
}

func TestCancelWaiting(t *testing.T) {
	inBubble(t, func(e *env) {
		ready, scheduled := e.add("job", queue.Retain(time.Hour)), e.add("job", queue.In(time.Minute), queue.Retain(time.Hour))
		other := e.add("job")
		e.cancel(ready, queue.Cancelled)
		e.cancel(scheduled, queue.Cancelled)
		r := newRig(succeed)
		p := e.start(r.Mux, Config{})
		time.Sleep(2 * time.Minute)
		p.stopClean()
		if r.n() != 1 || r.info(0).ID != other {
			t.Errorf("ran: %+v", r.infos())
		}
		e.wantState(ready, queue.Cancelled)
		e.wantState(scheduled, queue.Cancelled)
	})
}

// A job that was cancelled as the next one due must not make those after it late.
func TestCancelHeadOfScheduled(t *testing.T) {
	inBubble(t, func(e *env) {
		r := newRig(succeed)
		e.start(r.Mux, Config{})
		time.Sleep(time.Second)
		head := e.add("job", queue.In(800*time.Millisecond))
		due := time.Now().Add(900 * time.Millisecond)
		e.add("job", queue.In(900*time.Millisecond))
		time.Sleep(400 * time.Millisecond)
		e.cancel(head, queue.Cancelled)
		e.drained(10 * time.Second)
		if late := r.at(0).Sub(due); late < 0 || late > 5*time.Millisecond {
			t.Errorf("the job after it started %v after its time", late)
		}
	})
}

func TestPauseAndResume(t *testing.T) {
	inBubble(t, func(e *env) {
		release := make(chan struct{})
		r := newRig(func(context.Context, *queue.Job[queue.Raw]) error {
			<-release
			return nil
		})
		e.start(r.Mux, Config{Concurrency: 3})
		for range 10 {
			e.add("job")
		}
		e.wait(time.Second, "three handlers", func() bool { return r.n() == 3 })
		changed, err := e.client.Pause(e.ctx, queue.DefaultQueue)
		if err != nil || !changed {
			t.Fatalf("pause: %v, %v", changed, err)
		}
		time.Sleep(50 * time.Millisecond)
		for range 3 { // those that run may finish, and are acknowledged
			release <- struct{}{}
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		if n := e.counts(); n.Ready != 7 || n.Running != 0 || n.Succeeded != 3 || r.n() != 3 {
			t.Fatalf("while paused: %d starts, %+v", r.n(), n)
		}
		if lines := e.logs.find("queue paused or resumed"); len(lines) != 1 {
			t.Errorf("logged %d times: %v", len(lines), lines)
		}
		_, err = e.client.Resume(e.ctx, queue.DefaultQueue)
		e.must(err)
		e.wait(50*time.Millisecond, "three handlers again", func() bool { return r.n() == 6 })
		close(release)
		e.drained(time.Second)
	})
}

// What was fetched ahead goes back when its queue is paused, and keeps its place.
func TestPauseEmptiesTheBuffer(t *testing.T) {
	inBubble(t, func(e *env) {
		var order list[string]
		gate := make(chan struct{})
		mux := NewMux()
		mux.HandleKind("job", func(_ context.Context, job *queue.Job[queue.Raw]) error {
			order.add(job.Key)
			if job.Key == "100" {
				<-gate
			}
			return nil
		})
		for i := range 300 {
			e.add("job", queue.ID(fmt.Sprint(i)))
		}
		e.start(mux, Config{Concurrency: 1})
		e.wait(time.Minute, "the hundredth", func() bool { return order.len() == 101 })
		_, err := e.client.Pause(e.ctx, queue.DefaultQueue)
		e.must(err)
		e.wait(time.Second, "the buffer to go back", func() bool { return e.counts().Running <= 1 })
		close(gate)
		time.Sleep(time.Second)
		if n := e.counts(); n.Running != 0 || n.Ready != 199 || n.Succeeded != 101 {
			t.Fatalf("while paused: %+v", n)
		}
		_, err = e.client.Resume(e.ctx, queue.DefaultQueue)
		e.must(err)
		e.drained(time.Minute)
		for i, key := range order.all() {
			if key != fmt.Sprint(i) {
				t.Fatalf("place %d was taken by %s", i, key)
			}
		}
	})
}

func TestQuiet(t *testing.T) {
	inBubble(t, func(e *env) {
		r := newRig(succeed)
		p := e.start(r.Mux, Config{})
		time.Sleep(time.Second) // it waits for work now, and will be woken by it
		p.w.Quiet(true)
		e.add("job")
		time.Sleep(time.Minute)
		if n := e.counts(); n.Ready != 1 {
			t.Fatalf("while quiet: %+v", n)
		}
		second := newRig(succeed)
		other := e.start(second.Mux, Config{})
		e.drained(time.Second)
		other.stopClean()
		e.add("job")
		p.w.Quiet(false)
		e.drained(50 * time.Millisecond)
		if r.n() != 1 || second.n() != 1 {
			t.Errorf("%d and %d starts", r.n(), second.n())
		}
	})
}

// The wake token that a quiet worker's blocking pop may still take is not lost to the others.
func TestQuietGivesTokensBack(t *testing.T) {
	inBubble(t, func(e *env) {
		first, second := newRig(succeed), newRig(succeed)
		p := e.start(first.Mux, Config{})
		e.start(second.Mux, Config{})
		for range 10 { // it is chance who of the two is woken
			p.w.Quiet(false)
			time.Sleep(time.Second)
			p.w.Quiet(true)
			e.add("job")
			e.drained(50 * time.Millisecond)
		}
		if first.n() != 0 || second.n() != 10 {
			t.Errorf("%d and %d starts", first.n(), second.n())
		}
	})
}
