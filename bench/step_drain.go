package main

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// producers is how many goroutines enqueue at once where it is more than one.
const producers = 32

// fillStep enqueues the N jobs of a drain, from a process of its own.
func fillStep(ctx context.Context, sys system, spec stepSpec) ([]metric, error) {
	rdb := redis.NewClient(&redis.Options{Addr: spec.Addr})
	defer rdb.Close()
	p, err := sys.Open(ctx, spec.Addr)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	if err := enqueueMany(ctx, p, spec.N, producers); err != nil {
		return nil, err
	}
	return []metric{}, expectPending(ctx, sys, rdb, spec.N)
}

// drainStep is a fresh worker process that drains the N jobs enqueued before.
// The clock runs from the start of the first handler until a poll, each
// millisecond once all N handlers have begun, first sees nothing pending and
// nothing active. CPU is counted from before the worker starts.
func drainStep(ctx context.Context, sys system, spec stepSpec) ([]metric, error) {
	rdb := redis.NewClient(&redis.Options{Addr: spec.Addr})
	defer rdb.Close()
	if err := expectPending(ctx, sys, rdb, spec.N); err != nil {
		return nil, err
	}
	start, err := markCPU(ctx, rdb)
	if err != nil {
		return nil, err
	}
	t := newTally(spec.N)
	var metrics []metric
	err = withWorker(ctx, sys, spec.work(mainQueue), t.handle, func(ctx context.Context) error {
		if err := t.await(ctx, 30*time.Second+time.Duration(spec.N)*time.Millisecond); err != nil {
			return err
		}
		if err := awaitAcks(ctx, sys, rdb); err != nil {
			return err
		}
		took := time.Since(t.began) - time.Duration(t.first.Load())
		end, err := markCPU(ctx, rdb)
		if err != nil {
			return err
		}
		metrics = append([]metric{
			{Name: "rate", Unit: "jobs/s", Better: higher, Value: float64(spec.N) / took.Seconds()},
			{Name: "start to first job", Unit: "ms", Better: lower, Value: float64(t.first.Load()) / 1e6},
		}, end.perJob(start, spec.N, "")...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	// The worker has stopped: whatever it gave back or ran again shows now.
	if err := expectPending(ctx, sys, rdb, 0); err != nil {
		return nil, err
	}
	return metrics, t.check()
}

// awaitAcks polls until nothing is pending or active.
func awaitAcks(ctx context.Context, sys system, rdb *redis.Client) error {
	deadline := time.Now().Add(30 * time.Second)
	for {
		b, err := sys.Backlog(ctx, rdb, mainQueue)
		if err != nil {
			return err
		}
		if b.Pending == 0 && b.Active == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("30 s after the last handler began, %+v is left", b)
		}
		time.Sleep(time.Millisecond)
	}
}

// expectPending checks that exactly n jobs wait in the queue and that no job
// is in any other state.
func expectPending(ctx context.Context, sys system, rdb *redis.Client, n int) error {
	b, err := sys.Backlog(ctx, rdb, mainQueue)
	if err != nil {
		return err
	}
	if b.Pending != int64(n) || b.total() != int64(n) {
		return fmt.Errorf("the queue holds %+v, not %d pending", b, n)
	}
	return nil
}
