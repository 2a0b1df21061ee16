package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidemill/tidemill/bench/internal/rig"
)

// readyLine is what a worker's child says when it has run a first job, and the rest may come.
const readyLine = "ready"

// consumeStep is a fresh worker process that has run one job when it says that it is ready, and then runs N which another
// process enqueues meanwhile. With a rate it tells how long each waited; else how long all took, from the moment at which
// the first was made until nothing is pending and nothing active.
func consumeStep(ctx context.Context, sys adapter, spec stepSpec) ([]rig.Metric, error) {
	c, err := sys.Open(ctx, spec.Broker)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	w := newWaits(spec.N)
	var metrics []rig.Metric
	err = withWorker(ctx, sys, spec.work(mainQueue), w.handle, func(ctx context.Context) error {
		if err := w.warmUp(ctx, c); err != nil {
			return err
		}
		start, err := rig.MarkUsage(ctx, spec.Broker)
		if err != nil {
			return err
		}
		if _, err := fmt.Println(readyLine); err != nil {
			return err
		}
		if err := w.tally.Await(ctx, lastWait+time.Duration(spec.N)*time.Millisecond); err != nil {
			return err
		}
		if err := awaitAcks(ctx, c, mainQueue); err != nil {
			return err
		}
		took := time.Since(time.Unix(0, w.made.Load()))
		end, err := rig.MarkUsage(ctx, spec.Broker)
		if err != nil {
			return err
		}
		if spec.Rate > 0 {
			metrics = rig.Quantiles(w.waited[spec.N/10:], "")
		} else {
			metrics = []rig.Metric{{Name: "rate", Unit: "jobs/s", Better: rig.Higher, Value: float64(spec.N) / took.Seconds()}}
		}
		metrics = append(metrics, end.Per("job", spec.N, start, "")...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := expectPending(ctx, c, 0); err != nil {
		return nil, err
	}
	return metrics, w.tally.Check()
}

// waits notes how long each of n jobs waited for its handler, by the wall clock that all processes here share. Job n is a
// warm-up: it opens the connections and loads the scripts.
type waits struct {
	tally, warm *rig.Tally
	waited      []time.Duration
	made        atomic.Int64 // when job 0 was, in nanoseconds since 1970
}

func newWaits(n int) *waits {
	return &waits{tally: rig.NewTally(n), warm: rig.NewTally(1), waited: make([]time.Duration, n)}
}

func (w *waits) handle(p rig.Payload) {
	if p.UserID == int64(len(w.waited)) {
		p.UserID = 0
		w.warm.Handle(p)
		return
	}
	if p.UserID == 0 {
		w.made.Store(p.TS)
	}
	if p.UserID >= 0 && p.UserID < int64(len(w.waited)) {
		w.waited[p.UserID] = time.Duration(time.Now().UnixNano() - p.TS)
	}
	w.tally.Handle(p)
}

func (w *waits) warmUp(ctx context.Context, c client) error {
	if err := c.Enqueue(ctx, mainQueue, rig.NewPayload(len(w.waited)), 0); err != nil {
		return err
	}
	if err := w.warm.Await(ctx, lastWait); err != nil {
		return err
	}
	return awaitAcks(ctx, c, mainQueue)
}

// produceStep enqueues N jobs: in batches from one goroutine, or one by one from 32; at a rate, or as fast as it can.
func produceStep(ctx context.Context, sys adapter, spec stepSpec) ([]rig.Metric, error) {
	c, err := sys.Open(ctx, spec.Broker)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	start, err := rig.MarkUsage(ctx, spec.Broker)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	switch {
	case spec.Rate > 0:
		err = enqueueAt(ctx, c, spec.N, spec.Rate)
	case spec.Batch > 0:
		err = enqueueBatches(ctx, c, spec.N, spec.Batch, 1, mainQueue)
	default:
		err = enqueueMany(ctx, c, spec.N, producers, mainQueue)
	}
	if err != nil {
		return nil, err
	}
	took := time.Since(began)
	end, err := rig.MarkUsage(ctx, spec.Broker)
	if err != nil {
		return nil, err
	}
	rate := rig.Metric{Name: "sent", Unit: "jobs/s", Better: rig.Higher, Value: float64(spec.N) / took.Seconds()}
	return append([]rig.Metric{rate}, end.Per("job", spec.N, start, "")...), nil
}

// enqueueAt hands jobs 0 to n-1 at a rate to 32 goroutines that enqueue one at a time. It looks at the clock each
// millisecond and hands out whatever is due; a job's time begins there, whether or not a goroutine is free for it.
func enqueueAt(ctx context.Context, c client, n int, rate float64) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	due := make(chan rig.Payload, n)
	var callers sync.WaitGroup
	for range producers {
		callers.Go(func() {
			for p := range due {
				if err := c.Enqueue(ctx, mainQueue, p, 0); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	began := time.Now()
	for i := 0; i < n && ctx.Err() == nil; time.Sleep(time.Millisecond) {
		for ; i < n && time.Since(began).Seconds() >= float64(i)/rate; i++ {
			due <- rig.NewPayload(i)
		}
	}
	close(due)
	callers.Wait()
	return context.Cause(ctx)
}
