package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tidemill/tidemill/bench/internal/rig"
)

// producers is how many goroutines enqueue at once where it is more than one.
const producers = 32

// fillers is how many goroutines fill: some systems make a round trip of each job of a batch.
const fillers = 8

// fillStep enqueues the N jobs of a drain, from a process of its own.
func fillStep(ctx context.Context, sys adapter, spec stepSpec) ([]rig.Metric, error) {
	c, err := sys.Open(ctx, spec.Broker)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	// Without a batch call, one by one.
	if err = enqueueBatches(ctx, c, spec.N, batchSize, fillers, spec.queues()...); errors.Is(err, errors.ErrUnsupported) {
		err = enqueueMany(ctx, c, spec.N, producers, spec.queues()...)
	}
	if err != nil {
		return nil, err
	}
	return nil, expectPending(ctx, c, spec.N, spec.queues()...)
}

// drainStep is a fresh worker process that drains the N jobs enqueued before.
// The clock runs from the start of the first handler until a poll, each
// millisecond once all N handlers have begun, first sees nothing pending and
// nothing active. CPU is counted from before the worker starts.
func drainStep(ctx context.Context, sys adapter, spec stepSpec) ([]rig.Metric, error) {
	c, err := sys.Open(ctx, spec.Broker)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := expectPending(ctx, c, spec.N, spec.queues()...); err != nil {
		return nil, err
	}
	start, err := rig.MarkUsage(ctx, spec.Broker)
	if err != nil {
		return nil, err
	}
	t, allocations := rig.NewTally(spec.N), rig.Allocations()
	var metrics []rig.Metric
	err = withWorker(ctx, sys, spec.work(spec.queues()...), spec.handler(t.Handle), func(ctx context.Context) error {
		if err := t.Await(ctx, 30*time.Second+time.Duration(spec.N)*time.Millisecond); err != nil {
			return err
		}
		if err := awaitAcks(ctx, c, spec.queues()...); err != nil {
			return err
		}
		took, whole := t.SinceFirst(), t.SinceBegan()
		allocated := rig.AllocationsPer("job", spec.N, allocations, "")
		end, err := rig.MarkUsage(ctx, spec.Broker)
		if err != nil {
			return err
		}
		rate := rig.Metric{Name: "rate", Unit: "jobs/s", Better: rig.Higher, Value: float64(spec.N) / took.Seconds()}
		if spec.Handler > 0 {
			metrics = []rig.Metric{rate, spec.efficiency(took), end.Busy(start, whole)}
			return nil
		}
		metrics = append([]rig.Metric{rate, {Name: "start to first job", Unit: "ms", Better: rig.Lower, Value: float64(t.ToFirst()) / 1e6}},
			append(end.Per("job", spec.N, start, ""), allocated)...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	// The worker has stopped: whatever it gave back or ran again shows now.
	if err := expectPending(ctx, c, 0, spec.queues()...); err != nil {
		return nil, err
	}
	return metrics, t.Check()
}

// handler is one that counts and then takes its time, if it is to take any.
func (s stepSpec) handler(count func(rig.Payload)) func(rig.Payload) {
	if s.Handler == 0 {
		return count
	}
	pauses := rig.NewPauses(s.Handler)
	return func(p rig.Payload) {
		count(p)
		pauses.Pause()
	}
}

// efficiency compares with the time in which as many handlers at once as
// there may be, without any pause between two, would have done.
func (s stepSpec) efficiency(took time.Duration) rig.Metric {
	rounds := (s.N + s.Variant.Concurrency - 1) / s.Variant.Concurrency
	ideal := time.Duration(rounds) * s.Handler
	return rig.Metric{Name: "of the ideal", Unit: "%", Better: rig.Higher, Value: 100 * ideal.Seconds() / took.Seconds()}
}

// awaitAcks polls until nothing is pending or active.
func awaitAcks(ctx context.Context, c client, queues ...string) error {
	deadline := time.Now().Add(30 * time.Second)
	for {
		b, err := backlogOf(ctx, c, queues...)
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

// backlogOf adds up some queues.
func backlogOf(ctx context.Context, c client, queues ...string) (sum backlog, err error) {
	for _, name := range queues {
		b, err := c.Backlog(ctx, name)
		if err != nil {
			return sum, err
		}
		sum.Pending, sum.Active, sum.Other = sum.Pending+b.Pending, sum.Active+b.Active, sum.Other+b.Other
	}
	return sum, nil
}

// expectPending checks that exactly n jobs wait in the queues (the main one,
// if none is named) and that no job is in any other state.
func expectPending(ctx context.Context, c client, n int, queues ...string) error {
	if len(queues) == 0 {
		queues = []string{mainQueue}
	}
	b, err := backlogOf(ctx, c, queues...)
	if err != nil {
		return err
	}
	if b.Pending != int64(n) || b.total() != int64(n) {
		return fmt.Errorf("the queues hold %+v, not %d pending", b, n)
	}
	return nil
}
