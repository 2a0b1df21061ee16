package queue_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// everyCall is each call of a client that talks to Redis.
func everyCall(ctx context.Context, c *queue.Client) map[string]func() error {
	return map[string]func() error{
		"Enqueue": func() error { _, err := c.Enqueue(ctx, email{"x"}); return err },
		"EnqueueMany": func() error {
			results, err := c.EnqueueMany(ctx, queue.Items(make([]email, 1200)))
			for _, r := range results {
				if !errors.Is(r.Err, queue.ErrClosed) {
					return r.Err
				}
			}
			return err
		},
		"EnqueueTx": func() error {
			pipe := c.Redis().TxPipeline()
			pending, err := c.EnqueueTx(ctx, pipe, email{"x"})
			if err != nil {
				return err
			}
			_, _ = pipe.Exec(ctx) // its error is the result's too
			return pending.Result()
		},
		"Watch":   func() error { return c.Watch(ctx, func(*redis.Tx) error { return nil }, "k") },
		"Get":     func() error { _, err := c.Get(ctx, "default", "x"); return err },
		"Counts":  func() error { _, err := c.Counts(ctx, "default"); return err },
		"Queues":  func() error { _, err := c.Queues(ctx); return err },
		"Cancel":  func() error { _, err := c.Cancel(ctx, "default", "x"); return err },
		"Delete":  func() error { return c.Delete(ctx, "default", "x") },
		"Redrive": func() error { return c.Redrive(ctx, "default", "x") },
		"Pause":   func() error { _, err := c.Pause(ctx, "default"); return err },
		"Resume":  func() error { _, err := c.Resume(ctx, "default"); return err },
		"Ping":    func() error { return c.Ping(ctx) },
		"Wait":    func() error { _, err := c.Wait(ctx, "default", "x"); return err },
		"Input.Resume": func() error {
			in, err := c.Input(uuid.New(), 1, nil)
			if err != nil {
				return err
			}
			_, _, err = in.Resume(ctx, "default")
			return err
		},
		"Input.EnqueueMany": func() error {
			in, err := c.Input(uuid.New(), 1, nil)
			if err != nil {
				return err
			}
			_, err = in.EnqueueMany(ctx, []uint64{1}, queue.Items([]email{{"x"}}))
			return err
		},
	}
}

func TestCallsAfterClose(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		rdb := redistest.Client(t, srv)
		for name, c := range map[string]*queue.Client{"opened": open(t, srv.URL()), "around another": around(t, rdb)} {
			enqueue(t, c, email{"x"}, queue.ID(name))
			for range 2 {
				if err := c.Close(); err != nil {
					t.Errorf("%s: close: %v", name, err)
				}
			}
			for call, do := range everyCall(t.Context(), c) {
				if err := do(); !errors.Is(err, queue.ErrClosed) {
					t.Errorf("%s: %s after close: %v", name, call, err)
				}
			}
		}
		if err := rdb.Ping(t.Context()).Err(); err != nil {
			t.Errorf("the caller's client was closed: %v", err)
		}
		expectReady(t, around(t, rdb), "default", 2)
		// The other way round: the owner closed the client under ours.
		c := around(t, rdb)
		if err := rdb.Close(); err != nil {
			t.Fatal(err)
		}
		for call, do := range everyCall(t.Context(), c) {
			if err := do(); !errors.Is(err, queue.ErrClosed) {
				t.Errorf("%s over a closed client: %v", call, err)
			}
		}
	})
}

// TestCloseUnderCalls: who was sent does not know what became of it, who stood in line knows that nothing did; nobody
// waits for a timeout.
func TestCloseUnderCalls(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		c, p := behind(t, srv)
		ctx := context.WithoutCancel(t.Context())
		enqueue(t, c, email{"warm"})
		p.HoldRequest(scripts)
		const callers = 20
		done := make(chan error, callers)
		for i := range callers {
			go func() { _, err := c.Enqueue(ctx, email{"x"}); done <- err }()
			if i == 0 { // its call; the others stand in line, or come too late altogether
				redistest.WaitFor(t, soon, func() bool { return p.Held() == 1 }, "a call to be under way")
			}
		}
		batch := make(chan error, 1)
		go func() {
			results, err := c.EnqueueMany(ctx, queue.Items(make([]email, 5000)))
			if !errors.Is(results[4999].Err, queue.ErrClosed) {
				t.Errorf("the last of the batch was not sent: %v", results[4999].Err)
			}
			batch <- err
		}()
		redistest.WaitFor(t, soon, func() bool { return p.Held() == 2 }, "a batch to be under way too")
		start := time.Now()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		unknown := 0
		for range callers {
			err := <-done
			if errors.Is(err, queue.ErrOutcomeUnknown) {
				unknown++
			} else if !errors.Is(err, queue.ErrClosed) {
				t.Errorf("in line: %v", err)
			}
		}
		if err := <-batch; !errors.Is(err, queue.ErrOutcomeUnknown) {
			t.Errorf("the batch: %v", err)
		}
		if unknown != 1 {
			t.Errorf("%d of %d do not know, 1 was sent", unknown, callers)
		}
		within(t, "Close and all that it ends", time.Since(start), 0, 2*time.Second)
	})
}

// TestCloseLeavesNothing: neither goroutine nor connection, whether something was under way or not.
func TestCloseLeavesNothing(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		before := goleak.IgnoreCurrent()
		observer := redistest.Client(t, srv)
		own := observer.ClientList(t.Context()).Val()
		for range 5 {
			c, err := queue.Open(t.Context(), srv.URL())
			if err != nil {
				t.Fatal(err)
			}
			for range 20 {
				go func() { _, _ = c.Enqueue(context.Background(), email{"x"}) }()
			}
			enqueue(t, c, email{"x"})
			if _, err := c.EnqueueMany(t.Context(), queue.Items(make([]email, 1000))); err != nil {
				t.Error(err)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
		redistest.WaitFor(t, soon, func() bool {
			list := observer.ClientList(t.Context()).Val()
			return len(list) < len(own)+50
		}, "the server to see all connections closed")
		_ = observer.Close()
		if err := goleak.Find(before); err != nil {
			t.Error(err)
		}
	})
}

// TestCloseAroundAFrozenServer: the caller's client is not ours to cut off, and yet nothing of ours stays for long.
func TestCloseAroundAFrozenServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := redistest.NewBubble(t)
		c := around(t, b.Client())
		enqueue(t, c, email{"warm"})
		b.HoldRequest(scripts)
		done := make(chan error, 1)
		go func() { _, err := c.Enqueue(context.WithoutCancel(t.Context()), email{"x"}); done <- err }()
		time.Sleep(time.Second)
		start := time.Now()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; !errors.Is(err, queue.ErrOutcomeUnknown) {
			t.Error(err)
		}
		within(t, "the call", time.Since(start), 0, 5*time.Second) // go-redis' read timeout
	})
}
