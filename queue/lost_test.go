package queue_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

var scripts = redistest.On("EVALSHA", "EVAL")

// calls are enqueue calls, each once: by the script, or direct ones.
var calls = redistest.On("EVALSHA", "MULTI")

// someOf chooses a sixth of what pred chooses.
func someOf(pred redistest.Pred) redistest.Pred {
	rnd := rand.New(rand.NewPCG(7, 7))
	return func(cmd string, args []string) bool { return pred(cmd, args) && rnd.IntN(6) == 0 }
}

// TestLostRepliesCreateOnce drops the replies of a sixth of the calls.
func TestLostRepliesCreateOnce(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		c, p := behind(t, srv)
		enqueue(t, c, email{"warm"})
		withExpress(t, c)
		p.DropReply(someOf(scripts))
		for range 100 {
			enqueue(t, c, email{"x"})
		}
		results, err := c.EnqueueMany(t.Context(), queue.Items(make([]email, 5000)))
		if err != nil || len(results) != 5000 {
			t.Fatal(err)
		}
		_, err = c.Enqueue(t.Context(), email{"x"}, queue.ID(results[17].ID.String()))
		if !errors.Is(err, queue.ErrDuplicate) {
			t.Errorf("a duplicate whose reply was lost: %v", err)
		}
		p.DropReply(nil)
		if p.Dropped() < 5 {
			t.Errorf("%d replies were lost: this shows nothing", p.Dropped())
		}
		expectReady(t, c, "default", 5101)
	})
}

// TestResendAfterTheJobRan: the first reply is lost, a worker runs and acknowledges the job, and only then the call is
// sent again: nothing is left of the job to find, and still it must not be created a second time.
func TestResendAfterTheJobRan(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		direct := open(t, srv.URL())
		c, p := behind(t, srv)
		enqueue(t, direct, email{"warm"})
		var ran atomic.Int64
		mux := worker.NewMux()
		worker.Handle(mux, func(context.Context, *queue.Job[email]) error { ran.Add(1); return nil })
		work(t, direct, mux, worker.Config{})
		p.DropReply(redistest.Once(scripts))
		release := p.HoldRequest(redistest.Nth(2, scripts)) // the resend, until the job is gone
		done := make(chan error, 1)
		go func() { _, err := c.Enqueue(context.WithoutCancel(t.Context()), email{"x"}); done <- err }()
		redistest.WaitFor(t, soon, func() bool { return p.Held() == 1 }, "the resend to be held")
		redistest.WaitFor(t, soon, func() bool { n := counts(t, direct, "default"); return n.Succeeded == 2 && n.Running == 0 }, "the job to be done with")
		release()
		if err := <-done; err != nil {
			t.Error(err)
		}
		redistest.WaitFor(t, soon, func() bool { n := counts(t, direct, "default"); return n.Ready+n.Running == 0 }, "the queue to be empty")
		if n := counts(t, direct, "default"); n.Enqueued != 2 || ran.Load() != 2 || p.Dropped() != 1 {
			t.Errorf("%+v, %d runs, %d replies lost", n, ran.Load(), p.Dropped())
		}
	})
}

// TestLateDuplicateRequest: a request is held on its way, the call is sent again and done, and long after newer calls
// of the lane the first one arrives.
func TestLateDuplicateRequest(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		direct := open(t, srv.URL())
		p := redistest.NewProxy(t, srv.Addr())
		c := open(t, "redis://"+p.Addr()+"?read_timeout=500ms")
		enqueue(t, c, email{"warm"})
		withExpress(t, c)
		release := p.HoldRequest(redistest.Once(scripts))
		enqueue(t, c, email{"late"})
		enqueue(t, c, email{"newer, on the same lane"})
		mux := worker.NewMux() // and away with them: the ids alone would tell while the jobs are there
		worker.Handle(mux, func(context.Context, *queue.Job[email]) error { return nil })
		stop := work(t, direct, mux, worker.Config{})
		redistest.WaitFor(t, soon, func() bool { return counts(t, direct, "default").Succeeded == 3 }, "the jobs to be done")
		stop()
		if p.Held() != 1 {
			t.Fatalf("%d requests held", p.Held())
		}
		release()
		if n := counts(t, direct, "default"); n.Ready != 0 || n.Enqueued != 3 {
			t.Errorf("the late request was carried out: %+v", n)
		}
	})
}

