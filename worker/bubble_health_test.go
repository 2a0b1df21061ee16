package worker

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// ready waits until the worker is, or is not for a reason that contains text, and answers what it says.
func (p *proc) ready(within time.Duration, reason string) Health {
	p.e.Helper()
	for end := time.Now().Add(within); ; time.Sleep(10 * time.Millisecond) {
		h := p.w.Health()
		if h.Ready == (reason == "") && (reason == "" || len(h.Reasons) > 0 && strings.Contains(h.Reasons[0], reason)) {
			return h
		}
		if !time.Now().Before(end) {
			p.e.Fatalf("after %v ready is %v because of %q, want %q", within, h.Ready, h.Reasons, reason)
		}
	}
}

// staysReady fails the test when the worker is not ready at some moment.
func (p *proc) staysReady(d time.Duration) {
	p.e.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if h := p.w.Health(); !h.Ready {
			p.e.Fatalf("not ready %v before the end: %q", time.Until(end), h.Reasons)
		}
	}
}

func TestHealthThroughALife(t *testing.T) {
	inBubble(t, func(e *env) {
		release := make(chan struct{})
		r := newRig(func(context.Context, *queue.Job[queue.Raw]) error { <-release; return nil })
		w, err := New(e.client, r.Mux, Config{})
		e.must(err)
		if h := w.Health(); h.Ready || h.Phase != "starting" || len(h.Reasons) != 1 || !h.Heartbeat.IsZero() || len(h.Queues) != 1 {
			t.Errorf("before Run: %+v", h)
		}
		p := e.start(r.Mux, Config{Concurrency: 7})
		if h := p.ready(time.Second, ""); h.Phase != "working" || h.Concurrency != 7 || h.Heartbeat.IsZero() || !h.Queues[0].Session || !h.Queues[0].Ready {
			t.Errorf("at work: %+v", h)
		}
		p.staysReady(time.Minute) // idle
		e.add("job")
		e.wait(time.Second, "the handler", func() bool { return r.n() == 1 })
		if h := p.w.Health(); !h.Ready || h.Running != 1 || h.Queues[0].Running != 1 {
			t.Errorf("with a job: %+v", h)
		}
		p.w.Quiet(true)
		if h := p.ready(0, "quiet"); h.Phase != "quiet" || h.Queues[0].Ready || h.Queues[0].Reason != "" {
			t.Errorf("quiet: %+v", h)
		}
		p.w.Quiet(false)
		p.ready(0, "")
		p.end()
		if h := p.ready(time.Second, "draining: it takes no more jobs, 1 still run"); h.Phase != "draining" {
			t.Errorf("draining: %+v", h)
		}
		close(release)
		<-p.done
		if h := p.w.Health(); h.Ready || h.Phase != "stopped" || strings.Join(h.Reasons, ";") != "stopped" {
			t.Errorf("in the end: %+v", h)
		}
	})
}

// A queue that an operator paused is no fault of the worker's.
func TestHealthOfAPausedQueue(t *testing.T) {
	inBubble(t, func(e *env) {
		p := e.start(newRig(succeed).Mux, Config{})
		_, err := e.client.Pause(e.ctx, queue.DefaultQueue)
		e.must(err)
		e.wait(5*time.Second, "the pause", func() bool { return p.w.Health().Queues[0].Paused })
		p.staysReady(10 * time.Second)
	})
}

// Redis away, or standing still: not ready within a heartbeat and its time, and ready again once it answers.
func TestHealthWithoutRedis(t *testing.T) {
	for name, frozen := range map[string]bool{"refused": false, "frozen": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(e *env) {
				p := e.start(newRig(succeed).Mux, Config{})
				p.ready(time.Second, "")
				back := e.blackout(frozen)
				began := time.Now()
				h := p.ready(6*time.Second, "queue default: Redis has answered no heartbeat for")
				t.Logf("noticed after %v: %q", time.Since(began), h.Reasons)
				time.Sleep(time.Minute)
				p.ready(0, "Redis has answered no heartbeat for 1m")
				back()
				p.ready(5*time.Second, "")
				p.staysReady(time.Minute)
			})
		})
	}
}

// What fails for every queue is told once.
func TestHealthTellsACommonReasonOnce(t *testing.T) {
	inBubble(t, func(e *env) {
		p := e.start(newRig(succeed).Mux, Config{Queues: []Queue{{Name: "a"}, {Name: "b"}}})
		p.ready(time.Second, "")
		defer e.blackout(true)()
		if h := p.ready(6*time.Second, "every queue: Redis has answered no heartbeat"); len(h.Reasons) != 1 {
			t.Errorf("%q", h.Reasons)
		}
	})
}

// Only the connection that waits for work is dead, without a word: heartbeats and calls for jobs go on.
func TestHealthOfADeadBlockingConnection(t *testing.T) {
	inBubble(t, func(e *env) {
		p := e.start(newRig(succeed).Mux, Config{})
		p.staysReady(time.Minute)
		release := e.b.HoldRequest(redistest.On("blpop"))
		began := time.Now()
		p.ready(26*time.Second, "queue default: the connection that waits for work is dead")
		t.Logf("noticed after %v", time.Since(began))
		release()
		p.ready(25*time.Second, "")
		p.staysReady(time.Minute)
	})
}

// Calls for jobs, or of failures, are not answered while heartbeats are.
func TestHealthOfCallsThatAreNotAnswered(t *testing.T) {
	for name, reason := range map[string]string{"exchange": "Redis has not answered a call for jobs for", "fail": "Redis has not taken what failed jobs came to for"} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(e *env) {
				r := newRig(func(context.Context, *queue.Job[queue.Raw]) error { return queue.Snooze(time.Hour) })
				p := e.start(r.Mux, Config{})
				p.ready(time.Second, "")
				release := e.b.HoldRequest(script(name))
				e.add("job")
				p.ready(10*time.Second, "queue default: "+reason)
				release()
				p.ready(5*time.Second, "")
			})
		})
	}
}

