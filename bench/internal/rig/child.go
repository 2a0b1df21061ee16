package rig

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// stepCommand is the hidden subcommand by which the program runs itself.
const stepCommand = "__step"

// StepFunc does one step inside a child process.
type StepFunc func(ctx context.Context, order json.RawMessage) ([]Metric, error)

// Step makes a function of a decoded order a step.
func Step[S any](f func(ctx context.Context, spec S) ([]Metric, error)) StepFunc {
	return func(ctx context.Context, order json.RawMessage) ([]Metric, error) {
		var spec S
		if err := json.Unmarshal(order, &spec); err != nil {
			return nil, fmt.Errorf("read the order: %w", err)
		}
		return f(ctx, spec)
	}
}

// Program is a benchmark's main function: a step of its own where it was started as a child, else parent, with the
// arguments behind the program's name. It ends the process with the exit code.
func Program(steps map[string]StepFunc, parent func(ctx context.Context, args []string, stdout, stderr io.Writer) int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if IsChild(os.Args) {
		os.Exit(ChildMain(ctx, os.Args, steps))
	}
	os.Exit(parent(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// Misused is the exit code of an error about flags, which it prints unless help was asked for.
func Misused(err error, program string, stderr io.Writer) int {
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	fmt.Fprintln(stderr, program+":", err)
	return 2
}

// IsChild says whether these are the arguments of a child process.
func IsChild(args []string) bool { return len(args) == 4 && args[1] == stepCommand }

// ChildMain runs the step that the arguments name, prints its metrics as JSON on stdout, and returns the exit code. What a
// system has not got (errors.ErrUnsupported) leaves no metrics.
func ChildMain(ctx context.Context, args []string, steps map[string]StepFunc) int {
	step, ok := steps[args[2]]
	if !ok {
		fmt.Fprintf(os.Stderr, "no step %q\n", args[2])
		return 1
	}
	metrics, err := profiled(args[2], func() ([]Metric, error) { return step(ctx, json.RawMessage(args[3])) })
	if errors.Is(err, errors.ErrUnsupported) {
		metrics, err = nil, nil
	}
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(append([]Metric{}, metrics...))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// Command is the command of a step in a process of its own: this program's, unless it is changed before Start.
func Command(ctx context.Context, step string, spec any) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	order, err := json.Marshal(spec)
	return exec.CommandContext(ctx, self, stepCommand, step, string(order)), err
}

// Child is a step running in a process of its own.
type Child struct {
	cmd    *exec.Cmd
	Stdin  io.Closer // the child sees its end; nil where the command has one of its own
	Stdout io.Reader
	stderr bytes.Buffer
}

// Start starts a step, which is killed when the command's context ends, or this program does. It must be called from the
// goroutine that Measure.Run is called on.
func Start(cmd *exec.Cmd) (*Child, error) {
	c := &Child{cmd: cmd}
	cmd.SysProcAttr = dieWithParent()
	cmd.WaitDelay = 2 * time.Second
	cmd.Stderr = &c.stderr
	if cmd.Stdin == nil {
		stdin, err := cmd.StdinPipe()
		if err != nil {
			return nil, err
		}
		c.Stdin = stdin
	}
	var err error
	if c.Stdout, err = cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	return c, cmd.Start()
}

// Kill ends the child at once, as kill -9 does.
func (c *Child) Kill() error {
	err := c.cmd.Process.Kill()
	_ = c.cmd.Wait() // it was killed
	return err
}

// Line reads a line of the child's output, which must be the one that is wanted. Else it ends the child and says why.
func (c *Child) Line(ctx context.Context, want string) error {
	out := bufio.NewReader(c.Stdout)
	c.Stdout = out
	line, err := out.ReadString('\n')
	if err == nil && strings.TrimSpace(line) == want {
		return nil
	}
	if c.Stdin != nil {
		_ = c.Stdin.Close()
	}
	_, failure := c.Finish(ctx)
	return errors.Join(fmt.Errorf("the step did not say %q, but %q", want, line), err, failure)
}

// Finish reads the metrics and waits for the child to end.
func (c *Child) Finish(ctx context.Context) ([]Metric, error) {
	var metrics []Metric
	readErr := json.NewDecoder(c.Stdout).Decode(&metrics)
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

// Run runs a step from start to end.
func Run(ctx context.Context, step string, spec any) ([]Metric, error) {
	cmd, err := Command(ctx, step, spec)
	if err != nil {
		return nil, err
	}
	c, err := Start(cmd)
	if err != nil {
		return nil, err
	}
	return c.Finish(ctx)
}
