package queue_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

func TestDeadByError(t *testing.T) {
	everywhere(t, func(t *testing.T, c *queue.Client) {
		ctx := t.Context()
		mux := worker.NewMux()
		mux.HandleKind("row", func(_ context.Context, job *queue.Job[queue.Raw]) error {
			return queue.Dead(fmt.Errorf("row %s is locked", job.Args.Payload))
		})
		mux.HandleKind("mail", func(context.Context, *queue.Job[queue.Raw]) error { return queue.Dead(errors.New("refused")) })
		mux.HandleKind("letter", func(context.Context, *queue.Job[queue.Raw]) error { return queue.Dead(errors.New("refused")) })
		mux.HandleKind("each", func(_ context.Context, job *queue.Job[queue.Raw]) error {
			return queue.Dead(fmt.Errorf("alone: %s", job.Args.Payload))
		})
		stop := work(t, c, mux, worker.Config{Queues: []worker.Queue{{Name: "q"}}})
		for i := range 5 {
			enqueue(t, c, queue.Raw{Name: "row", Payload: fmt.Append(nil, i*1000)}, queue.Queue("q"))
		}
		enqueue(t, c, queue.Raw{Name: "mail"}, queue.Queue("q"))
		enqueue(t, c, queue.Raw{Name: "letter"}, queue.Queue("q"))
		redistest.WaitFor(t, soon, func() bool { return counts(t, c, "q").Dead == 7 }, "all to be dead")
		groups, err := c.DeadByError(ctx, "q", queue.ListOptions{})
		if err != nil || len(groups) != 2 {
			t.Fatalf("%+v, %v", groups, err)
		}
		rows, mails := groups[0], groups[1]
		if rows.Error != "row # is locked" || rows.Count != 5 || !slices.Equal(rows.Kinds, []string{"row"}) || rows.First.IsZero() || rows.Last.Before(rows.First) {
			t.Errorf("%+v", rows)
		}
		if s := byName(t, c, rows.Example.String()); s.Kind != "row" || !s.EndedAt.Equal(rows.Last) {
			t.Errorf("%+v", s)
		}
		if mails.Error != "refused" || mails.Count != 2 || !slices.Equal(mails.Kinds, []string{"letter", "mail"}) {
			t.Errorf("%+v", mails)
		}
		if groups, err = c.DeadByError(ctx, "q", queue.ListOptions{Kind: "mail"}); err != nil || len(groups) != 1 || groups[0].Count != 1 {
			t.Errorf("%+v, %v", groups, err)
		}
		if _, err := c.DeadByError(ctx, "q", queue.ListOptions{State: queue.Ready}); !errors.Is(err, queue.ErrInvalid) {
			t.Error(err)
		}
		for i := range 1100 { // letters, which no mask takes
			word := []byte{'g' + byte(i/400), 'g' + byte(i/20%20), 'g' + byte(i%20)}
			enqueue(t, c, queue.Raw{Name: "each", Payload: word}, queue.Queue("q"))
		}
		redistest.WaitFor(t, soon, func() bool { return counts(t, c, "q").Dead == 1107 }, "all to be dead")
		stop()
		groups, err = c.DeadByError(ctx, "q", queue.ListOptions{})
		if err != nil || len(groups) != 1001 || groups[0].Error != queue.OtherErrors || groups[0].Count != 102 {
			t.Errorf("%d groups, the first %+v, %v", len(groups), groups[0], err)
		}
	})
}

// alone answers the one worker there is.
func alone(t testing.TB, c *queue.Client) queue.WorkerInfo {
	t.Helper()
	all, err := c.Workers(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatalf("workers %+v, %v", all, err)
	}
	return all[0]
}

