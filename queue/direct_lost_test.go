package queue_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// answers are what tells of enqueue calls: the script's, and the end of a direct one's transaction.
var answers = redistest.On("EVALSHA", "EVAL", "EXEC")

// warm has the queue's lane known to the server, on the express connection.
func warm(t *testing.T, c *queue.Client) {
	t.Helper()
	enqueue(t, c, email{"loads the script"})
	withExpress(t, c)
	enqueue(t, c, email{"has it answer there"})
}

// TestLostAnswersOfDirectCalls: batches whose jobs Redis stores itself are stored once, and in order, whichever answer is lost.
func TestLostAnswersOfDirectCalls(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		c, p := behind(t, srv)
		warm(t, c)
		m := redistest.NewMonitor(t, srv)
		var all []queue.Result
		for _, nth := range []int64{1, 4, 9} {
			withExpress(t, c)
			p.DropReply(redistest.Nth(nth, redistest.On("EXEC")))
			results, err := c.EnqueueMany(t.Context(), queue.Items(make([]email, 5000)), queue.Queue("q"))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, results...)
		}
		p.DropReply(nil)
		if p.Dropped() != 3 || m.Count("EXEC") < 14 {
			t.Errorf("%d answers of %d direct calls were lost", p.Dropped(), m.Count("EXEC"))
		}
		expectOrder(t, c, "q", all)
		expectReady(t, c, "q", int64(len(all)))
	})
}

// TestLateDirectCall: the end of a transaction is held on its way, the call is sent again, its jobs run and leave, and then it
// arrives.
func TestLateDirectCall(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		direct := open(t, srv.URL())
		p := redistest.NewProxy(t, srv.Addr())
		c := open(t, "redis://"+p.Addr()+"?read_timeout=500ms")
		warm(t, c)
		release := p.HoldRequest(redistest.Once(redistest.On("EXEC")))
		if _, err := c.EnqueueMany(t.Context(), queue.Items(make([]email, 50))); err != nil {
			t.Fatal(err)
		}
		mux := worker.NewMux()
		worker.Handle(mux, func(context.Context, *queue.Job[email]) error { return nil })
		stop := work(t, direct, mux, worker.Config{})
		redistest.WaitFor(t, soon, func() bool { return counts(t, direct, "default").Succeeded == 52 }, "the jobs to be done")
		stop()
		if p.Held() != 1 {
			t.Fatalf("%d requests held", p.Held())
		}
		release()
		if n := counts(t, direct, "default"); n.Ready != 0 || n.Enqueued != 52 {
			t.Errorf("the late call was carried out: %+v", n)
		}
		enqueue(t, direct, email{"the queue is whole"})
		stop = work(t, direct, mux, worker.Config{})
		redistest.WaitFor(t, soon, func() bool { return counts(t, direct, "default").Succeeded == 53 }, "it to be done")
		stop()
		keys, err := direct.Redis().Keys(t.Context(), "*~*").Result()
		if err != nil || len(keys) > 0 {
			t.Errorf("left behind: %q, %v", keys, err)
		}
	})
}

// TestManyCallersOfDirectCalls: single enqueues that share such calls are answered once each, also where connections break.
func TestManyCallersOfDirectCalls(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		c, p := behind(t, srv)
		warm(t, c)
		m := redistest.NewMonitor(t, srv)
		const callers, each = 32, 60
		for range 2 {
			withExpress(t, c)
			p.DropReply(redistest.Nth(30, answers))
			var all sync.WaitGroup
			for range callers {
				all.Go(func() {
					for range each {
						if _, err := c.Enqueue(t.Context(), email{"x"}); err != nil {
							t.Error(err)
						}
					}
				})
			}
			all.Wait()
		}
		p.DropReply(nil)
		if p.Dropped() != 2 || m.Count("EXEC") < 5 {
			t.Errorf("%d answers were lost, %d calls were direct: this shows nothing", p.Dropped(), m.Count("EXEC"))
		}
		expectReady(t, c, "default", 2+2*callers*each)
	})
}

// TestOrderWhereRecordsAreLost: what refuses some direct calls of a batch refuses all behind them.
func TestOrderWhereRecordsAreLost(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		c := open(t, srv.URL())
		warm(t, c)
		for range 3 {
			if _, err := c.EnqueueMany(t.Context(), queue.Items(make([]email, 5000))); err != nil { // by many lanes
				t.Fatal(err)
			}
			if err := c.Redis().FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			withExpress(t, c)
			enqueue(t, c, email{"has one lane known again"})
			if err := c.Redis().Del(t.Context(), "tm:{default}:ready:0", "tm:{default}:jobs", "tm:{default}:meta").Err(); err != nil {
				t.Fatal(err)
			}
			results, err := c.EnqueueMany(t.Context(), queue.Items(make([]email, 5000)))
			if err != nil {
				t.Fatal(err)
			}
			expectOrder(t, c, "default", results)
		}
	})
}

// TestSameIDAfterAnUnknownOutcome: a direct call is given up, its jobs are enqueued again under the same ids, and then it arrives.
func TestSameIDAfterAnUnknownOutcome(t *testing.T) {
	for way, again := range map[string]func(*testing.T, *queue.Client, []queue.Item) error{
		"one by one": func(t *testing.T, c *queue.Client, items []queue.Item) (err error) {
			for _, item := range items {
				_, one := c.Enqueue(t.Context(), item.Args, item.Options...)
				err = errors.Join(err, one)
			}
			return err
		},
		"batch": func(t *testing.T, c *queue.Client, items []queue.Item) error {
			_, err := c.EnqueueMany(t.Context(), items)
			return err
		},
		"input": func(t *testing.T, c *queue.Client, items []queue.Item) error {
			_, err := input(t, c, uuid.New(), 1, nil).EnqueueMany(t.Context(), []uint64{1, 2, 3, 4, 5, 6, 7, 8}, items)
			return err
		},
	} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) { sameIDs(t, srv, again) })
		})
	}
}

func sameIDs(t *testing.T, srv *redisserver.Server, again func(*testing.T, *queue.Client, []queue.Item) error) {
	p := redistest.NewProxy(t, srv.Addr())
	c := open(t, "redis://"+p.Addr()+"?read_timeout=1h")
	warm(t, c)
	release := p.HoldRequest(redistest.Once(redistest.On("EXEC")))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan []queue.Result, 1)
	go func() {
		results, _ := c.EnqueueMany(ctx, queue.Items(make([]email, 8)))
		done <- results
	}()
	redistest.WaitFor(t, soon, func() bool { return p.Held() == 1 }, "the call to be held")
	cancel()
	var items []queue.Item
	for _, r := range <-done {
		if !errors.Is(r.Err, queue.ErrOutcomeUnknown) {
			t.Fatal(r.Err)
		}
		items = append(items, queue.Item{Args: email{"again"}, Options: []queue.Option{queue.ID(r.ID.String())}})
	}
	if err := again(t, c, items); err != nil {
		t.Fatal(err)
	}
	release()
	expectReady(t, c, "default", 2+8)
	mux := worker.NewMux()
	worker.Handle(mux, func(context.Context, *queue.Job[email]) error { return nil })
	stop := work(t, c, mux, worker.Config{})
	redistest.WaitFor(t, soon, func() bool { return counts(t, c, "default").Succeeded == 10 }, "the jobs to be done")
	stop()
	if n := counts(t, c, "default"); n.Ready+n.Running != 0 || n.Enqueued != 10 {
		t.Errorf("%+v", n)
	}
}
