package doctor_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// TestBusy examines a queue on which everything happens at once, all of it healthy: nothing may be found.
func TestBusy(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	w := newWard(t, srv.URL(), "ns")
	w.must(w.client.SetSessionTTL(w.ctx, 2*time.Second))
	w.healthy()
	ctx, stop := context.WithCancel(w.ctx)
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() { w.serve(ctx) })
	}
	var done atomic.Int64
	for _, busy := range []func(context.Context){w.produce, w.produce, w.meddle, w.crash} {
		all.Go(func() {
			for ctx.Err() == nil {
				busy(ctx)
				done.Add(1)
				pass(2 * time.Millisecond)
			}
		})
	}
	recovered := int64(0)
	for i := 0; i < 12 || recovered < 30 && i < 60; i++ { // a machine that is too busy for heartbeats recovers nothing
		before := done.Load()
		w.quiet()
		redistest.WaitFor(t, soon, func() bool { return done.Load() > before+20 }, "something to happen")
		n, err := w.client.Counts(w.ctx, "q")
		w.must(err)
		recovered = n.Recovered
	}
	stop()
	all.Wait()
	w.quiet()
}

// quiet examines, and wants nothing to be found but workers that are gone.
func (w *ward) quiet() {
	w.Helper()
	found := ill(w.examine())
	delete(found, "waiting-for-a-worker")
	if len(found) > 0 {
		w.Errorf("found %v", found)
	}
}

// serve runs a worker whose handlers do all that they can do.
func (w *ward) serve(ctx context.Context) {
	mux := worker.NewMux()
	mux.HandleKind("k", func(context.Context, *queue.Job[queue.Raw]) error {
		pass(time.Duration(rand.IntN(6)) * time.Millisecond) // so that jobs pile up, and are met there
		switch rand.IntN(12) {
		case 0:
			return errors.New("no luck")
		case 1:
			return queue.Dead(errors.New("no use"))
		case 2:
			return queue.Snooze(20 * time.Millisecond)
		}
		return nil
	})
	wk, err := worker.New(w.client, mux, worker.Config{Queues: []worker.Queue{{Name: "q"}}, Concurrency: 8, CrashLimit: 2})
	if err == nil {
		err = wk.Run(ctx)
	}
	if err != nil {
		w.Error(err)
	}
}

// backlog is how many jobs pile up at most: more than a page of a list holds.
const backlog = 2000

// produce enqueues a batch of all sorts.
func (w *ward) produce(ctx context.Context) {
	if n, err := w.client.Counts(ctx, "q"); err != nil || n.Ready > backlog {
		return
	}
	var items []queue.Item
	for range 20 {
		options := []queue.Option{queue.Queue("q"), queue.Priority(rand.IntN(10))}
		switch rand.IntN(4) {
		case 0:
			options = append(options, queue.In(time.Duration(rand.IntN(200))*time.Millisecond))
		case 1:
			options = append(options, queue.Retain(100*time.Millisecond))
		case 2:
			options = append(options, queue.ID(id(100+rand.IntN(400)).String()))
		}
		items = append(items, queue.Item{Args: queue.Raw{Name: "k", Payload: []byte(`{}`)}, Options: options})
	}
	_, _ = w.client.EnqueueMany(ctx, items) // duplicates are meant
}

// meddle cancels, deletes, edits and redrives jobs, most of which have ended by then.
func (w *ward) meddle(ctx context.Context) {
	for range 10 {
		name, in := id(100+rand.IntN(400)).String(), time.Duration(rand.IntN(100))*time.Millisecond
		priority := rand.IntN(10)
		switch rand.IntN(5) {
		case 0:
			_, _ = w.client.Cancel(ctx, "q", name)
		case 1:
			_ = w.client.Delete(ctx, "q", name)
		case 2:
			_ = w.client.Redrive(ctx, "q", name)
		case 3:
			_ = w.client.Edit(ctx, "q", name, queue.Edit{RunIn: &in})
		case 4:
			_ = w.client.Edit(ctx, "q", name, queue.Edit{Priority: &priority})
		}
	}
}

// crash claims jobs in a session that is not heard of again.
func (w *ward) crash(ctx context.Context) {
	b, session := broker.New(w.rdb, w.space), uuid.NewString()
	_, _, err := b.Heartbeat(ctx, 2*time.Second, []broker.Beat{{Queue: w.q, Session: session, Mode: broker.Register}})
	if err != nil {
		return
	}
	b.Exchange(ctx, []*broker.Exchange{{Queue: w.q, Session: session, Seq: 1, Want: 3, Bytes: 1 << 20, First: 3, Suspect: true}})
	pass(50 * time.Millisecond)
}

// pass lets time pass, so that the machine is not kept busy for nothing.
func pass(d time.Duration) { <-time.NewTimer(d).C }
