package worker

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemill/tidemill/queue"
)

func TestExpiredJobIsDropped(t *testing.T) {
	inBubble(t, func(e *env) {
		var r *rig
		r = newRig(func(context.Context, *queue.Job[queue.Raw]) error {
			if r.n() == 1 {
				return queue.RetryAfter(errors.New("once more"), time.Minute)
			}
			return nil
		})
		late := e.add("job", queue.ExpireIn(time.Second), queue.Retain(24*time.Hour))
		gone := e.add("job", queue.ExpireIn(time.Second))
		time.Sleep(1100 * time.Millisecond)
		inTime := e.add("job", queue.ExpireIn(time.Second), queue.Retain(24*time.Hour))
		e.start(r.Mux, Config{})
		e.drained(2 * time.Minute)
		e.wantState(late, queue.Expired)
		e.wantState(gone, "")
		e.wantState(inTime, queue.Succeeded) // started in time, so its retry may come later
		if n := e.counts(); r.n() != 2 || n.Expired != 2 || n.Failed != 1 {
			t.Errorf("%d starts, %+v", r.n(), n)
		}
	})
}

// "Not started by" is about the first start: one that was put off by its handler, or went back in a drain, did start.
func TestStartedJobDoesNotExpire(t *testing.T) {
	inBubble(t, func(e *env) {
		var r *rig
		r = newRig(func(ctx context.Context, _ *queue.Job[queue.Raw]) error {
			switch r.n() {
			case 1:
				return queue.Snooze(time.Minute)
			case 2:
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		})
		p := e.start(r.Mux, Config{Drain: time.Second})
		id := e.add("job", queue.ExpireIn(10*time.Second), queue.Retain(time.Hour))
		e.wait(2*time.Minute, "the second start", func() bool { return r.n() == 2 })
		if _, err := p.stop(); !errors.Is(err, ErrDrainTimeout) {
			t.Errorf("Run: %v", err)
		}
		e.start(r.Mux, Config{})
		e.drained(time.Minute)
		e.wantState(id, queue.Succeeded)
	})
}

func TestTimeoutHasItsCause(t *testing.T) {
	inBubble(t, func(e *env) {
		var causes list[error]
		var until time.Duration // written before the cause, read after it
		var r *rig
		r = newRig(func(ctx context.Context, _ *queue.Job[queue.Raw]) error {
			if r.n() > 1 {
				return nil
			}
			deadline, _ := ctx.Deadline()
			until = time.Until(deadline)
			<-ctx.Done()
			causes.add(context.Cause(ctx))
			return ctx.Err()
		})
		e.start(r.Mux, Config{Retry: steady, Timeout: time.Minute})
		id := e.add("job", queue.Timeout(3*time.Second), queue.Retain(time.Hour))
		e.drained(2 * time.Minute)
		s := e.wantState(id, queue.Succeeded)
		if cause := causes.all()[0]; !errors.Is(cause, queue.ErrTimeout) || until != 3*time.Second || s.Attempts != 2 {
			t.Errorf("cause %v, deadline in %v, %d attempts", cause, until, s.Attempts)
		}
		if s.Errors[0].Error != "context canceled (job timed out: context deadline exceeded)" {
			t.Errorf("error: %q", s.Errors[0].Error)
		}
		if took := s.Errors[0].At.Sub(r.at(0)); took.Round(10*time.Millisecond) != 3*time.Second {
			t.Errorf("timed out after %v", took)
		}
	})
}

func TestDefaultTimeoutAndDeadline(t *testing.T) {
	inBubble(t, func(e *env) {
		r := newRig(func(ctx context.Context, _ *queue.Job[queue.Raw]) error {
			<-ctx.Done()
			return context.Cause(ctx)
		})
		e.start(r.Mux, Config{Retry: steady, Timeout: 5 * time.Second})
		began := time.Now()
		// Attempts at 0 (to 5 s), 15 (to 20 s) and 40 s (to 42 s, the deadline); the next would come after it.
		id := e.add("job", queue.Deadline(began.Add(42*time.Second)))
		e.drained(10 * time.Minute)
		s := e.wantState(id, queue.DeadState)
		if r.n() != 3 || !strings.Contains(s.Reason, "deadline passed before it was started") {
			t.Errorf("%d starts, reason %q", r.n(), s.Reason)
		}
		if f := s.Errors[2]; f.At.Sub(began).Round(50*time.Millisecond) != 42*time.Second || !strings.Contains(f.Error, "timed out") {
			t.Errorf("the third attempt: %+v", f)
		}
	})
}

// Time is exact: delayed jobs start at their time, never before it.
func TestDelayedJobsAreExact(t *testing.T) {
	inBubble(t, func(e *env) {
		r := newRig(succeed)
		e.start(r.Mux, Config{Concurrency: 1})
		e.start(r.Mux, Config{Concurrency: 1})
		time.Sleep(5 * time.Second)
		var due []time.Time
		for i, d := range []time.Duration{time.Millisecond, 300 * time.Millisecond, 999 * time.Millisecond, 1500 * time.Millisecond,
			2700 * time.Millisecond, 11 * time.Second, 25 * time.Second, time.Minute} {
			time.Sleep(370 * time.Microsecond) // due times are kept in whole ms
			at := time.Now().Add(d)
			due = append(due, at)
			e.add("job", []queue.Option{queue.In(d), queue.At(at)}[i%2])
		}
		e.drained(2 * time.Minute)
		for i := range due {
			if late := r.at(i).Sub(due[i]); late < 0 || late > 5*time.Millisecond {
				t.Errorf("job %d started %v after its time", i, late)
			}
		}
	})
}

// A head that comes while the timer asks Redis must not be overlooked: the answer under way does not know of it.
func TestEarlierJobDuringPromote(t *testing.T) {
	inBubble(t, func(e *env) {
		r := newRig(succeed)
		e.start(r.Mux, Config{SessionTTL: time.Hour})
		e.add("job", queue.In(30*time.Minute))
		time.Sleep(time.Second)
		asked := make(chan struct{}, 1)
		e.b.Delay(func(cmd string, args []string) time.Duration {
			if !script("promote")(cmd, args) {
				return 0
			}
			select {
			case asked <- struct{}{}:
			default:
			}
			return 200 * time.Millisecond
		})
		<-asked // the timer looks every 10 s; its answer was given and is on its way
		time.Sleep(50 * time.Millisecond)
		e.add("job", queue.In(600*time.Millisecond))
		due := time.Now().Add(600 * time.Millisecond)
		time.Sleep(5 * time.Second)
		e.b.Delay(nil)
		if r.n() != 1 {
			t.Fatal("it did not run")
		}
		if late := r.at(0).Sub(due); late < 0 || late > 250*time.Millisecond {
			t.Errorf("it started %v after its time", late)
		}
	})
}

// A job that is due in thousands of years is waited for like any other.
func TestDueInTheYear9999(t *testing.T) {
	inBubble(t, func(e *env) {
		r := newRig(succeed)
		var promotes atomic.Int64
		e.b.Delay(func(cmd string, args []string) time.Duration {
			if !script("promote")(cmd, args) {
				return 0
			}
			promotes.Add(1)
			return time.Millisecond
		})
		e.start(r.Mux, Config{})
		e.start(r.Mux, Config{})
		e.add("job", queue.At(time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)))
		time.Sleep(time.Minute)
		if n := promotes.Load(); r.n() != 0 || n > 60 {
			t.Errorf("%d starts, %d looks in a minute", r.n(), n)
		}
	})
}

