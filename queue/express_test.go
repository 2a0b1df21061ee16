package queue_test

import (
	"context"
	"errors"
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
		enqueue(t, c, email{"connects"})
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
		expectReady(t, c, "default", 4)
	})
}

// TestLoneCallsAcrossARestart: a connection that the server closed while it was idle is not taken for one that may have
// carried a call out.
func TestLoneCallsAcrossARestart(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		c, p := behind(t, srv)
		enqueue(t, c, email{"loads the script"})
		enqueue(t, c, email{"connects"})
		for range 3 {
			p.Cut()
			redistest.WaitFor(t, soon, func() bool { return p.Connections() == 0 }, "the connections to end")
			enqueue(t, c, email{"x"})
		}
		expectReady(t, c, "default", 5)
	})
}

// TestBatchWhoseScriptIsForgotten: in the middle of a stream the server loses the script; order and jobs are kept.
func TestBatchWhoseScriptIsForgotten(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		direct := redistest.Client(t, srv)
		c, p := behind(t, srv)
		enqueue(t, c, email{"loads the script"}, queue.Queue("other"))
		third := redistest.Nth(3, scripts)
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