// TestLateDuplicateBatch is the same for the calls of a pipeline.
func TestLateDuplicateBatch(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		p := redistest.NewProxy(t, srv.Addr())
		c := open(t, "redis://"+p.Addr()+"?read_timeout=1s")
		enqueue(t, c, email{"warm"})
		withExpress(t, c)
		release := p.HoldRequest(redistest.Nth(2, scripts))
		if _, err := c.EnqueueMany(t.Context(), queue.Items(make([]email, 4000))); err != nil {
			t.Fatal(err)
		}
		expectReady(t, c, "default", 4001)
		if p.Held() != 1 {
			t.Errorf("%d requests held", p.Held())
		}
		release()
		expectReady(t, c, "default", 4001)
	})
}

// TestPassedInClientThatRetries: go-redis' own retries, on by default, send calls again behind our back.
func TestPassedInClientThatRetries(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		p := redistest.NewProxy(t, srv.Addr())
		rdb := redis.NewClient(&redis.Options{Addr: p.Addr(), ReadTimeout: 300 * time.Millisecond})
		defer rdb.Close()
		if rdb.Options().MaxRetries < 1 {
			t.Fatal("this client does not retry")
		}
		c := around(t, rdb)
		enqueue(t, c, email{"warm"})
		p.DropReply(someOf(scripts))
		release := p.HoldRequest(redistest.Nth(30, scripts))
		for range 50 {
			enqueue(t, c, email{"x"})
		}
		if _, err := c.EnqueueMany(t.Context(), queue.Items(make([]email, 3000))); err != nil {
			t.Error(err)
		}
		p.DropReply(nil)
		release()
		expectReady(t, c, "default", 3051)
		if p.Dropped() < 5 {
			t.Errorf("%d replies were lost: this shows nothing", p.Dropped())
		}
	})
}

// TestRepliesLostForAMinute: the call is sent again for 60 s, then the caller is told that nobody knows.
func TestRepliesLostForAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := redistest.NewBubble(t)
		c := around(t, b.Client())
		enqueue(t, c, email{"warm"})
		b.DropReplies(scripts)
		start := time.Now()
		_, err := c.Enqueue(t.Context(), email{"x"}, queue.ID("x"))
		if took := time.Since(start); !errors.Is(err, queue.ErrOutcomeUnknown) || !errors.Is(err, queue.ErrUnavailable) || took < 60*time.Second || took > 62*time.Second {
			t.Errorf("%v after %v", err, took)
		}
		start = time.Now()
		results, err := c.EnqueueMany(t.Context(), queue.Items(make([]email, 10_000)))
		if took := time.Since(start); !errors.Is(err, queue.ErrOutcomeUnknown) || took < 60*time.Second || took > 62*time.Second {
			t.Errorf("%v after %v", err, took)
		}
		for i, r := range results {
			// Four calls of 500 were sent, and of the rest it is known that they were not.
			if !errors.Is(r.Err, queue.ErrUnavailable) || errors.Is(r.Err, queue.ErrOutcomeUnknown) != (i < 2000) {
				t.Fatalf("result %d: %v", i, r.Err)
			}
		}
		b.DropReplies(nil)
		if _, err := c.Enqueue(t.Context(), email{"x"}, queue.ID("x")); !errors.Is(err, queue.ErrDuplicate) {
			t.Errorf("the safe way to ask what became of it: %v", err)
		}
		expectReady(t, c, "default", 2002)
	})
}
