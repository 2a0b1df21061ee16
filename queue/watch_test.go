package queue_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// withdrawOne takes one from an account and enqueues a receipt, both or neither.
func withdrawOne(ctx context.Context, c *queue.Client) error {
	return c.Watch(ctx, func(tx *redis.Tx) error {
		n, err := tx.Get(ctx, "account").Int()
		if err != nil {
			return err
		}
		var receipt *queue.Pending
		_, err = tx.TxPipelined(ctx, func(pipe redis.Pipeliner) (err error) {
			pipe.Set(ctx, "account", n-1, 0)
			receipt, err = c.EnqueueTx(ctx, pipe, email{"receipt"})
			return err
		})
		if err != nil {
			return err
		}
		return receipt.Result()
	}, "account")
}

// TestWatchUnderContention: every collision is retried, nothing is lost and nothing enqueued for a try that failed.
func TestWatchUnderContention(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		c, ctx := open(t, srv.URL()), t.Context()
		m := redistest.NewMonitor(t, srv)
		c.Redis().Set(ctx, "account", 100, 0)
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				for range 5 {
					if err := withdrawOne(ctx, c); err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		if left := c.Redis().Get(ctx, "account").Val(); left != "60" {
			t.Errorf("%s left", left)
		}
		expectReady(t, c, "default", 40)
		if tries := m.Count("WATCH"); tries <= 40 {
			t.Errorf("%d tries for 40 transactions: nothing collided", tries)
		}
	})
}

// TestWatchOnOneConnection: a transaction that holds the pool's only connection can still enqueue into a new queue.
func TestWatchOnOneConnection(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		c, ctx := open(t, srv.URL(), queue.Config{MaxConnections: 4}), t.Context()
		c.Redis().Set(ctx, "account", 1, 0)
		start := time.Now()
		if err := withdrawOne(ctx, c); err != nil {
			t.Error(err)
		}
		within(t, "Watch", time.Since(start), 0, 2*time.Second)
		if names, err := c.Queues(ctx); err != nil || len(names) != 1 {
			t.Errorf("queues %q, %v", names, err)
		}
	})
}

// TestWatchGivesUp: a key that changes during every try ends in ErrConflict after 50 of them, with growing waits.
func TestWatchGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := redistest.NewBubble(t)
		c, other, ctx := around(t, b.Client()), b.Client(), t.Context()
		tries, start := 0, time.Now()
		var pending *queue.Pending
		err := c.Watch(ctx, func(tx *redis.Tx) error {
			tries++
			other.Incr(ctx, "k")
			_, err := tx.TxPipelined(ctx, func(pipe redis.Pipeliner) (err error) {
				pipe.Set(ctx, "written", 1, 0)
				pending, err = c.EnqueueTx(ctx, pipe, email{"x"})
				return err
			})
			return err
		}, "k")
		if !errors.Is(err, queue.ErrConflict) || tries != 50 || err.Error() != `conflict: the keys ["k"] changed during each of 50 tries` {
			t.Errorf("%v after %d tries", err, tries)
		}
		within(t, "50 tries", time.Since(start), 4*time.Second, 10*time.Second)
		if err := pending.Result(); !errors.Is(err, queue.ErrConflict) || errors.Is(err, queue.ErrOutcomeUnknown) {
			t.Errorf("the job of a try that collided: %v", err)
		}
		if n := counts(t, c, "default"); n.Enqueued != 0 || b.M.Exists("written") {
			t.Errorf("a transaction that collided wrote something: %+v", n)
		}
	})
}

func TestWatchEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := redistest.NewBubble(t)
		c, other := around(t, b.Client()), b.Client()
		own, tries := errors.New("no such account"), 0
		err := c.Watch(t.Context(), func(*redis.Tx) error { tries++; return own }, "k")
		if err != own || tries != 1 {
			t.Errorf("an error of fn: %v after %d tries", err, tries)
		}
		if err := c.Watch(t.Context(), func(tx *redis.Tx) error { return tx.Get(t.Context(), "none").Err() }, "k"); !errors.Is(err, redis.Nil) {
			t.Errorf("redis.Nil of fn: %v", err)
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, own)
		defer cancel()
		err = c.Watch(ctx, func(tx *redis.Tx) error {
			other.Incr(ctx, "k")
			_, err := tx.TxPipelined(ctx, func(pipe redis.Pipeliner) error { pipe.Set(ctx, "w", 1, 0); return nil })
			return err
		}, "k")
		if !errors.Is(err, own) || errors.Is(err, queue.ErrConflict) {
			t.Errorf("the caller's context ended: %v", err)
		}
	})
}

// TestWatchLostReply: whether EXEC was carried out is not known, so it is not tried again, also not by a client that
// retries: the watch died with its connection.
func TestWatchLostReply(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		p := redistest.NewProxy(t, srv.Addr())
		retrying := redis.NewClient(&redis.Options{Addr: p.Addr()})
		defer retrying.Close()
		for name, c := range map[string]*queue.Client{"own": open(t, "redis://"+p.Addr()), "passed in": around(t, retrying)} {
			ctx := t.Context()
			enqueue(t, c, email{"warm"}, queue.Queue("warm"))
			if err := c.Redis().Set(ctx, "account", 100, 0).Err(); err != nil {
				t.Fatal(err)
			}
			before := counts(t, c, "default").Enqueued
			p.DropReply(redistest.Once(redistest.On("EXEC")))
			if err := withdrawOne(ctx, c); !errors.Is(err, queue.ErrOutcomeUnknown) {
				t.Errorf("%s: %v", name, err)
			}
			p.DropReply(nil)
			if left := c.Redis().Get(ctx, "account").Val(); left != "99" {
				t.Errorf("%s: %s left", name, left)
			}
			if n := counts(t, c, "default").Enqueued - before; n != 1 {
				t.Errorf("%s: %d jobs", name, n)
			}
		}
	})
}
