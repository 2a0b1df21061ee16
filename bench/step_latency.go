package main

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/tidemill/tidemill/bench/internal/rig"
)

// delay is how long the jobs of the delayed measure are put off.
const delay = time.Second

// lastWait is how long to wait for the last handler after the last enqueue.
const lastWait = 60 * time.Second

// latencyStep times idle enqueue to handler start, producer and worker in one
// process and so on one clock.
func latencyStep(ctx context.Context, sys adapter, spec stepSpec) ([]rig.Metric, error) {
	lateness, err := sample(ctx, sys, spec, 0)
	if err != nil {
		return nil, err
	}
	return rig.Quantiles(lateness, ""), nil
}

// delayedStep times how late after its due moment a delayed job starts, and
// counts those that start before it.
func delayedStep(ctx context.Context, sys adapter, spec stepSpec) ([]rig.Metric, error) {
	lateness, err := sample(ctx, sys, spec, delay)
	if err != nil {
		return nil, err
	}
	var early float64
	var earliest time.Duration
	for _, d := range lateness {
		if d < 0 {
			early++
			earliest = min(earliest, d)
		}
	}
	return append(rig.Quantiles(lateness, "lateness "),
		rig.Metric{Name: "early", Unit: "jobs", Better: rig.Lower, Value: early},
		rig.Metric{Name: "earliest by", Unit: "ms", Better: rig.Lower, Value: float64(-earliest) / float64(time.Millisecond)},
	), nil
}

// sample enqueues jobs 10 to 30 ms apart beside a running worker and returns
// for each the time from just before its enqueue call, plus its delay, until
// its handler started. Negative is early.
func sample(ctx context.Context, sys adapter, spec stepSpec, delay time.Duration) ([]time.Duration, error) {
	c, err := sys.Open(ctx, spec.Broker)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	// Job n is a warm-up: it opens the connections and loads the scripts.
	n := spec.Samples
	warm, t := rig.NewTally(1), rig.NewTally(n)
	handle := func(p rig.Payload) {
		if p.UserID == int64(n) {
			p.UserID = 0
			warm.Handle(p)
			return
		}
		t.Handle(p)
	}
	due := make([]time.Time, n)
	err = withWorker(ctx, sys, spec.work(mainQueue), handle, func(ctx context.Context) error {
		if err := c.Enqueue(ctx, mainQueue, rig.NewPayload(n), 0); err != nil {
			return err
		}
		if err := warm.Await(ctx, lastWait); err != nil {
			return err
		}
		for i := range n {
			time.Sleep(10*time.Millisecond + rand.N(20*time.Millisecond))
			due[i] = time.Now().Add(delay)
			if err := c.Enqueue(ctx, mainQueue, rig.NewPayload(i), delay); err != nil {
				return err
			}
		}
		return t.Await(ctx, delay+lastWait)
	})
	if err != nil {
		return nil, err
	}
	lateness := make([]time.Duration, n)
	for i := range lateness {
		lateness[i] = t.Started(i).Sub(due[i])
	}
	return lateness, t.Check()
}
