package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// stepCommand is the hidden subcommand by which the program runs itself.
const stepCommand = "__step"

// stepSpec is the order to a child process: one step of one measure.
type stepSpec struct {
	Step    string  `json:"step"`
	Variant variant `json:"variant"`
	Addr    string  `json:"addr"`
	N       int     `json:"n"`
	Samples int     `json:"samples"`
}

// work is the worker of this step, on the given queues.
func (s stepSpec) work(queues ...string) workSpec {
	return workSpec{Addr: s.Addr, Queues: queues, Concurrency: s.Variant.Concurrency}
}

// stepFunc does one step inside the child process.
type stepFunc func(ctx context.Context, sys system, spec stepSpec) ([]metric, error)

// steps are what a child can be told to do.
var steps = map[string]stepFunc{
	"fill":    fillStep,
	"drain":   drainStep,
	"latency": latencyStep,
	"delayed": delayedStep,
	"enqueue": enqueueStep,
	"idle":    idleStep,
}

// childMain runs one step and prints its metrics as JSON on stdout.
func childMain(ctx context.Context, order string) int {
	metrics, err := runStep(ctx, order)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(metrics)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// runStep decodes the order and calls the step.
func runStep(ctx context.Context, order string) ([]metric, error) {
	var spec stepSpec
	if err := json.Unmarshal([]byte(order), &spec); err != nil {
		return nil, fmt.Errorf("read the order: %w", err)
	}
	sys, ok := systemNamed(spec.Variant.System)
	if !ok {
		return nil, fmt.Errorf("no system %q", spec.Variant.System)
	}
	step, ok := steps[spec.Step]
	if !ok {
		return nil, fmt.Errorf("no step %q", spec.Step)
	}
	return step(ctx, sys, spec)
}

// child is a step running in a process of its own.
type child struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	stdout io.Reader
	stderr bytes.Buffer
}

// startChild starts a step. The child sees the end of its stdin when the
// parent closes it, and is killed when ctx ends.
func startChild(ctx context.Context, spec stepSpec) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	order, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.CommandContext(ctx, self, stepCommand, string(order))}
	c.cmd.SysProcAttr = dieWithParent()
	c.cmd.WaitDelay = 2 * time.Second
	c.cmd.Stderr = &c.stderr
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	c.stdin = stdin
	if c.stdout, err = c.cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	return c, c.cmd.Start()
}

// finish reads the metrics and waits for the child to end.
func (c *child) finish(ctx context.Context) ([]metric, error) {
	var metrics []metric
	readErr := json.NewDecoder(c.stdout).Decode(&metrics)
	err := c.cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("step ended by force: %w", context.Cause(ctx))
	case err != nil:
		return nil, fmt.Errorf("%w: %s", err, tail(c.stderr.String(), 2000))
	case readErr != nil:
		return nil, fmt.Errorf("read the step's metrics: %w", readErr)
	}
	return metrics, nil
}

// runChild runs a step from start to end.
func runChild(ctx context.Context, spec stepSpec) ([]metric, error) {
	c, err := startChild(ctx, spec)
	if err != nil {
		return nil, err
	}
	return c.finish(ctx)
}

// tail is the end of s, at most n bytes.
func tail(s string, n int) string {
	s = strings.TrimSpace(s)
	return s[max(0, len(s)-n):]
}

// withWorker runs body beside a worker of sys, then stops the worker. The
// context of body ends if the worker stops by itself.
func withWorker(ctx context.Context, sys system, spec workSpec, handle func(payload), body func(context.Context) error) error {
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
