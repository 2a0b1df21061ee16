package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tidemill/tidemill/bench/internal/rig"
	"github.com/tidemill/tidemill/queue"
)

// The states other than pending in which a job takes memory.
const (
	stateScheduled = "scheduled"
	stateFinished  = "finished"
	stateDead      = "dead"
)

var states = []string{stateScheduled, stateFinished, stateDead}

// farAway is for how long a job is scheduled or kept.
const farAway = time.Hour

// errOfNoUse is why a job is to die.
var errOfNoUse = queue.Dead(errors.New("of no use"))

// leaveStep leaves N more jobs in a state.
func leaveStep(ctx context.Context, spec stepSpec) (metrics []rig.Metric, err error) {
	c, err := open(ctx, spec)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	before, err := countOf(ctx, c, spec.State)
	if err != nil {
		return nil, err
	}
	option := queue.Retain(farAway)
	if spec.State == stateScheduled {
		option = queue.In(farAway)
	}
	if err := enqueueAll(ctx, c, spec, option); err != nil || spec.State == stateScheduled {
		return nil, err
	}
	var answer error
	if spec.State == stateDead {
		answer = errOfNoUse
	}
	r, err := work(ctx, spec, answer)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.end()) }()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		have, err := countOf(ctx, c, spec.State)
		if err != nil || have == before+int64(spec.N) {
			return nil, err
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%d of %d jobs are %s after %v", have-before, spec.N, spec.State, patience)
		}
	}
}

func countOf(ctx context.Context, c *queue.Client, state string) (int64, error) {
	counts, err := c.Counts(ctx, queue.DefaultQueue)
	return map[string]int64{stateScheduled: counts.Scheduled, stateFinished: counts.Finished, stateDead: counts.Dead}[state], err
}

// idleStep tells what a worker with nothing to do costs the server in a second.
func idleStep(ctx context.Context, spec stepSpec) (metrics []rig.Metric, err error) {
	r, err := work(ctx, spec, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.end()) }()
	time.Sleep(spec.Watch / 5) // it starts
	start, err := rig.MarkUsage(ctx, spec.Broker)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(spec.Watch):
	}
	took := time.Since(began)
	end, err := rig.MarkUsage(ctx, spec.Broker)
	metrics = end.Per("s", 1, start, "")
	for i := range metrics {
		metrics[i].Value /= took.Seconds()
	}
	return metrics, err
}
