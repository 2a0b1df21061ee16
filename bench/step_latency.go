package main

import (
	"context"
	"math/rand/v2"
	"time"
)

// delay is how long the jobs of the delayed measure are put off.
const delay = time.Second

// lastWait is how long to wait for the last handler after the last enqueue.
const lastWait = 60 * time.Second

// latencyStep times idle enqueue to handler start, producer and worker in one
// process and so on one clock.
func latencyStep(ctx context.Context, sys system, spec stepSpec) ([]metric, error) {
	lateness, err := sample(ctx, sys, spec, 0)
	if err != nil {
		return nil, err
	}
	return quantiles(lateness, ""), nil
}

// delayedStep times how late after its due moment a delayed job starts, and
// counts those that start before it.
func delayedStep(ctx context.Context, sys system, spec stepSpec) ([]metric, error) {
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
	return append(quantiles(lateness, "lateness "),
		metric{Name: "early", Unit: "jobs", Better: lower, Value: early},
		metric{Name: "earliest by", Unit: "ms", Better: lower, Value: float64(-earliest) / float64(time.Millisecond)},
	), nil
}

// sample enqueues jobs 30 to 50 ms apart beside a running worker and returns
// for each the time from just before its enqueue call, plus its delay, until
// its handler started. Negative is early.
func sample(ctx context.Context, sys system, spec stepSpec, delay time.Duration) ([]time.Duration, error) {
	p, err := sys.Open(ctx, spec.Addr)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	// Job n is a warm-up: it opens the connections and loads the scripts.
	n := spec.Samples
	warm, t := newTally(1), newTally(n)
	handle := func(p payload) {
		if p.UserID == int64(n) {
			p.UserID = 0
			warm.handle(p)
			return
		}
		t.handle(p)
	}
	due := make([]time.Time, n)
	err = withWorker(ctx, sys, spec.work(mainQueue), handle, func(ctx context.Context) error {
		if err := p.Enqueue(ctx, mainQueue, newPayload(n), 0); err != nil {
			return err
		}
		if err := warm.await(ctx, lastWait); err != nil {
			return err
		}
		for i := range n {
			time.Sleep(30*time.Millisecond + rand.N(20*time.Millisecond))
			due[i] = time.Now().Add(delay)
			if err := p.Enqueue(ctx, mainQueue, newPayload(i), delay); err != nil {
				return err
			}
		}
		return t.await(ctx, delay+lastWait)
	})
	if err != nil {
		return nil, err
	}
	lateness := make([]time.Duration, n)
	for i := range lateness {
		lateness[i] = t.started(i).Sub(due[i])
	}
	return lateness, t.check()
}
