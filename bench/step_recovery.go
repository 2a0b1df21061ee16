package main

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/tidemill/tidemill/bench/internal/rig"
)

// held is how many jobs a worker runs when it is killed.
const held = 100

// holdingLine is what a worker's child says when it holds its jobs.
const holdingLine = "holding"

// holdStep enqueues jobs and runs a worker whose handlers never end: it is to be killed. It holds them once none is pending:
// some may wait in the worker for their handler.
func holdStep(ctx context.Context, sys adapter, spec stepSpec) ([]rig.Metric, error) {
	c, err := sys.Open(ctx, spec.Broker)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := enqueueMany(ctx, c, spec.N, producers, mainQueue); err != nil {
		return nil, err
	}
	release := make(chan struct{})
	hold := func(rig.Payload) { <-release }
	return nil, withWorker(ctx, sys, spec.work(mainQueue), hold, func(ctx context.Context) error {
		defer close(release)
		if err := awaitHeld(ctx, c, spec.N); err != nil {
			return err
		}
		if _, err := fmt.Println(holdingLine); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	})
}

// awaitHeld polls until the worker has all of n jobs.
func awaitHeld(ctx context.Context, c client, n int) error {
	deadline := time.Now().Add(lastWait)
	for {
		b, err := c.Backlog(ctx, mainQueue)
		if err != nil || b.Active == int64(n) {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the worker did not take all of %d jobs: %+v", n, b)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// rescueStep is another worker, which gets a killed one's jobs. It says that it is ready when it has run a while, and tells
// in seconds since 1970 when the first and the last of those jobs began here.
func rescueStep(ctx context.Context, sys adapter, spec stepSpec) ([]rig.Metric, error) {
	t := rig.NewTally(spec.N)
	err := withWorker(ctx, sys, spec.work(mainQueue), t.Handle, func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(rescueStart):
		}
		if _, err := fmt.Println(readyLine); err != nil {
			return err
		}
		return t.Await(ctx, 10*time.Minute) // the parent has less patience
	})
	if err != nil {
		return nil, err
	}
	first, last := math.Inf(1), math.Inf(-1)
	for i := range spec.N {
		at := float64(t.Started(i).UnixNano()) / 1e9
		first, last = min(first, at), max(last, at)
	}
	return []rig.Metric{
		{Name: firstBack, Unit: "s", Better: rig.Lower, Value: first},
		{Name: lastBack, Unit: "s", Better: rig.Lower, Value: last},
	}, nil
}

// rescueStart is long enough for a worker to start.
const rescueStart = 2 * time.Second

// The metrics of rescueStep.
const (
	firstBack = "first job back"
	lastBack  = "all jobs back"
)

// measureRecovery kills a worker that holds jobs beside one that has none, and takes the time until that one runs them. A
// system that has not done so in time, or never will, gets a remark.
func measureRecovery(ctx context.Context, spec stepSpec, patience time.Duration) ([]rig.Metric, error) {
	spec.N, spec.Variant.Concurrency = held, held
	holder, err := startStep(ctx, "hold", spec)
	if err != nil {
		return nil, err
	}
	if err := holder.Line(ctx, holdingLine); err != nil {
		return nil, err
	}
	rescueCtx, stop := context.WithCancel(ctx)
	defer stop()
	rescuer, err := startStep(rescueCtx, "rescue", spec)
	if err != nil {
		_ = holder.Kill()
		return nil, err
	}
	if err := rescuer.Line(ctx, readyLine); err != nil {
		_ = holder.Kill()
		return nil, err
	}
	killed := time.Now()
	if err := holder.Kill(); err != nil {
		return nil, err
	}
	timer := time.AfterFunc(patience, stop)
	defer timer.Stop()
	metrics, err := rescuer.Finish(rescueCtx)
	if err != nil && ctx.Err() == nil && rescueCtx.Err() != nil {
		return nil, rig.Remark(fmt.Sprintf("the jobs of a worker killed with -9 were not all back within %v", patience))
	}
	for i := range metrics {
		metrics[i].Value -= float64(killed.UnixNano()) / 1e9
	}
	return metrics, err
}
