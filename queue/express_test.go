package queue_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// TestLoneCallerLeaves: who makes a call himself need not wait for its answer either, and the job is created once.
func TestLoneCallerLeaves(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		c, p := behind(t, srv)
		enqueue(t, c, email{"loads the script"})
		withExpress(t, c)
		left := errors.New("the caller has left")
		ctx, cancel := context.WithCancelCause(t.Context())
		release := p.HoldReply(redistest.Once(scripts))
		defer release()
		done := make(chan error, 1)
		go func() { _, err := c.Enqueue(ctx, email{"x"}, queue.ID("x")); done <- err }()
		redistest.WaitFor(t, soon, func() bool { return p.HeldReplies() == 1 }, "the answer to be held")
		cancel(left)
		if err := <-done; !errors.Is(err, queue.ErrOutcomeUnknown) || !errors.Is(err, left) {
			t.Errorf("who left got %v", err)
		}
		release()
		if _, err := c.Enqueue(t.Context(), email{"x"}, queue.ID("x")); !errors.Is(err, queue.ErrDuplicate) {
			t.Errorf("the job is not there: %v", err)
		}
		enqueue(t, c, email{"the way is free"})
		expectReady(t, c, "default", 3)
	})
}

// TestLoneCallsAcrossARestart: a connection that the server closed while it was idle is not taken for one that may have
// carried a call out.
func TestLoneCallsAcrossARestart(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		c, p := behind(t, srv)
		enqueue(t, c, email{"loads the script"})
		for range 3 {
			withExpress(t, c)
			p.Cut()
			redistest.WaitFor(t, soon, func() bool { return p.Connections() == 0 }, "the connections to end")
			enqueue(t, c, email{"x"})
		}
		expectReady(t, c, "default", 4)
	})
}

// TestBatchWhoseScriptIsForgotten: in the middle of a stream the server loses the script; order and jobs are kept.
func TestBatchWhoseScriptIsForgotten(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		direct := redistest.Client(t, srv)
		c, p := behind(t, srv)
		enqueue(t, c, email{"loads the script"}, queue.Queue("other"))
		withExpress(t, c)
		third := redistest.Nth(3, calls)
		p.DropReply(func(cmd string, args []string) bool {
			if third(cmd, args) {
				direct.ScriptFlush(t.Context())
			}
			return false
		})
		results, err := c.EnqueueMany(t.Context(), queue.Items(make([]email, 5000)))
		if err != nil {
			t.Fatal(err)
		}
		expectOrder(t, c, "default", results)
	})
}

// TestBatchAfterTheContextEnded sends nothing.
func TestBatchAfterTheContextEnded(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		c := open(t, srv.URL())
		ctx, cancel := context.WithTimeout(t.Context(), -time.Second)
		defer cancel()
		results, err := c.EnqueueMany(ctx, queue.Items(make([]email, 3)))
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(results[2].Err, context.DeadlineExceeded) {
			t.Errorf("%v, %v", err, results)
		}
		expectReady(t, c, "default", 0)
	})
}

// TestBatchEndsWithItsContext: a server that does not answer keeps nobody whose context has ended. What it answered before is
// known, what was sent then is not.
func TestBatchEndsWithItsContext(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		p := redistest.NewProxy(t, srv.Addr())
		c := open(t, "redis://"+p.Addr()+"?read_timeout=1h")
		enqueue(t, c, email{"loads the script"}, queue.Queue("other"))
		withExpress(t, c)
		defer p.HoldRequest(redistest.Nth(3, calls))()
		reason := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		var results []queue.Result
		var err error
		done := make(chan struct{})
		go func() {
			defer close(done)
			results, err = c.EnqueueMany(ctx, queue.Items(make([]email, 5000)))
		}()
		redistest.WaitFor(t, soon, func() bool { return p.Held() == 1 }, "a call to be held")
		cancel(reason)
		select {
		case <-done:
		case <-time.After(soon):
			t.Fatal("it waits on")
		}
		if !errors.Is(err, queue.ErrOutcomeUnknown) || !errors.Is(err, reason) {
			t.Errorf("the batch: %v", err)
		}
		const answered = 64 + 128
		for i, r := range results {
			unknown := errors.Is(r.Err, queue.ErrOutcomeUnknown) && errors.Is(r.Err, reason)
			switch {
			case i < answered && r.Err != nil, i == answered && !unknown, i > answered && r.Err == nil,
				i == len(results)-1 && (unknown || !strings.HasPrefix(r.Err.Error(), "not sent: ")):
				t.Fatalf("item %d: %v", i, r.Err)
			}
		}
	})
}

// TestBatchThroughAFreshConnection: as long as nobody knows whether the server has the script, one call at a time is sent: it
// could refuse the first and carry out the second, which another producer's script came before.
func TestBatchThroughAFreshConnection(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		direct := redistest.Client(t, srv)
		c := open(t, srv.URL())
		withExpress(t, c)
		if err := errors.Join(direct.ScriptFlush(t.Context()).Err(), direct.ConfigResetStat(t.Context()).Err()); err != nil {
			t.Fatal(err)
		}
		results, err := c.EnqueueMany(t.Context(), queue.Items(make([]email, 5000)))
		if err != nil {
			t.Fatal(err)
		}
		// The express call's, and its second try's on a connection of the pool, which then brings the script.
		if stats := direct.Info(t.Context(), "errorstats").Val(); !strings.Contains(stats, "errorstat_NOSCRIPT:count=2\r") {
			t.Errorf("calls refused: %q", stats)
		}
		expectOrder(t, c, "default", results)
	})
}

// TestExpressIsNotForTLS: such a connection could never be used, and takes nothing of the budget.
func TestExpressIsNotForTLS(t *testing.T) {
	t.Parallel()
	s := redistest.NewSecure(t)
	plain, secure := open(t, s.Server.URL()).Engine().Conn.Left(), open(t, s.URL(t)).Engine().Conn.Left()
	if secure != plain+1 {
		t.Errorf("%d connections are left, %d where there is no TLS", secure, plain)
	}
}
