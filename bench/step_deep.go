package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tidemill/tidemill/bench/internal/rig"
)

// deepStep enqueues N jobs behind a backlog, and then runs a worker until N jobs of the backlog and of those have begun. At
// the end each job has either run once or still waits.
func deepStep(ctx context.Context, sys adapter, spec stepSpec) ([]rig.Metric, error) {
	c, err := sys.Open(ctx, spec.Broker)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := expectPending(ctx, c, spec.Backlog); err != nil {
		return nil, err
	}
	enqueued, err := deepEnqueue(ctx, c, spec)
	if err != nil {
		return nil, err
	}
	started := newStarts(spec.N)
	start, err := rig.MarkUsage(ctx, spec.Broker)
	if err != nil {
		return nil, err
	}
	var drained []rig.Metric
	err = withWorker(ctx, sys, spec.work(mainQueue), started.handle, func(ctx context.Context) error {
		if err := started.await(ctx); err != nil {
			return err
		}
		took := started.took()
		ran := int(started.count.Load())
		end, err := rig.MarkUsage(ctx, spec.Broker)
		if err != nil {
			return err
		}
		rate := rig.Metric{Name: "drain rate", Unit: "jobs/s", Better: rig.Higher, Value: float64(spec.N) / took.Seconds()}
		drained = append([]rig.Metric{rate}, end.Per("job", ran, start, "drain ")...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	left := spec.Backlog + spec.N - int(started.count.Load())
	return append(drained, enqueued...), expectPending(ctx, c, left)
}

// deepEnqueue times the batches.
func deepEnqueue(ctx context.Context, c client, spec stepSpec) ([]rig.Metric, error) {
	start, err := rig.MarkUsage(ctx, spec.Broker)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := enqueueBatches(ctx, c, spec.N, batchSize, 1, mainQueue); err != nil {
		return nil, err
	}
	took := time.Since(began)
	end, err := rig.MarkUsage(ctx, spec.Broker)
	rate := rig.Metric{Name: "enqueue rate", Unit: "jobs/s", Better: rig.Higher, Value: float64(spec.N) / took.Seconds()}
	return append([]rig.Metric{rate}, end.Per("job", spec.N, start, "enqueue ")...), errors.Join(err, expectPending(ctx, c, spec.Backlog+spec.N))
}

// await waits until as many as are measured have begun.
func (s *starts) await(ctx context.Context) error {
	select {
	case <-s.enough:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(lastWait + time.Duration(s.want)*time.Millisecond):
		return fmt.Errorf("only %d of %d began", s.count.Load(), s.want)
	}
}
