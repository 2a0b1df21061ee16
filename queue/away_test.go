package queue_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// refusing is a client whose server refuses connections from now on.
func refusing(t testing.TB, opts ...func(*redis.Options)) (*queue.Client, *redistest.Bubble) {
	t.Helper()
	t.Cleanup(func() { time.Sleep(2 * time.Second) }) // go-redis' pool looks each second whether it was closed
	b := redistest.NewBubble(t)
	rdb := b.Client(opts...)
	c := around(t, rdb)
	enqueue(t, c, email{"warm"})
	b.Refuse(true)
	b.Cut()
	for rdb.PoolStats().TotalConns > 0 { // the pool finds out about its connections one by one
		_ = c.Ping(t.Context())
	}
	return c, b
}

// within fails unless d is between the bounds.
func within(t testing.TB, what string, d, from, to time.Duration) {
	t.Helper()
	if d < from || d > to {
		t.Errorf("%s took %v, want %v to %v", what, d, from, to)
	}
}

func TestRefusedForFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := refusing(t)
		start := time.Now()
		_, err := c.Enqueue(t.Context(), email{"x"})
		if !errors.Is(err, queue.ErrUnavailable) || errors.Is(err, queue.ErrOutcomeUnknown) {
			t.Error(err)
		}
		within(t, "Enqueue", time.Since(start), 5*time.Second, 6500*time.Millisecond)
		start = time.Now()
		results, err := c.EnqueueMany(t.Context(), queue.Items(make([]email, 50_000)))
		if !errors.Is(err, queue.ErrUnavailable) {
			t.Error(err)
		}
		within(t, "EnqueueMany", time.Since(start), 5*time.Second, 6500*time.Millisecond)
		for i, r := range results {
			if !errors.Is(r.Err, queue.ErrUnavailable) || errors.Is(r.Err, queue.ErrOutcomeUnknown) {
				t.Fatalf("result %d: %v", i, r.Err)
			}
		}
		start = time.Now()
		if err := c.Ping(t.Context()); !errors.Is(err, queue.ErrUnavailable) {
			t.Error(err)
		}
		if _, err := c.Cancel(t.Context(), "default", "x"); !errors.Is(err, queue.ErrUnavailable) || errors.Is(err, queue.ErrOutcomeUnknown) {
			t.Error(err)
		}
		within(t, "verbs, which are not tried again", time.Since(start), 0, time.Second)
	})
}

// TestManyCallersWaitNoLongerThanOne: a crowd behind two calls under way must not wait in turns of 5 s.
func TestManyCallersWaitNoLongerThanOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := refusing(t)
		start := time.Now()
		var group sync.WaitGroup
		for i := range 3000 {
			group.Go(func() {
				_, err := c.Enqueue(t.Context(), email{strconv.Itoa(i)})
				if !errors.Is(err, queue.ErrUnavailable) || errors.Is(err, queue.ErrOutcomeUnknown) {
					t.Error(err)
				}
			})
		}
		group.Wait()
		within(t, "a crowd", time.Since(start), 5*time.Second, 6500*time.Millisecond)
	})
}

// TestRefusedBehindRetries: a client that retries by itself shows its last error only, so a refused connection does not
// prove that nothing was sent before.
func TestRefusedBehindRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := refusing(t, func(o *redis.Options) { o.MaxRetries = 3 })
		start := time.Now()
		_, err := c.Enqueue(t.Context(), email{"x"})
		if !errors.Is(err, queue.ErrUnavailable) || !errors.Is(err, queue.ErrOutcomeUnknown) {
			t.Error(err)
		}
		within(t, "Enqueue", time.Since(start), 5*time.Second, 8*time.Second)
		if _, err = c.Enqueue(t.Context(), email{"x"}, queue.Queue("new")); !errors.Is(err, queue.ErrUnavailable) || errors.Is(err, queue.ErrOutcomeUnknown) {
			t.Errorf("of a new queue not even the name could be written: %v", err)
		}
	})
}

func TestBackInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, b := refusing(t)
		time.AfterFunc(3*time.Second, func() { b.Refuse(false) })
		start := time.Now()
		enqueue(t, c, email{"x"})
		within(t, "Enqueue", time.Since(start), 3*time.Second, 4500*time.Millisecond)
		expectReady(t, c, "default", 2)
	})
}

// TestServerSaysNotNow: an error reply proves that the call was not carried out.
func TestServerSaysNotNow(t *testing.T) {
	for _, reply := range []string{"LOADING Redis is loading the dataset in memory", "BUSY Redis is busy running a script",
		"MASTERDOWN Link with MASTER is down", "CLUSTERDOWN The cluster is down"} {
		synctest.Test(t, func(t *testing.T) {
			b := redistest.NewBubble(t)
			c := around(t, b.Client())
			enqueue(t, c, email{"warm"})
			b.M.SetError(reply)
			start := time.Now()
			_, err := c.Enqueue(t.Context(), email{"x"})
			if !errors.Is(err, queue.ErrUnavailable) || errors.Is(err, queue.ErrOutcomeUnknown) {
				t.Error(err)
			}
			within(t, reply, time.Since(start), 5*time.Second, 6500*time.Millisecond)
			time.AfterFunc(2*time.Second, func() { b.M.SetError("") })
			enqueue(t, c, email{"x"})
			expectReady(t, c, "default", 2)
		})
	}
}

func TestContextEndsBeforeRedisIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := refusing(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		// The call goes on behind its caller's back: it may yet be carried out.
		if _, err := c.Enqueue(ctx, email{"x"}); !errors.Is(err, queue.ErrOutcomeUnknown) || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		within(t, "Enqueue", time.Since(start), time.Second, time.Second)
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		results, err := c.EnqueueMany(ctx, queue.Items(make([]email, 5000)))
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		for i, r := range results {
			if !errors.Is(r.Err, context.DeadlineExceeded) && !errors.Is(r.Err, queue.ErrUnavailable) || errors.Is(r.Err, queue.ErrOutcomeUnknown) {
				t.Fatalf("result %d: %v", i, r.Err)
			}
		}
	})
}

// TestThreeSecondOutageInABatch: the connections break in the middle, for 3 s nobody answers, and then all of the batch
// is there, once and in order.
func TestThreeSecondOutageInABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := redistest.NewBubble(t)
		c := around(t, b.Client())
		down := redistest.Nth(7, scripts)
		b.Delay(func(cmd string, args []string) time.Duration {
			if down(cmd, args) {
				time.AfterFunc(0, func() {
					b.Refuse(true)
					b.Cut()
				})
				time.AfterFunc(3*time.Second, func() { b.Refuse(false) })
				return time.Second
			}
			return 0
		})
		start := time.Now()
		results, err := c.EnqueueMany(t.Context(), queue.Items(make([]email, 10_000)))
		if err != nil {
			t.Fatal(err)
		}
		within(t, "the batch", time.Since(start), 3*time.Second, 5*time.Second)
		expectOrder(t, c, "default", results)
	})
}

// TestServerDiesInABatch is the same with a real one, killed and started again on its append-only file.
func TestServerDiesInABatch(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		c, p := behind(t, srv)
		enqueue(t, c, email{"loads the script"}, queue.Queue("other"))
		withExpress(t, c)
		killed := make(chan struct{})
		die := redistest.Nth(9, scripts)
		p.DropReply(func(cmd string, args []string) bool {
			if die(cmd, args) {
				srv.Kill()
				close(killed)
			}
			return false
		})
		restarted := make(chan error, 1)
		go func() {
			<-killed
			restarted <- srv.Restart(context.WithoutCancel(t.Context()))
		}()
		results, err := c.EnqueueMany(t.Context(), queue.Items(make([]email, 20_000)))
		if err := errors.Join(err, <-restarted); err != nil {
			t.Fatal(err)
		}
		expectOrder(t, c, "default", results)
	}, redistest.WithAOF("always"))
}
