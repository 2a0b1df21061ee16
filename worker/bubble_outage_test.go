package worker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// An outage of Redis expires nobody: what runs goes on and is acknowledged once.
func TestBlackoutExpiresNobody(t *testing.T) {
	for name, frozen := range map[string]bool{"refused": false, "frozen": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(e *env) {
				var ended list[bool]
				handler := func(ctx context.Context, _ *queue.Job[queue.Raw]) error {
					select {
					case <-ctx.Done():
						return context.Cause(ctx)
					case <-time.After(90 * time.Second):
						ended.add(true)
						return nil
					}
				}
				a, b := newRig(handler), newRig(handler)
				e.start(a.Mux, Config{Concurrency: 6})
				e.start(b.Mux, Config{Concurrency: 6})
				e.addMany(10, queue.Retain(time.Hour))
				e.wait(time.Second, "the handlers", func() bool { return a.n()+b.n() == 10 })
				time.Sleep(777 * time.Millisecond)
				back := e.blackout(frozen)
				time.Sleep(time.Minute)
				back()
				began := time.Now()
				fresh := e.add("job")
				e.wait(5*time.Second, "a new job to start", func() bool { return a.n()+b.n() == 11 })
				t.Logf("resumed after %v", time.Since(began))
				e.drained(3 * time.Minute)
				e.wantState(fresh, "")
				if n := e.counts(); n.Succeeded != 11 || n.Recovered != 0 || n.Failed != 0 || n.Refused != 0 || ended.len() != 11 {
					t.Errorf("%d ended, %+v", ended.len(), n)
				}
				if lost := e.logs.find("session lost"); len(lost) != 0 {
					t.Errorf("logged %v", lost)
				}
			})
		})
	}
}

// What else an outage stops is told at most once in a while all together; that heartbeats fail is told in any case.
func TestFailedHeartbeatsAreTold(t *testing.T) {
	inBubble(t, func(e *env) {
		p := e.start(newRig(nil).Mux, Config{})
		if _, first := p.w.outage.Allow(); !first { // something else has just been told
			t.Fatal("there was an outage before")
		}
		back := e.blackout(true)
		defer back()
		e.wait(9*time.Second, "a failed heartbeat to be told", func() bool { return len(e.logs.find("heartbeat failed")) == 1 })
	})
}

// blackout takes the server away from everybody, until back is called: by refusing connections, or by a standstill with
// everybody's calls in its sockets.
func (e *env) blackout(frozen bool) (back func()) {
	if frozen {
		return e.b.HoldRequest(redistest.On())
	}
	e.b.Refuse(true)
	e.b.Cut()
	return func() {
		e.b.Refuse(false)
		for e.client.Ping(e.ctx) != nil { // the test's own connections are broken too
			time.Sleep(time.Millisecond)
		}
	}
}

// tally counts by name.
type tally struct {
	mu sync.Mutex
	n  map[string]int
}

// count counts once more and answers what it was before.
func (t *tally) count(name string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n == nil {
		t.n = make(map[string]int)
	}
	t.n[name]++
	return t.n[name] - 1
}

// chaos is a mux whose jobs take every way out, and the number of calls for each job and attempt.
func chaos(calls *tally) *Mux {
	mux := NewMux()
	mux.HandleKind("job", func(_ context.Context, job *queue.Job[queue.Raw]) error {
		call := calls.count(job.Key)
		time.Sleep(time.Duration(len(job.Key)) * time.Millisecond)
		switch kind := job.Key[0]; {
		case call > 0:
		case kind == 'f':
			return queue.RetryAfter(errors.New("once more"), 70*time.Millisecond)
		case kind == 's':
			return queue.Snooze(30 * time.Millisecond)
		case kind == 'd':
			return queue.Dead(errors.New("enough"))
		case kind == 'r':
			return job.SetResult([]byte(job.Key))
		}
		return nil
	})
	return mux
}

func (e *env) addChaos(n int) (ids []string) {
	e.Helper()
	var items []queue.Item
	for i := range n {
		id := fmt.Sprintf("%c%d", "pfsdr"[i%5], i)
		ids = append(ids, id)
		options := []queue.Option{queue.ID(id), queue.Priority(i % 3)}
		if id[0] == 'r' {
			options = append(options, queue.Retain(time.Hour))
		}
		items = append(items, queue.Item{Args: plain{}, Options: options})
	}
	_, err := e.client.EnqueueMany(e.ctx, items)
	e.must(err)
	return ids
}

// wantChaos holds what became of the jobs against what had to.
func (e *env) wantChaos(ids []string, calls *tally) {
	e.Helper()
	e.drained(5 * time.Minute)
	for _, id := range ids {
		want := 1
		if id[0] == 'f' || id[0] == 's' {
			want = 2
		}
		if got := calls.count(id); got != want {
			e.Errorf("job %s was called %d times, want %d", id, got, want)
		}
		s, err := e.client.Get(e.ctx, queue.DefaultQueue, id)
		switch {
		case id[0] == 'd' && (err != nil || s.State != queue.DeadState || s.Attempts != 1):
			e.Errorf("job %s: %+v, %v", id, s, err)
		case id[0] == 'r' && (err != nil || s.State != queue.Succeeded || string(s.Result) != id):
			e.Errorf("job %s: %+v, %v", id, s, err)
		case id[0] != 'd' && id[0] != 'r' && !errors.Is(err, queue.ErrUnknownJob):
			e.Errorf("job %s is still there: %v", id, err)
		}
	}
	k := int64(len(ids) / 5)
	if n := e.counts(); n.Succeeded != 4*k || n.Failed != 2*k || n.Dead != k || n.Finished != k || n.Recovered != 0 {
		e.Errorf("counts: %+v", n)
	}
}

