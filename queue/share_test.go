package queue_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// TestConcurrentEnqueuesShareCalls: 256 goroutines' jobs are all there, once each, in far fewer calls than jobs.
func TestConcurrentEnqueuesShareCalls(t *testing.T) {
	const goroutines, each = 256, 40
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		c, ctx := open(t, srv.URL()), t.Context()
		m := redistest.NewMonitor(t, srv)
		var ids sync.Map
		var group sync.WaitGroup
		for g := range goroutines {
			group.Go(func() {
				for i := range each {
					id, err := c.Enqueue(ctx, email{strconv.Itoa(g*each + i)})
					if _, there := ids.LoadOrStore(id, true); there || err != nil {
						t.Errorf("%s: there already %v, %v", id, there, err)
					}
				}
			})
		}
		group.Wait()
		expectReady(t, c, "default", goroutines*each)
		calls := m.Count("EVALSHA", "EVAL") - 1 // Counts
		if calls > goroutines*each/10 {
			t.Errorf("%d calls for %d jobs: they do not share", calls, goroutines*each)
		}
		seen := map[string]bool{}
		for _, job := range drain(t, c, goroutines*each) {
			seen[string(job)] = true
		}
		if len(seen) != goroutines*each {
			t.Errorf("%d different jobs", len(seen))
		}
	})
}

// drain claims everything and answers the payloads' distinct parts.
func drain(t testing.TB, c *queue.Client, want int) [][]byte {
	t.Helper()
	var out [][]byte
	for len(out) < want {
		jobs := claim(t, c, "default", 250)
		if len(jobs) == 0 {
			t.Fatalf("%d of %d jobs are there", len(out), want)
		}
		for _, job := range jobs {
			out = append(out, job.Envelope)
		}
	}
	return out
}

// TestManyDoNotWaitForOneCall: while a call is under way few jobs gather for the next, and many travel beside it.
func TestManyDoNotWaitForOneCall(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		c, p := behind(t, srv)
		ctx := context.WithoutCancel(t.Context())
		enqueue(t, c, email{"warm"})
		release := p.HoldRequest(scripts)
		done := make(chan error, 80)
		for i := range cap(done) {
			go func() { _, err := c.Enqueue(ctx, email{"x"}); done <- err }()
			if i == 0 {
				redistest.WaitFor(t, soon, func() bool { return p.Held() == 1 }, "a call to be under way")
			}
		}
		redistest.WaitFor(t, soon, func() bool { return p.Held() == 2 }, "many to be sent beside it")
		release()
		for range cap(done) {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		expectReady(t, c, "default", 81)
	})
}

// TestAloneIsOneCallWithoutDelay: nothing gathers for a time; under fake time not a nanosecond passes.
func TestAloneIsOneCallWithoutDelay(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		c := open(t, srv.URL())
		enqueue(t, c, email{"first use: writes the queue's name, loads the script"})
		withExpress(t, c)
		m := redistest.NewMonitor(t, srv)
		for range 10 {
			enqueue(t, c, email{"alone"})
		}
		if all, calls := m.Count(), m.Count("EVALSHA"); all != 10 || calls != 10 {
			t.Errorf("10 jobs cost %d commands, %d of them EVALSHA:\n%.2000s", all, calls, strings.Join(m.Lines(), "\n"))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		c := around(t, redistest.NewBubble(t).Client())
		start := time.Now()
		for range 100 {
			enqueue(t, c, email{"alone"})
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("timers ran for %v", took)
		}
	})
}

// TestSharedCallsAreBounded: many large payloads at once must not become one call that Redis refuses or chokes on.
func TestSharedCallsAreBounded(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		p := redistest.NewProxy(t, srv.Addr())
		c := open(t, "redis://"+p.Addr())
		enqueue(t, c, email{"warm"})
		var mu sync.Mutex
		var largest, calls int
		p.DropReply(func(cmd string, args []string) bool { // drops nothing, sees everything
			if cmd != "EVALSHA" {
				return false
			}
			mu.Lock()
			defer mu.Unlock()
			calls++
			largest = max(largest, len(strings.Join(args, "")))
			return false
		})
		release := p.HoldRequest(scripts) // both calls under way wait until everyone stands in line
		defer release()
		var group sync.WaitGroup
		for range 48 {
			group.Go(func() {
				if _, err := c.Enqueue(t.Context(), queue.Raw{Name: "big", Payload: make([]byte, 300<<10)}); err != nil {
					t.Error(err)
				}
			})
		}
		redistest.WaitFor(t, soon, func() bool { return p.Held() == 2 }, "two calls to be held")
		release()
		group.Wait()
		expectReady(t, c, "default", 49)
		mu.Lock()
		defer mu.Unlock()
		if largest > 1<<20+64<<10 || calls < 10 {
			t.Errorf("the largest of %d calls has %d bytes", calls, largest)
		}
	})
}