func TestTimerOutlivesItsHolder(t *testing.T) {
	inBubble(t, func(e *env) {
		r := newRig(succeed)
		first := e.start(r.Mux, Config{})
		for range 5 { // whichever moment of the others' heartbeat it is
			e.add("job", queue.In(1500*time.Millisecond))
			due := time.Now().Add(1500 * time.Millisecond)
			time.Sleep(730 * time.Millisecond) // the only worker holds the timer now
			next := e.start(r.Mux, Config{})
			first.gate.close()
			before := r.n()
			e.wait(5*time.Second, "the job", func() bool { return r.n() > before })
			if late := r.at(before).Sub(due); late < 0 || late > 2*time.Second {
				t.Errorf("started %v after its time", late)
			}
			first.gate.open()
			first.stopClean()
			first = next
		}
	})
}

// The server's clock is the one that counts.
func TestDelaysFollowTheServersClock(t *testing.T) {
	for _, offset := range []time.Duration{-90 * time.Second, 37*time.Second + 123*time.Millisecond} {
		t.Run(offset.String(), func(t *testing.T) {
			inBubble(t, func(e *env) {
				stop := e.offset(offset)
				defer stop()
				r := newRig(succeed)
				e.start(r.Mux, Config{})
				time.Sleep(3 * time.Second)
				for i, d := range []time.Duration{400 * time.Millisecond, 3 * time.Second, 13 * time.Second} {
					at := time.Now().Add(d)
					e.add("job", queue.In(d))
					absolute := e.add("job", queue.At(at.Add(offset)), queue.Retain(time.Hour))
					time.Sleep(d + 100*time.Millisecond)
					e.wantState(absolute, queue.Succeeded)
					for _, started := range r.times()[2*i:] {
						// The server's clock moves in steps of 1 ms here.
						if late := started.Sub(at); late < -2*time.Millisecond || late > 5*time.Millisecond {
							t.Errorf("after %v: started %v after its time", d, late)
						}
					}
				}
			})
		})
	}
}

// offset makes the server's clock differ from the bubble's.
func (e *env) offset(by time.Duration) (stop func()) {
	e.b.M.SetTime(time.Now().Add(by))
	ctx, cancel := context.WithCancel(e.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				e.b.M.SetTime(time.Now().Add(by))
			}
		}
	}()
	return func() { cancel(); <-done }
}
