package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/tidemill/tidemill/bench/internal/rig"
)

// stepSpec is the order to a child process: one step of one measure.
type stepSpec struct {
	Variant variant       `json:"variant"`
	Broker  rig.Broker    `json:"broker"`
	N       int           `json:"n"`
	Samples int           `json:"samples"`
	Procs   int           `json:"procs"`      // GOMAXPROCS, of what is in Go; 0 = Go's own choice
	Queues  int           `json:"queues"`     // that hold the jobs; 0 is one
	Handler time.Duration `json:"handler_ns"` // how long one takes beside counting
	Batch   int           `json:"batch"`      // jobs a call of the producer; 0 = one by one, from 32 callers
	Rate    float64       `json:"rate"`       // produce so many a second; 0 is as fast as can be
	Backlog int           `json:"backlog"`    // jobs that wait behind those that are measured
	State   string        `json:"state"`      // in which to leave the jobs
}

// work is the worker of this step, on the given queues.
func (s stepSpec) work(queues ...string) workSpec {
	return workSpec{Broker: s.Broker, Queues: queues, Concurrency: s.Variant.Concurrency}
}

// queues are the names of those that hold the jobs.
func (s stepSpec) queues() []string {
	names := []string{mainQueue}
	for i := 1; i < s.Queues; i++ {
		names = append(names, mainQueue+strconv.Itoa(i))
	}
	return names
}

// steps are what a child can be told to do.
var steps = map[string]rig.StepFunc{
	"fill":    step(fillStep),
	"drain":   step(drainStep),
	"latency": step(latencyStep),
	"delayed": step(delayedStep),
	"enqueue": step(enqueueStep),
	"idle":    step(idleStep),
	"consume": step(consumeStep),
	"produce": step(produceStep),
	"hold":    step(holdStep),
	"rescue":  step(rescueStep),
	"share":   step(shareStep),
	"deep":    step(deepStep),
	"leave":   step(leaveStep),
	"wait":    step(waitStep),
}

// step finds the adapter that an order is about.
func step(f func(ctx context.Context, sys adapter, spec stepSpec) ([]rig.Metric, error)) rig.StepFunc {
	return rig.Step(func(ctx context.Context, spec stepSpec) ([]rig.Metric, error) {
		sys, _ := systemNamed(spec.Variant.System)
		g, ok := sys.(inGo)
		if !ok {
			return nil, fmt.Errorf("no system %q in Go", spec.Variant.System)
		}
		return f(ctx, g.adapter, spec)
	})
}

// startStep starts the process that does a step of a system.
func startStep(ctx context.Context, name string, spec stepSpec) (*rig.Child, error) {
	sys, ok := systemNamed(spec.Variant.System)
	if !ok {
		return nil, fmt.Errorf("no system %q", spec.Variant.System)
	}
	cmd, err := sys.Command(ctx, name, spec)
	if err != nil {
		return nil, err
	}
	return rig.Start(cmd)
}

// runStep runs it from start to end.
func runStep(ctx context.Context, name string, spec stepSpec) ([]rig.Metric, error) {
	c, err := startStep(ctx, name, spec)
	if err != nil {
		return nil, err
	}
	return c.Finish(ctx)
}

// withWorker runs body beside a worker of sys, then stops the worker. The
// context of body ends if the worker stops by itself.
func withWorker(ctx context.Context, sys adapter, spec workSpec, handle func(rig.Payload), body func(context.Context) error) error {
	workCtx, stop := context.WithCancel(ctx)
	defer stop()
	bodyCtx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	stopped := make(chan error, 1)
	go func() {
		err := sys.Work(workCtx, spec, handle)
		if workCtx.Err() == nil {
			err = errors.Join(errors.New("the worker stopped by itself"), err)
			fail(err)
		} else if errors.Is(err, context.Canceled) {
			err = nil // stopped while it started
		}
		stopped <- err
	}()
	bodyErr := body(bodyCtx)
	if bodyErr != nil && bodyCtx.Err() != nil {
		bodyErr = context.Cause(bodyCtx)
	}
	stop()
	return errors.Join(bodyErr, <-stopped)
}
