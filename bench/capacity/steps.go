package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidemill/tidemill/bench/internal/rig"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// stepSpec is the order to a child process.
type stepSpec struct {
	Broker rig.Broker    `json:"broker"`
	Size   int           `json:"size"` // of a payload, in bytes of JSON
	N      int           `json:"n"`
	Round  int           `json:"round"`    // jobs at a time
	Rate   float64       `json:"rate"`     // jobs a second
	State  string        `json:"state"`    // in which to leave them
	Watch  time.Duration `json:"watch_ns"` // an idle worker
}

// steps are what a child can be told to do.
var steps = map[string]rig.StepFunc{
	"fill":   rig.Step(fillStep),
	"drain":  rig.Step(drainStep),
	"rounds": rig.Step(roundsStep),
	"calls":  rig.Step(callsStep),
	"rate":   rig.Step(rateStep),
	"leave":  rig.Step(leaveStep),
	"idle":   rig.Step(idleStep),
}

// The settings of all steps: those of the side by side benchmark.
const (
	concurrency = 100
	batchSize   = 1000
	callers     = 32
	patience    = time.Minute
)

func open(ctx context.Context, spec stepSpec) (*queue.Client, error) {
	return queue.Open(ctx, "redis://"+spec.Broker.Addr)
}

// enqueueAll enqueues N jobs in batches.
func enqueueAll(ctx context.Context, c *queue.Client, spec stepSpec, options ...queue.Option) error {
	batch := make([]rig.Payload, 0, batchSize)
	for i := 0; i < spec.N; i += batchSize {
		batch = batch[:0]
		for j := i; j < min(spec.N, i+batchSize); j++ {
			batch = append(batch, rig.Sized(j, spec.Size))
		}
		if _, err := c.EnqueueMany(ctx, queue.Items(batch, options...)); err != nil {
			return err
		}
	}
	return nil
}

// fillStep tells what it costs to enqueue in batches.
func fillStep(ctx context.Context, spec stepSpec) ([]rig.Metric, error) {
	c, err := open(ctx, spec)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	start, err := rig.MarkUsage(ctx, spec.Broker)
	if err != nil {
		return nil, err
	}
	if err := enqueueAll(ctx, c, spec); err != nil {
		return nil, err
	}
	end, err := rig.MarkUsage(ctx, spec.Broker)
	return end.Per("job", spec.N, start, "enqueue "), err
}

// running is a worker beside a step, and how many jobs it has handled.
type running struct {
	client  *queue.Client
	handled atomic.Int64
	wanted  atomic.Int64
	all     chan struct{} // gets one each time that as many as are wanted have been handled
	stop    context.CancelFunc
	stopped chan error
}

// work starts a worker of one queue, whose handlers answer with an error if there is one.
func work(ctx context.Context, spec stepSpec, answer error) (*running, error) {
	c, err := open(ctx, spec)
	if err != nil {
		return nil, err
	}
	r := &running{client: c, all: make(chan struct{}, 1), stopped: make(chan error, 1)}
	mux := worker.NewMux()
	worker.Handle(mux, func(context.Context, *queue.Job[rig.Payload]) error {
		if r.handled.Add(1) == r.wanted.Load() {
			r.all <- struct{}{}
		}
		return answer
	})
	w, err := worker.New(c, mux, worker.Config{Concurrency: concurrency})
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	workCtx, stop := context.WithCancel(ctx)
	r.stop = stop
	go func() { r.stopped <- w.Run(workCtx) }()
	return r, nil
}

// end stops the worker.
func (r *running) end() error {
	r.stop()
	return errors.Join(<-r.stopped, r.client.Close())
}

// handle waits until n more jobs than before have been handled, after do has let them come.
func (r *running) handle(ctx context.Context, n int, do func() error) error {
	r.wanted.Add(int64(n))
	if err := do(); err != nil {
		return err
	}
	return r.await(ctx)
}