// A key of the wrong type stops one queue, and health says which and why.
func TestHealthOfABrokenQueue(t *testing.T) {
	inBubble(t, func(e *env) {
		p := e.start(newRig(succeed).Mux, Config{Queues: []Queue{{Name: "default"}, {Name: "other"}}})
		p.ready(time.Second, "")
		key := e.q.Key(keys.Dead)
		e.must(e.b.M.Set(key, "not ours"))
		h := p.ready(3*time.Second, "queue default: stopped, since Redis refuses its calls")
		if len(h.Reasons) != 1 || !strings.Contains(h.Reasons[0], key) || h.Queues[0].Ready || !h.Queues[1].Ready {
			t.Errorf("%+v", h)
		}
		e.b.M.Del(key)
		p.ready(5*time.Second, "")
	})
}

// Handlers that ignore the end of their context hold every slot: nothing is run any more.
func TestHealthOfStuckHandlers(t *testing.T) {
	inBubble(t, func(e *env) {
		release := make(chan struct{})
		r := newRig(func(context.Context, *queue.Job[queue.Raw]) error { <-release; return nil })
		p := e.start(r.Mux, Config{Concurrency: 2})
		e.add("job", queue.Timeout(time.Second))
		e.wait(30*time.Second, "one that is stuck", func() bool { return p.w.Health().Stuck == 1 })
		p.staysReady(10 * time.Second)
		e.add("job", queue.Timeout(time.Second))
		p.ready(30*time.Second, "all 2 slots are held by handlers that ignore the end of their context")
		close(release)
		if h := p.ready(5*time.Second, ""); h.Stuck != 0 {
			t.Errorf("%+v", h)
		}
	})
}

// A session that is lost: its jobs are other workers', it has another at once, and the tally tells of it.
func TestHealthTallies(t *testing.T) {
	inBubble(t, func(e *env) {
		release := make(chan struct{})
		slow := newRig(func(context.Context, *queue.Job[queue.Raw]) error { <-release; return nil })
		p := e.start(slow.Mux, Config{})
		e.add("job")
		e.wait(time.Second, "the handler", func() bool { return slow.n() == 1 })
		other := e.start(newRig(succeed).Mux, Config{})
		p.gate.close()
		e.wait(20*time.Second, "the job to be taken back", func() bool { return other.w.Health().Queues[0].Tally.Recovered == 1 })
		p.gate.open()
		e.wait(20*time.Second, "the session to be lost", func() bool { return p.w.Health().Queues[0].Tally.SessionsLost == 1 })
		p.ready(10*time.Second, "")
		close(release)
	})
}

// The watchdog: work, a free slot, and no answer to any call for jobs from one heartbeat to the next.
func TestWatchdog(t *testing.T) {
	w := bench(t, Config{Concurrency: 2})
	c := w.consumers[0]
	c.active, c.maybe = true, false
	now := time.Now()
	look := func(after time.Duration) bool {
		w.watchLocked(now.Add(after))
		return !w.stalled.IsZero()
	}
	if look(0) {
		t.Error("nothing is to be done")
	}
	c.hint()
	w.answers++
	if look(time.Second) {
		t.Error("a call was answered since")
	}
	if !look(2 * time.Second) {
		t.Error("nothing was asked for since")
	}
	began := w.stalled
	if !look(4*time.Second) || w.stalled != began {
		t.Error("that goes on")
	}
	w.waker, w.ttl = new(waker), DefaultSessionTTL
	look(12 * time.Second)
	if text := w.troubleLocked(now.Add(20 * time.Second)); !strings.Contains(text, "there is work and a free slot") {
		t.Errorf("it says %q", text)
	}
	w.running = 2
	if look(15 * time.Second) {
		t.Error("no slot is free")
	}
	w.running, c.paused = 0, true
	if look(16 * time.Second) {
		t.Error("the queue is paused")
	}
	c.paused = false
	if !look(17 * time.Second) {
		t.Error("nothing is asked for again")
	}
	w.answers++
	if look(18 * time.Second) {
		t.Error("it was asked for")
	}
}

// What the connection that waits for work went through, and what is said of it.
func TestAilmentsOfWaiting(t *testing.T) {
	now := time.Now()
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	waits := map[*consumer]bool{}
	for name, c := range map[string]struct {
		a    *watch
		want string
	}{
		"between two pops":         {&watch{}, ""},
		"waits as long as it may":  {&watch{waiting: waits, began: ago(14 * time.Second)}, ""},
		"waits longer":             {&watch{waiting: waits, began: ago(16 * time.Second)}, "is dead: no answer for 16s, where one is due each 10s"},
		"failed once":              {&watch{failing: ago(9 * time.Second), failed: ago(9 * time.Second), fault: context.Canceled}, ""},
		"fails":                    {&watch{failing: ago(9 * time.Second), failed: ago(time.Second), fault: context.Canceled}, "has failed for 9s (context canceled)"},
		"fails, and tries again":   {&watch{waiting: waits, began: ago(time.Second), failing: ago(9 * time.Second), failed: ago(time.Second), fault: context.Canceled}, "has failed for 9s"},
		"failed, and waits by now": {&watch{waiting: waits, began: ago(6 * time.Second), failing: ago(30 * time.Second), failed: ago(7 * time.Second), fault: context.Canceled}, ""},
	} {
		q := new(consumer)
		got := (&waker{of: map[*consumer]*watch{q: c.a}}).ailment(q, now, 5*time.Second)
		if !strings.Contains(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