// Calls whose answers are lost, at random: every one was carried out, and is sent again. While the sessions live
// nothing may be lost, stranded or done twice.
func TestLostReplies(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inBubble(t, func(e *env) {
				ids, calls := e.addChaos(300), new(tally)
				rnd := rand.New(rand.NewPCG(seed, 1))
				e.retries = int(seed % 2 * 3) // a client that was passed in may repeat by itself
				hit := script("exchange", "fail", "heartbeat", "promote", "nudge")
				e.b.DropReplies(func(cmd string, args []string) bool { return hit(cmd, args) && rnd.IntN(100) < 15 })
				p := e.start(chaos(calls), Config{Concurrency: 3})
				e.start(chaos(calls), Config{Concurrency: 7})
				e.drained(5 * time.Minute)
				e.b.DropReplies(nil)
				e.wantChaos(ids, calls)
				if e.b.Dropped() < 20 {
					t.Errorf("only %d replies were lost", e.b.Dropped())
				}
				p.stopClean()
			})
		})
	}
}

// Calls that are held up, given up, sent again and then arrive after all, in any order.
func TestLateAndReorderedCalls(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inBubble(t, func(e *env) {
				ids, calls := e.addChaos(200), new(tally)
				rnd, pause := rand.New(rand.NewPCG(seed, 2)), rand.New(rand.NewPCG(seed, 3))
				hit := script("exchange", "fail", "promote")
				var held list[bool]
				hold := func() func() {
					return e.b.HoldRequest(func(cmd string, args []string) bool {
						late := hit(cmd, args) && rnd.IntN(100) < 8
						if late {
							held.add(true)
						}
						return late
					})
				}
				e.start(chaos(calls), Config{Concurrency: 4})
				for range 20 {
					release := hold()
					time.Sleep(time.Duration(pause.IntN(8000)) * time.Millisecond)
					release()
				}
				e.wantChaos(ids, calls)
				if held.len() < 5 {
					t.Errorf("only %d calls were late", held.len())
				}
			})
		})
	}
}

// A key of the wrong type stops its queue alone, and the queue goes on once it is mended.
func TestWrongKeyStopsOneQueue(t *testing.T) {
	for _, place := range []int{keys.Ready, keys.State, keys.Scheduled, keys.Wake, keys.Due, keys.Sessions} {
		t.Run(fmt.Sprint(place), func(t *testing.T) {
			inBubble(t, func(e *env) {
				r := newRig(succeed)
				p := e.start(r.Mux, Config{Queues: []Queue{{Name: "default"}, {Name: "other"}}})
				time.Sleep(time.Second)
				key := e.q.Key(place)
				e.b.M.Del(key)
				e.must(e.b.M.Set(key, "not ours"))
				time.Sleep(3 * time.Second)
				lines := e.logs.find("queue stopped")
				if len(lines) != 1 || lines[0]["queue"] != "default" {
					t.Fatalf("logged %v", lines)
				}
				began := time.Now()
				e.add("job", queue.Queue("other"))
				e.add("job", queue.Queue("other"), queue.In(3*time.Second))
				e.wait(10*time.Second, "the other queue's jobs", func() bool { return r.n() == 2 })
				if late := r.at(0).Sub(began); late > 50*time.Millisecond {
					t.Errorf("the first was %v late", late)
				}
				if late := r.at(1).Sub(began) - 3*time.Second; late > 50*time.Millisecond {
					t.Errorf("the second was %v late", late)
				}
				e.b.M.Del(key)
				e.wait(5*time.Second, "the queue to be mended", func() bool { return len(e.logs.find("queue mended")) == 1 })
				e.add("job")
				e.wait(5*time.Second, "its job", func() bool { return r.n() == 3 })
				p.stopClean()
			})
		})
	}
}

// Outcomes that a broken queue did not take wait for it.
func TestWrongKeyKeepsOutcomes(t *testing.T) {
	inBubble(t, func(e *env) {
		release := make(chan error)
		r := newRig(func(context.Context, *queue.Job[queue.Raw]) error { return <-release })
		p := e.start(r.Mux, Config{Retry: steady})
		good, bad := e.add("job"), e.add("job")
		e.wait(time.Second, "the handlers", func() bool { return r.n() == 2 })
		e.must(e.b.M.Set(e.q.Key(keys.Dead), "not ours"))
		release <- nil
		release <- errors.New("no")
		time.Sleep(time.Minute)
		e.b.M.Del(e.q.Key(keys.Dead))
		e.wait(5*time.Second, "the outcomes", func() bool { return e.counts().Running == 0 })
		if n := e.counts(); n.Succeeded != 1 || n.Failed != 1 || n.Scheduled != 1 {
			t.Errorf("%+v", n)
		}
		if (e.state(good) == "") == (e.state(bad) == "") {
			t.Errorf("the jobs are %q and %q", e.state(good), e.state(bad))
		}
		go func() { release <- nil }()
		e.drained(time.Minute)
		p.stopClean()
	})
}
