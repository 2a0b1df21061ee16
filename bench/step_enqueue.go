package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidemill/tidemill/bench/internal/rig"
)

// batchSize is how many jobs go into one batch call.
const batchSize = 1000

// enqueueStep times one goroutine (a tenth of N), 32 goroutines and, if the
// system has one, its batch call; each with a fresh producer on an empty
// server, and each checked by the number of pending jobs.
func enqueueStep(ctx context.Context, sys adapter, spec stepSpec) ([]rig.Metric, error) {
	modes := []struct {
		name string
		n    int
		fill func(context.Context, client, int) error
	}{
		{"1 caller ", max(1, spec.N/10), func(ctx context.Context, c client, n int) error { return enqueueMany(ctx, c, n, 1, mainQueue) }},
		{oneByOne, spec.N, func(ctx context.Context, c client, n int) error { return enqueueMany(ctx, c, n, producers, mainQueue) }},
		{batched, spec.N, func(ctx context.Context, c client, n int) error {
			return enqueueBatches(ctx, c, n, batchSize, 1, mainQueue)
		}},
	}
	var out []rig.Metric
	for _, m := range modes {
		metrics, err := timeEnqueue(ctx, sys, spec.Broker, m.name, m.n, m.fill)
		if errors.Is(err, errors.ErrUnsupported) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, metrics...)
	}
	return out, nil
}

// timeEnqueue runs one mode on an emptied server.
func timeEnqueue(ctx context.Context, sys adapter, b rig.Broker, name string, n int, fill func(context.Context, client, int) error) ([]rig.Metric, error) {
	if err := rig.Empty(ctx, b); err != nil {
		return nil, err
	}
	c, err := sys.Open(ctx, b)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	start, err := rig.MarkUsage(ctx, b)
	if err != nil {
		return nil, err
	}
	allocations, began := rig.Allocations(), time.Now()
	if err := fill(ctx, c, n); err != nil {
		return nil, err
	}
	took := time.Since(began)
	allocated := rig.AllocationsPer("job", n, allocations, name)
	end, err := rig.MarkUsage(ctx, b)
	if err != nil {
		return nil, err
	}
	rate := rig.Metric{Name: name + "rate", Unit: "jobs/s", Better: rig.Higher, Value: float64(n) / took.Seconds()}
	metrics := append([]rig.Metric{rate}, end.Per("job", n, start, name)...)
	return append(metrics, allocated), expectPending(ctx, c, n)
}

// enqueueMany enqueues jobs 0 to n-1 one by one from the given goroutines, to the queues in turn.
func enqueueMany(ctx context.Context, c client, n, goroutines int, queues ...string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := c.Enqueue(ctx, queues[i%len(queues)], rig.NewPayload(i), 0); err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// enqueueBatches enqueues jobs 0 to n-1, so many a call, from the given goroutines, to the queues in turn.
func enqueueBatches(ctx context.Context, c client, n, size, goroutines int, queues ...string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			batch := make([]rig.Payload, 0, size)
			for b := int(next.Add(1)) - 1; b*size < n && ctx.Err() == nil; b = int(next.Add(1)) - 1 {
				batch = batch[:0]
				for i := b * size; i < min(n, (b+1)*size); i++ {
					batch = append(batch, rig.NewPayload(i))
				}
				if err := c.EnqueueMany(ctx, queues[b%len(queues)], batch); err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}
