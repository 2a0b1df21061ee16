package queue_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// crowd is so many callers who wait behind a call whose answer is held; release has them travel together.
func crowd(t *testing.T, c *queue.Client, p *redistest.Proxy, n int, ctx func(i int) context.Context) (release func(), errs <-chan error) {
	t.Helper()
	enqueue(t, c, email{"loads the script"})
	withExpress(t, c)
	free := p.HoldReply(redistest.Once(scripts))
	done := make(chan error, n+1)
	call := func(i int) {
		_, err := c.Enqueue(ctx(i), email{strconv.Itoa(i)}, queue.ID(strconv.Itoa(i)))
		done <- err
	}
	go call(0)
	redistest.WaitFor(t, soon, func() bool { return p.HeldReplies() == 1 }, "the first answer to be held")
	for i := range n {
		go call(i + 1)
	}
	redistest.WaitFor(t, soon, func() bool { return c.Waiting("default") == n }, "the others to wait")
	return free, done
}

func always(ctx context.Context) func(int) context.Context {
	return func(int) context.Context { return ctx }
}

// expectAll reads n answers, none of which may be an error.
func expectAll(t *testing.T, errs <-chan error, n int) {
	t.Helper()
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// TestConvoy: those who wait travel in several calls, on one connection, none of which waits for the one before.
func TestConvoy(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		c, p := behind(t, srv)
		release, errs := crowd(t, c, p, 20, always(t.Context()))
		hold := p.HoldReply(scripts)
		defer hold()
		m := redistest.NewMonitor(t, srv)
		release()
		redistest.WaitFor(t, soon, func() bool { return m.Count("EVALSHA") == 4 }, "four calls, none answered")
		hold()
		expectAll(t, errs, 21)
		expectReady(t, c, "default", 22)
	})
}

// TestConvoyWhoseConnectionBreaks: what was under way is sent again under the same stamps, and done once.
func TestConvoyWhoseConnectionBreaks(t *testing.T) {
	for nth := 1; nth <= 4; nth++ {
		t.Run(strconv.Itoa(nth), func(t *testing.T) {
			redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
				c, p := behind(t, srv)
				release, errs := crowd(t, c, p, 20, always(t.Context()))
				p.DropReply(redistest.Nth(int64(nth), scripts))
				release()
				expectAll(t, errs, 21)
				if p.Dropped() != 1 {
					t.Errorf("%d replies were lost", p.Dropped())
				}
				expectReady(t, c, "default", 22)
				withExpress(t, c)
				enqueue(t, c, email{"the way is free"})
			})
		})
	}
}

// TestConvoyWhoseScriptIsForgotten: each of the calls that were sent is refused, and made another way.
func TestConvoyWhoseScriptIsForgotten(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		direct := redistest.Client(t, srv)
		c, p := behind(t, srv)
		release, errs := crowd(t, c, p, 20, always(t.Context()))
		if err := direct.ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		release()
		expectAll(t, errs, 21)
		expectReady(t, c, "default", 22)
	})
}

// TestConvoyThatIsRefused: a key of the wrong type fails the callers and stops nothing after them.
func TestConvoyThatIsRefused(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		direct := redistest.Client(t, srv)
		c, p := behind(t, srv)
		release, errs := crowd(t, c, p, 20, always(t.Context()))
		const key, aside = "tm:{default}:ready:0", "aside"
		if err := errors.Join(direct.Rename(t.Context(), key, aside).Err(), direct.Set(t.Context(), key, "x", 0).Err()); err != nil {
			t.Fatal(err)
		}
		release()
		failed := 0
		for range 21 {
			if err := <-errs; err != nil {
				failed++
			}
		}
		if failed != 20 {
			t.Errorf("%d callers were told", failed)
		}
		if err := direct.Rename(t.Context(), aside, key).Err(); err != nil {
			t.Fatal(err)
		}
		enqueue(t, c, email{"the way is free"})
		expectReady(t, c, "default", 3)
	})
}

// TestConvoyLeavesAServerThatDoesNotServe: as one that became a replica; those who wait are served once it does again.
func TestConvoyLeavesAServerThatDoesNotServe(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		direct := redistest.Client(t, srv)
		c, p := behind(t, srv)
		release, errs := crowd(t, c, p, 20, always(t.Context()))
		hold := p.HoldReply(redistest.Once(scripts))
		defer hold()
		if err := direct.ReplicaOf(t.Context(), "127.0.0.1", "1").Err(); err != nil {
			t.Fatal(err)
		}
		m := redistest.NewMonitor(t, srv)
		release()
		redistest.WaitFor(t, soon, func() bool { return m.Count("EVALSHA") == 4 }, "all to be under way")
		if !c.InConvoy("default") {
			t.Error("there is no convoy: this shows nothing")
		}
		hold()
		redistest.WaitFor(t, soon, func() bool { return !c.InConvoy("default") }, "the convoy to be over")
		if err := direct.ReplicaOf(t.Context(), "NO", "ONE").Err(); err != nil {
			t.Fatal(err)
		}
		expectAll(t, errs, 21)
		expectReady(t, c, "default", 22)
	})
}

// TestConvoyGoesOnWithoutOneWhoLeft: a caller's context ends his waiting alone.
func TestConvoyGoesOnWithoutOneWhoLeft(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		c, p := behind(t, srv)
		left := errors.New("the caller has left")
		impatient, leave := context.WithCancelCause(t.Context())
		release, errs := crowd(t, c, p, 20, func(i int) context.Context {
			if i == 7 {
				return impatient
			}
			return t.Context()
		})
		hold := p.HoldReply(scripts)
		defer hold()
		m := redistest.NewMonitor(t, srv)
		release()
		redistest.WaitFor(t, soon, func() bool { return m.Count("EVALSHA") == 4 }, "all to be under way")
		expectAll(t, errs, 1) // the first, whose call came before the convoy
		leave(left)
		if err := <-errs; !errors.Is(err, queue.ErrOutcomeUnknown) || !errors.Is(err, left) {
			t.Errorf("who left got %v", err)
		}
		hold()
		expectAll(t, errs, 19)
		expectReady(t, c, "default", 22)
	})
}

// TestManyAtOnceOnSeveralQueues: callers of two queues, and batches, of whom one at a time has the express connection; a reply is
// lost. Each job is there once.
func TestManyAtOnceOnSeveralQueues(t *testing.T) {
	const callers, each = 24, 30
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		c, p := behind(t, srv)
		enqueue(t, c, email{"loads the script"}, queue.Queue("q0"))
		withExpress(t, c)
		p.DropReply(redistest.Nth(40, scripts))
		var ids sync.Map
		note := func(id uuid.UUID, err error) {
			if _, there := ids.LoadOrStore(id, true); there || err != nil {
				t.Errorf("%s: there already %v, %v", id, there, err)
			}
		}
		var group sync.WaitGroup
		for g := range callers {
			group.Go(func() {
				for range each {
					note(c.Enqueue(t.Context(), email{"x"}, queue.Queue("q"+strconv.Itoa(g%2))))
				}
			})
		}
		group.Go(func() {
			for range each {
				results, _ := c.EnqueueMany(t.Context(), queue.Items(make([]email, 100)), queue.Queue("q0"))
				for _, r := range results {
					note(r.ID, r.Err)
				}
			}
		})
		group.Wait()
		expectReady(t, c, "q0", 1+callers/2*each+each*100)
		expectReady(t, c, "q1", callers/2*each)
	})
}