// TestCallerLeavesWhileWaiting: who has not been picked up is withdrawn; who has does not know; the others get theirs.
func TestCallerLeavesWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := redistest.NewBubble(t)
		c := around(t, b.Client())
		enqueue(t, c, email{"warm"})
		b.Delay(func(cmd string, _ []string) time.Duration {
			if cmd == "EVALSHA" {
				return time.Second
			}
			return 0
		})
		left := errors.New("the caller has left")
		call := func(id string, patience time.Duration) <-chan error {
			ctx, cancel := context.WithCancelCause(t.Context())
			done := make(chan error, 1)
			go func() {
				_, err := c.Enqueue(ctx, email{id}, queue.ID(id))
				done <- err
			}()
			t.Cleanup(func() { cancel(nil) })
			synctest.Wait() // it is in a call, or in line
			if patience > 0 {
				time.AfterFunc(patience, func() { cancel(left) })
			}
			return done
		}
		flying, flyingToo := call("flying", 100*time.Millisecond), call("flying too", 0)
		waiting, waitingToo := call("waiting", 200*time.Millisecond), call("waiting too", 0)
		if err := <-flying; !errors.Is(err, queue.ErrOutcomeUnknown) || !errors.Is(err, left) {
			t.Errorf("in a call: %v", err)
		}
		if err := <-waiting; !errors.Is(err, left) || errors.Is(err, queue.ErrOutcomeUnknown) {
			t.Errorf("in line: %v", err)
		}
		for _, done := range []<-chan error{flyingToo, waitingToo} {
			if err := <-done; err != nil {
				t.Errorf("who stayed: %v", err)
			}
		}
		b.Delay(nil)
		for id, want := range map[string]error{"flying": nil, "flying too": nil, "waiting": queue.ErrUnknownJob, "waiting too": nil} {
			if _, err := c.Get(t.Context(), "default", id); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", id, err, want)
			}
		}
		expectReady(t, c, "default", 4)
	})
}

// TestCallersLeaveAtRandom: whatever is abandoned, an id that was acknowledged is there, one that was withdrawn is not.
func TestCallersLeaveAtRandom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := redistest.NewBubble(t)
		c := around(t, b.Client())
		enqueue(t, c, email{"warm"})
		b.Delay(func(string, []string) time.Duration { return 3 * time.Millisecond })
		var mu sync.Mutex
		fate := map[string]error{}
		var group sync.WaitGroup
		for i := range 300 {
			group.Go(func() {
				time.Sleep(time.Duration(i%17) * time.Millisecond)
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%7+1)*time.Millisecond)
				defer cancel()
				id := strconv.Itoa(i)
				_, err := c.Enqueue(ctx, email{id}, queue.ID(id))
				mu.Lock()
				defer mu.Unlock()
				fate[id] = err
			})
		}
		group.Wait()
		b.Delay(nil)
		time.Sleep(time.Minute) // calls that were left alone come home
		created, withdrawn := 0, 0
		for id, err := range fate {
			_, missing := c.Get(t.Context(), "default", id)
			switch {
			case err == nil && missing == nil:
				created++
			case err == nil, errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, queue.ErrOutcomeUnknown) && missing == nil:
				t.Errorf("%s: enqueue said %v, get says %v", id, err, missing)
			case !errors.Is(err, queue.ErrOutcomeUnknown):
				withdrawn++
			}
		}
		if created == 0 || withdrawn == 0 {
			t.Errorf("%d created, %d withdrawn: this shows nothing", created, withdrawn)
		}
	})
}
