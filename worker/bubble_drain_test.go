package worker

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/queue"
)

// wantStop stops the worker and holds what Run returned, and how long it took, against what is allowed.
func (p *proc) wantStop(want error, within time.Duration) {
	p.e.Helper()
	took, err := p.stop()
	if !errors.Is(err, want) || want == nil && err != nil {
		p.e.Errorf("Run returned %v, want %v", err, want)
	}
	if took > within {
		p.e.Errorf("Run took %v to return, at most %v are allowed", took, within)
	}
}

// wantLeft holds the queue's counts against what a stopped worker must leave: nothing running, no session, no crash.
func (e *env) wantLeft(ready, scheduled, succeeded int64) {
	e.Helper()
	if n := e.counts(); n.Ready != ready || n.Scheduled != scheduled || n.Succeeded != succeeded || n.Running != 0 || n.Failed != 0 || n.Recovered != 0 {
		e.Errorf("left behind: %+v, want %d ready, %d scheduled, %d succeeded", n, ready, scheduled, succeeded)
	}
	for _, key := range []string{e.q.Key(keys.Sessions), "tm:workers"} {
		if e.b.M.Exists(key) {
			e.Errorf("%s is left behind", key)
		}
	}
	if lost := e.logs.find("session lost"); len(lost) > 0 {
		e.Errorf("logged %v", lost)
	}
}

func TestDrainIdle(t *testing.T) {
	inBubble(t, func(e *env) {
		for _, idle := range []time.Duration{0, time.Millisecond, 7 * time.Second} {
			p := e.launch(newRig(succeed).Mux, Config{Queues: []Queue{{Name: "default"}, {Name: "b"}, {Name: "c"}}})
			time.Sleep(idle)
			p.wantStop(nil, 50*time.Millisecond)
			e.wantLeft(0, 0, 0)
		}
	})
}

func TestDrainWithScheduledOnly(t *testing.T) {
	inBubble(t, func(e *env) {
		p := e.start(newRig(succeed).Mux, Config{})
		id := e.add("job", queue.In(time.Minute))
		time.Sleep(time.Second)
		p.wantStop(nil, 50*time.Millisecond)
		e.wantLeft(0, 1, 0)
		e.wantState(id, queue.Scheduled)
	})
}

// What a call claims whose answer comes during the drain goes back, in its order and at once.
func TestDrainWhileClaiming(t *testing.T) {
	inBubble(t, func(e *env) {
		var order list[queue.Info]
		p := e.start(taken(&order), Config{Concurrency: 20})
		e.b.Delay(delayed(script("exchange"), 300*time.Millisecond))
		for i := range 50 {
			e.add("job", queue.ID(fmt.Sprint(i)))
		}
		time.Sleep(150 * time.Millisecond)
		p.wantStop(nil, time.Second)
		e.wantLeft(50, 0, 0)
		e.b.Delay(nil)
		e.start(taken(&order), Config{Concurrency: 1})
		e.drained(time.Second)
		for i, info := range order.all() {
			if info.Key != fmt.Sprint(i) || info.Crashes != 0 {
				t.Fatalf("place %d was taken by %s, crashes %d", i, info.Key, info.Crashes)
			}
		}
	})
}

// Handlers that finish in time are waited for, and nothing new is started meanwhile.
func TestDrainWhileRunning(t *testing.T) {
	inBubble(t, func(e *env) {
		r := newRig(func(context.Context, *queue.Job[queue.Raw]) error {
			time.Sleep(20 * time.Second)
			return nil
		})
		p := e.start(r.Mux, Config{Concurrency: 5})
		e.addMany(30)
		e.wait(time.Second, "the handlers", func() bool { return r.n() == 5 })
		p.wantStop(nil, 20*time.Second)
		e.wantLeft(25, 0, 5)
	})
}

// Those that do not are told to end, and go to the front with no attempt used.
func TestDrainTimesOut(t *testing.T) {
	inBubble(t, func(e *env) {
		var causes list[error]
		r := newRig(blocked(&causes))
		p := e.start(r.Mux, Config{Concurrency: 5})
		for i := range 8 {
			e.add("job", queue.ID(fmt.Sprint(i)))
		}
		e.wait(time.Second, "the handlers", func() bool { return r.n() == 5 })
		p.wantStop(ErrDrainTimeout, DefaultDrain+100*time.Millisecond)
		e.wantLeft(8, 0, 0)
		for _, cause := range causes.all() {
			if !errors.Is(cause, queue.ErrDraining) {
				t.Errorf("cause: %v", cause)
			}
		}
		var order list[queue.Info]
		e.start(taken(&order), Config{Concurrency: 1})
		e.drained(time.Second)
		front := make(map[string]bool)
		for _, info := range order.all()[:5] {
			front[info.Key] = true
			if info.Attempt != 1 || info.Crashes != 0 {
				t.Errorf("job %s: %+v", info.Key, info)
			}
		}
		if len(front) != 5 || front["5"] || front["6"] || front["7"] {
			t.Errorf("the first five were %v", front)
		}
	})
}