func (r *running) await(ctx context.Context) error {
	select {
	case <-r.all:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case err := <-r.stopped:
		r.stopped <- err
		return errors.Join(errors.New("the worker stopped by itself"), err)
	case <-time.After(patience):
		return fmt.Errorf("%d of %d jobs were handled within %v", r.handled.Load(), r.wanted.Load(), patience)
	}
}

// settled polls until every acknowledgement is in.
func (r *running) settled(ctx context.Context) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		counts, err := r.client.Counts(ctx, queue.DefaultQueue)
		if err != nil || counts.Running+counts.Ready == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%v after the last handler, %+v", patience, counts)
		}
	}
}

// metered runs do between two marks beside a worker that has run a first job, and waits for the acknowledgements.
func metered(ctx context.Context, spec stepSpec, n int, prefix string, do func(r *running) error) (metrics []rig.Metric, err error) {
	r, err := work(ctx, spec, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.end()) }()
	err = r.handle(ctx, 1, func() error {
		_, err := r.client.Enqueue(ctx, rig.Sized(0, spec.Size))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("the first job: %w", err)
	}
	start, err := rig.MarkUsage(ctx, spec.Broker)
	if err != nil {
		return nil, err
	}
	if err := do(r); err != nil {
		return nil, err
	}
	if err := r.settled(ctx); err != nil {
		return nil, err
	}
	end, err := rig.MarkUsage(ctx, spec.Broker)
	return end.Per("job", n, start, prefix), err
}

// drainStep tells what it costs a fresh worker to run the N jobs that wait.
func drainStep(ctx context.Context, spec stepSpec) (metrics []rig.Metric, err error) {
	start, err := rig.MarkUsage(ctx, spec.Broker)
	if err != nil {
		return nil, err
	}
	r, err := work(ctx, spec, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.end()) }()
	for deadline := time.Now().Add(patience); r.handled.Load() < int64(spec.N); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%d of %d jobs were handled within %v", r.handled.Load(), spec.N, patience)
		}
	}
	if err := r.settled(ctx); err != nil {
		return nil, err
	}
	end, err := rig.MarkUsage(ctx, spec.Broker)
	return end.Per("job", spec.N, start, "run "), err
}

// roundsStep has jobs come some at a time beside an idle worker, and a little after all before them have been handled.
func roundsStep(ctx context.Context, spec stepSpec) ([]rig.Metric, error) {
	rounds := max(1, spec.N/spec.Round)
	return metered(ctx, spec, rounds*spec.Round, "", func(r *running) error {
		for range rounds {
			batch := make([]rig.Payload, spec.Round)
			for i := range batch {
				batch[i] = rig.Sized(i, spec.Size)
			}
			err := r.handle(ctx, spec.Round, func() (err error) {
				if spec.Round == 1 {
					_, err = r.client.Enqueue(ctx, batch[0])
				} else {
					_, err = r.client.EnqueueMany(ctx, queue.Items(batch))
				}
				return err
			})
			if err != nil {
				return err
			}
			time.Sleep(time.Millisecond + rand.N(time.Millisecond))
		}
		return nil
	})
}

// rateStep has jobs come one by one at a rate, at random moments, as many independent callers would have them.
func rateStep(ctx context.Context, spec stepSpec) ([]rig.Metric, error) {
	return metered(ctx, spec, spec.N, "", func(r *running) error {
		return r.handle(ctx, spec.N, func() error { return enqueueAt(ctx, r.client, spec) })
	})
}

// enqueueAt draws the moments and hands the jobs that are due to the callers, each as soon as one is free.
func enqueueAt(ctx context.Context, c *queue.Client, spec stepSpec) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	due := make(chan rig.Payload, spec.N)
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for p := range due {
				if _, err := c.Enqueue(ctx, p); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	began, next := time.Now(), 0.0
	for i := 0; i < spec.N && ctx.Err() == nil; i++ {
		next += rand.ExpFloat64() / spec.Rate
		if wait := time.Until(began.Add(time.Duration(next * float64(time.Second)))); wait > 0 {
			time.Sleep(wait)
		}
		due <- rig.Sized(i, spec.Size)
	}
	close(due)
	all.Wait()
	return context.Cause(ctx)
}
