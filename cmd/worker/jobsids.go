package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/queue"
)

// stdin in the place of ids stands for one a line from there.
const stdin = "-"

// checkIDs checks a queue and ids.
func checkIDs(args []string) error {
	if len(args) > 2 && slices.Contains(args[1:], stdin) {
		return cli.Usagef("give - or IDs, not both")
	}
	return noneEmpty(args)
}

// eachID does something for each of the ids. Where there are several, those that fail are told at once and do not stop
// the others.
func eachID(ctx context.Context, cmd *cobra.Command, ids []string, do func(id string) error) error {
	if len(ids) == 1 && ids[0] != stdin {
		return do(ids[0])
	}
	failed := false
	one := func(id string) error {
		err := do(id)
		if err == nil || fatal(ctx, err) {
			return err
		}
		failed = true
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: %v\n", cmd.Root().Name(), err)
		return nil
	}
	var err error
	if ids[0] == stdin {
		err = eachLine(interruptible(ctx, cmd.InOrStdin()), one)
	} else {
		for _, id := range ids {
			if err = one(id); err != nil {
				break
			}
		}
	}
	if err == nil && failed {
		return &cli.Exit{Code: cli.CodeFailure} // it was said what
	}
	return err
}

// eachLine takes ids off the lines of r as they come.
func eachLine(r io.Reader, do func(id string) error) error {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if id := strings.TrimSpace(lines.Text()); id != "" {
			if err := do(id); err != nil {
				return err
			}
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("stdin: %w", err)
	}
	return nil
}

// fatal tells an error after which the next job would fare no better.
func fatal(ctx context.Context, err error) bool {
	return ctx.Err() != nil || !errors.Is(err, queue.ErrUnknownJob) && !errors.Is(err, queue.ErrWrongState) && !errors.Is(err, queue.ErrInvalid)
}

// interruptible is a reader whose Read ends with ctx. The read itself is left behind then: one of a terminal or pipe
// cannot be ended.
func interruptible(ctx context.Context, r io.Reader) io.Reader {
	in, out := io.Pipe()
	go func() {
		_, err := io.Copy(out, r)
		out.CloseWithError(err)
	}()
	context.AfterFunc(ctx, func() { in.CloseWithError(context.Cause(ctx)) })
	return ending{ctx, in}
}

type ending struct {
	ctx context.Context
	r   io.Reader
}

func (e ending) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	if err != nil && e.ctx.Err() != nil {
		err = context.Cause(e.ctx)
	}
	return n, err
}
