package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tidemill/tidemill/bench/internal/rig"
)

// The states other than pending in which a job takes memory.
const (
	stateScheduled = "scheduled"
	stateFinished  = "finished"
	stateDead      = "dead"
)

// memoryJobs is how many of each state are weighed at most: asynq keeps 9,999 dead ones.
const memoryJobs = 9_000

// farAway is for how long a job is scheduled or kept, so that it still is when it is weighed.
const farAway = time.Hour

// keeper is an adapter whose finished and dead jobs can be weighed.
type keeper interface {
	// Keep runs jobs 0 to n-1 so that each is kept: finished for a while, or dead at once. It returns when all are.
	Keep(ctx context.Context, b rig.Broker, n int, dead bool) error
}

// errBench is why a job is to die.
var errBench = errors.New("of no use")

// leaveStep leaves N jobs in the state that the order names.
func leaveStep(ctx context.Context, sys adapter, spec stepSpec) ([]rig.Metric, error) {
	if spec.State == stateScheduled {
		return leaveScheduled(ctx, sys, spec)
	}
	k, ok := sys.(keeper)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return leftAll(spec), k.Keep(ctx, spec.Broker, spec.N, spec.State == stateDead)
}

func leaveScheduled(ctx context.Context, sys adapter, spec stepSpec) ([]rig.Metric, error) {
	c, err := sys.Open(ctx, spec.Broker)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := enqueueMany(ctx, later{c}, spec.N, producers, mainQueue); err != nil {
		return nil, err
	}
	b, err := c.Backlog(ctx, mainQueue)
	if err == nil && (b.Other != int64(spec.N) || b.total() != b.Other) {
		err = fmt.Errorf("the queue holds %+v, not %d scheduled", b, spec.N)
	}
	return leftAll(spec), err
}

// later is a client whose jobs are all scheduled.
type later struct{ client }

func (l later) Enqueue(ctx context.Context, queue string, p rig.Payload, _ time.Duration) error {
	return l.client.Enqueue(ctx, queue, p, farAway)
}

// leftAll says that the jobs are there, which a system that has not got the state does not.
func leftAll(spec stepSpec) []rig.Metric {
	return []rig.Metric{{Name: "jobs", Value: float64(spec.N)}}
}

// measureMemory weighs a job in each state that a system has.
func measureMemory(ctx context.Context, spec stepSpec) ([]rig.Metric, error) {
	var out []rig.Metric
	spec.N = min(spec.N, memoryJobs)
	for _, spec.State = range []string{stateScheduled, stateFinished, stateDead} {
		if err := rig.Empty(ctx, spec.Broker); err != nil {
			return nil, err
		}
		before, err := rig.Memory(ctx, spec.Broker)
		if err != nil {
			return nil, err
		}
		left, err := runStep(ctx, "leave", spec)
		if unsupported(left, err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", spec.State, err)
		}
		after, err := rig.Memory(ctx, spec.Broker)
		if err != nil {
			return nil, err
		}
		out = append(out, rig.Metric{Name: spec.State + " job", Unit: "bytes", Better: rig.Lower, Value: float64(after-before) / float64(spec.N)})
	}
	return out, nil
}

// keepAll works a queue until as many jobs as there are have ended as they should, which a poll each 10 ms sees.
func keepAll(ctx context.Context, n int, work func(context.Context) error, ended func(context.Context) (int64, error)) error {
	ctx, stop := context.WithTimeout(ctx, lastWait)
	defer stop()
	stopped := make(chan error, 1)
	go func() { stopped <- work(ctx) }()
	var have int64
	var err error
	for err == nil && have < int64(n) {
		select {
		case early := <-stopped:
			return errors.Join(fmt.Errorf("the worker stopped when %d of %d had ended", have, n), early)
		case <-time.After(10 * time.Millisecond):
			have, err = ended(ctx)
		}
	}
	stop()
	return errors.Join(err, <-stopped)
}
