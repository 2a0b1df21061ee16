package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// batchSize is how many jobs go into one batch call.
const batchSize = 1000

// enqueueStep times one goroutine (a quarter of N), 32 goroutines and, if the
// system has one, its batch call; each with a fresh producer on an empty
// server, and each checked by the number of pending jobs.
func enqueueStep(ctx context.Context, sys system, spec stepSpec) ([]metric, error) {
	modes := []struct {
		name string
		n    int
		fill func(context.Context, producer, int) error
	}{
		{"1 goroutine ", max(1, spec.N/4), func(ctx context.Context, p producer, n int) error { return enqueueMany(ctx, p, n, 1) }},
		{"32 goroutines ", spec.N, func(ctx context.Context, p producer, n int) error { return enqueueMany(ctx, p, n, producers) }},
		{"batch of 1000 ", spec.N, enqueueBatches},
	}
	var out []metric
	for _, m := range modes {
		metrics, err := timeEnqueue(ctx, sys, spec.Addr, m.name, m.n, m.fill)
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
func timeEnqueue(ctx context.Context, sys system, addr, name string, n int, fill func(context.Context, producer, int) error) ([]metric, error) {
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	defer rdb.Close()
	if err := rdb.FlushAll(ctx).Err(); err != nil {
		return nil, err
	}
	p, err := sys.Open(ctx, addr)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	start, err := markCPU(ctx, rdb)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := fill(ctx, p, n); err != nil {
		return nil, err
	}
	took := time.Since(began)
	end, err := markCPU(ctx, rdb)
	if err != nil {
		return nil, err
	}
	rate := metric{Name: name + "rate", Unit: "jobs/s", Better: higher, Value: float64(n) / took.Seconds()}
	return append([]metric{rate}, end.perJob(start, n, name)...), expectPending(ctx, sys, rdb, n)
}

// enqueueMany enqueues jobs 0 to n-1 one by one from the given goroutines.
func enqueueMany(ctx context.Context, p producer, n, goroutines int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := p.Enqueue(ctx, mainQueue, newPayload(i), 0); err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// enqueueBatches enqueues jobs 0 to n-1 in batches, from one goroutine.
func enqueueBatches(ctx context.Context, p producer, n int) error {
	batch := make([]payload, 0, batchSize)
	for i := range n {
		batch = append(batch, newPayload(i))
		if len(batch) < batchSize && i < n-1 {
			continue
		}
		if err := p.EnqueueMany(ctx, mainQueue, batch); err != nil {
			return err
		}
		batch = batch[:0]
	}
	return nil
}