func TestAbortEndsTheDrain(t *testing.T) {
	inBubble(t, func(e *env) {
		var causes list[error]
		r := newRig(blocked(&causes))
		p := e.start(r.Mux, Config{})
		e.add("job")
		e.wait(time.Second, "the handler", func() bool { return r.n() == 1 })
		time.AfterFunc(3*time.Second, p.w.Abort)
		p.wantStop(ErrDrainTimeout, 3100*time.Millisecond)
		e.wantLeft(1, 0, 0)
	})
}

// A handler that ignores the end of its context does not hold the process up; what it returns later is not heard.
func TestDrainLeavesStuckHandler(t *testing.T) {
	inBubble(t, func(e *env) {
		release := make(chan struct{})
		r := newRig(func(context.Context, *queue.Job[queue.Raw]) error {
			<-release
			return nil
		})
		p := e.start(r.Mux, Config{Drain: time.Second, Settle: 3 * time.Second})
		id := e.add("job")
		e.wait(time.Second, "the handler", func() bool { return r.n() == 1 })
		p.wantStop(ErrDrainTimeout, 4*time.Second)
		e.wantLeft(1, 0, 0)
		close(release)
		time.Sleep(time.Second)
		e.wantState(id, queue.Ready)
	})
}

// An acknowledgement that is on its way when the worker stops arrives.
func TestDrainWhileSettling(t *testing.T) {
	inBubble(t, func(e *env) {
		r := newRig(succeed)
		p := e.start(r.Mux, Config{})
		e.b.Delay(delayed(script("exchange", "fail"), 700*time.Millisecond))
		e.add("job")
		e.wait(2*time.Second, "the handler", func() bool { return r.n() == 1 })
		time.Sleep(5 * time.Millisecond)
		p.wantStop(nil, 2*time.Second)
		e.wantLeft(0, 0, 1)
	})
}

// The caller's context ends what is claimed, never what is acknowledged (River's and others' first bug).
func TestStopInsideAHandler(t *testing.T) {
	inBubble(t, func(e *env) {
		var p *proc
		ready := make(chan struct{})
		r := newRig(func(ctx context.Context, _ *queue.Job[queue.Raw]) error {
			<-ready
			p.end()
			time.Sleep(time.Second)
			return ctx.Err() // its own context is not the one that ended
		})
		p = e.start(r.Mux, Config{})
		close(ready)
		e.add("job")
		<-p.done
		if p.err != nil {
			t.Errorf("Run returned %v", p.err)
		}
		e.wantLeft(0, 0, 1)
	})
}

// Without Redis a worker still stops by its deadline; its jobs run again, on no attempt's account.
func TestDrainWithoutRedis(t *testing.T) {
	for name, c := range map[string]struct {
		frozen bool
		stuck  bool // handlers outlast the drain time
		limit  time.Duration
	}{
		"refused, handlers end":  {false, false, 2 * time.Second},
		"refused, handlers stay": {false, true, 3 * time.Second},
		"frozen, handlers end":   {true, false, 2 * time.Second},
		"frozen, handlers stay":  {true, true, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(e *env) {
				r := newRig(func(ctx context.Context, _ *queue.Job[queue.Raw]) error {
					if c.stuck {
						<-ctx.Done()
						return ctx.Err()
					}
					time.Sleep(200 * time.Millisecond)
					return nil
				})
				p := e.start(r.Mux, Config{Concurrency: 5, Drain: time.Second, Settle: 2 * time.Second})
				e.addMany(9)
				e.wait(time.Second, "the handlers", func() bool { return r.n() == 5 })
				back := e.blackout(c.frozen)
				time.Sleep(100 * time.Millisecond)
				took, err := p.stop()
				if err == nil || c.stuck != errors.Is(err, ErrDrainTimeout) {
					t.Errorf("Run returned %v", err)
				}
				if took > c.limit+leaveWithin+100*time.Millisecond {
					t.Errorf("Run took %v", took)
				}
				time.Sleep(10 * time.Second)
				back()
				second := newRig(succeed)
				e.start(second.Mux, Config{})
				e.drained(20 * time.Second)
				// What was acknowledged in the sockets of the frozen server counts; the others run again.
				if n := e.counts(); n.Succeeded != 9 || n.Failed != 0 || second.n() > 9 {
					t.Errorf("%d starts, %+v", second.n(), n)
				}
				for _, info := range second.infos() {
					if info.Attempt != 1 {
						t.Errorf("an attempt was charged: %+v", info)
					}
				}
			})
		})
	}
}

// A worker that never reached its Redis stops at once when told to.
func TestStopBeforeStart(t *testing.T) {
	inBubble(t, func(e *env) {
		p := e.launch(NewMux(), Config{})
		p.wantStop(nil, 50*time.Millisecond)
		if err := p.w.Run(e.ctx); !errors.Is(err, queue.ErrInvalid) {
			t.Errorf("a second Run: %v", err)
		}
		e.b.Refuse(true)
		e.b.Cut()
		w, err := New(e.client, NewMux(), Config{})
		e.must(err)
		if err := w.Run(e.ctx); !errors.Is(err, queue.ErrUnavailable) {
			t.Errorf("Run without Redis: %v", err)
		}
	})
}