func TestWorkers(t *testing.T) {
	everywhere(t, func(t *testing.T, c *queue.Client) {
		ctx := t.Context()
		if all, err := c.Workers(ctx); err != nil || len(all) != 0 {
			t.Errorf("%+v, %v", all, err)
		}
		if err := c.QuietWorker(ctx, "", true); err != nil { // all of none
			t.Error(err)
		}
		before := time.Now().Add(-time.Second)
		finish := stage(t, c)
		redistest.WaitFor(t, soon, func() bool { return alone(t, c).Alive }, "the worker to be alive")
		w := alone(t, c)
		if !slices.Equal(w.Queues, []string{"q"}) || !slices.Equal(w.Kinds, []string{"block", "die", "keep"}) || w.Concurrency != 2 || w.Running != 1 ||
			w.Quiet || w.Stopping || w.PID == 0 || w.Host == "" || w.Started.Before(before) || w.LastSeen.Before(before) {
			t.Errorf("%+v", w)
		}
		for _, quiet := range []bool{true, false} {
			if err := c.QuietWorker(ctx, w.Instance, quiet); err != nil {
				t.Fatal(err)
			}
			redistest.WaitFor(t, soon, func() bool { return alone(t, c).Quiet == quiet }, "the worker to obey")
		}
		for _, err := range []error{c.QuietWorker(ctx, "nobody", true), c.StopWorker(ctx, "nobody")} {
			if !errors.Is(err, queue.ErrUnknownWorker) {
				t.Error(err)
			}
		}
		finish()
		if all, err := c.Workers(ctx); err != nil || len(all) != 0 {
			t.Errorf("%+v, %v", all, err)
		}
		if keys := c.Redis().Keys(ctx, "tm:orders").Val(); len(keys) != 0 {
			t.Error("its order is left")
		}
	})
}

// TestKilledWorkerIsNotAlive: what it announced is there until others drop it; no order is given to it.
func TestKilledWorkerIsNotAlive(t *testing.T) {
	everywhere(t, func(t *testing.T, c *queue.Client) {
		ctx := t.Context()
		c.Redis().HSet(ctx, "tm:workers", "gone", `{"host":"h","pid":7,"queues":["q"],"sessions":{"q":"s"},"seen":"2020-01-02T03:04:05Z"}`, "odd", "{")
		c.Redis().ZAdd(ctx, "tm:{q}:sessions", redisZ("s", float64(time.Now().Add(-time.Minute).UnixMilli())))
		all, err := c.Workers(ctx)
		if err != nil || len(all) != 2 {
			t.Fatalf("%+v, %v", all, err)
		}
		for _, w := range all {
			if w.Alive || w.Instance == "gone" && (w.PID != 7 || time.Since(w.LastSeen) > 2*time.Minute) {
				t.Errorf("%+v", w)
			}
			if err := c.StopWorker(ctx, w.Instance); !errors.Is(err, queue.ErrUnknownWorker) {
				t.Error(err)
			}
		}
		if err := c.StopWorker(ctx, ""); err != nil {
			t.Error(err)
		}
		if orders := c.Redis().HLen(ctx, "tm:orders").Val(); orders != 0 {
			t.Errorf("%d orders", orders)
		}
	})
}

// TestReadsFromReplica: inspection works on a replica, which takes no write, and verbs go to the primary.
func TestReadsFromReplica(t *testing.T) {
	redistest.EachReplicated(t, 1, func(t *testing.T, all []*redisserver.Server) {
		srv, replica := all[0], all[1]
		c := open(t, srv.URL()+"?read_from=replica&replica="+replica.Addr())
		direct := open(t, srv.URL())
		finish := stage(t, direct)
		defer finish()
		redistest.WaitFor(t, soon, func() bool {
			s, err := c.Get(t.Context(), "q", "scheduled")
			return err == nil && s.State == queue.Scheduled
		}, "the replica to follow")
		m := redistest.NewMonitor(t, srv)
		lists(t, c, queue.ListOptions{}, "scheduled", "ready", "running", "dead", "kept")
		if n := counts(t, c, "q"); n.Running != 1 || n.Dead != 1 {
			t.Errorf("%+v", n)
		}
		if names, err := c.Queues(t.Context()); err != nil || len(names) != 1 {
			t.Errorf("%q, %v", names, err)
		}
		if all, err := c.Workers(t.Context()); err != nil || len(all) != 1 {
			t.Errorf("%+v, %v", all, err)
		}
		if groups, err := c.DeadByError(t.Context(), "q", queue.ListOptions{}); err != nil || len(groups) != 1 {
			t.Errorf("%+v, %v", groups, err)
		}
		for _, word := range []string{"EVALSHA_RO", "EVAL_RO", "SMEMBERS"} {
			if n := m.Count(word); n != 0 {
				t.Errorf("the primary was asked %d times by %s", n, word)
			}
		}
		if r, err := c.CancelMany(t.Context(), "q", queue.Bulk{ListOptions: queue.ListOptions{State: queue.Ready}}); err != nil || r.Done != 1 {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

func redisZ(member string, score float64) redis.Z { return redis.Z{Member: member, Score: score} }
