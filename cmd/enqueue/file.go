package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/queue"
)

// enqueueFile is `enqueue --file`.
func (c *command) enqueueFile(cmd *cobra.Command, shared []queue.Option) (err error) {
	in, err := c.openInput(cmd)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // only read
	kept, err := c.openOffsets(in)
	if err != nil {
		return err
	}
	defer kept.close()
	soft, hard, stop := cli.Interruptible(cmd.Context())
	defer stop()
	client, err := c.connection.Open(soft, c.config(cmd))
	if err != nil {
		return exitOf(err)
	}
	// What was answered was answered: an error of closing changes nothing.
	defer func() { _ = client.Close() }()
	passed, err := kept.rejectedBefore(c.rejects)
	if err != nil {
		return fmt.Errorf("--rejects: %w", err)
	}
	// Last, so that nothing is overwritten when there is no Redis.
	file, err := c.openRejects(cmd, in, kept)
	if err != nil {
		return err
	}
	r := c.newRun(cmd, in, file)
	r.sender.client, r.sender.shared = placeless{client}, shared
	if kept != nil {
		r.passed = passed
		if err := r.takeUp(soft, client, kept, file); err != nil {
			return c.notBegun(err)
		}
	}
	err = r.stream(soft, hard, in)
	err = r.keep(err)
	if file != nil {
		if fault := file.Close(); fault != nil && err == nil {
			err = &rejectsError{err: fault}
		}
	}
	return r.report(cmd, err)
}

// run is one stream with all its parts.
type run struct {
	command *command
	sender  *sender
	people  io.Writer // nil when quiet
	name    string    // of the input
	from    place     // where it began to read
	first   int       // lines before this one are none of its business
	passed  map[int]bool
	began   time.Time
}

func (c *command) newRun(cmd *cobra.Command, in *input, file io.Writer) *run {
	r := &run{command: c, sender: &sender{tally: &tally{}, waits: c.whenFull == whenFullWait}, name: in.name, from: place{line: 1}, first: c.fromLine, began: time.Now()}
	r.sender.tally.place.line = c.fromLine
	if !c.quiet {
		r.people = cmd.ErrOrStderr()
	}
	if !c.quiet && cli.IsTerminal(cmd.ErrOrStderr()) {
		r.sender.progress = newProgress(cmd.ErrOrStderr(), in.size)
	}
	r.sender.tell = r.say
	r.sender.rejects = newRejects(file, r.people, r.sender.progress.clear)
	return r
}

// stream reads and sends until both are done. soft ends the reading, hard the waiting for what is under way.
func (r *run) stream(soft, hard context.Context, in io.Reader) error {
	s := newStream(newSource(in), r.command.parser(), pauseFlush)
	s.passed, s.begin, s.from = r.passed, r.from, r.first
	r.sender.ctx, r.sender.soft = hard, soft
	return pump(soft, hard, s, r.sender.run, r.say)
}

func (r *run) say(format string, args ...any) {
	if r.people != nil {
		r.sender.progress.clear()
		_, _ = fmt.Fprintf(r.people, format, args...)
	}
}

// report prints what became of the lines, and makes an exit code of it.
func (r *run) report(cmd *cobra.Command, err error) error {
	c := r.sender.tally.read()
	r.sender.progress.end()
	var abandoned *abandonedError
	if !errors.As(err, &abandoned) { // else the sender may still be adding to them
		r.sender.rejects.end()
	}
	r.say("%v%s\n", c, r.inAll())
	why := ""
	if err != nil {
		why = r.explain(c, err)
	}
	if r.command.json {
		if fault := r.printSummary(cmd.OutOrStdout(), c, why); fault != nil {
			return fault
		}
	}
	switch {
	case err != nil:
		return &cli.Exit{Code: streamCode(err), Err: errors.New(why)}
	case c.Rejected > 0:
		return &cli.Exit{Code: cli.CodeFailure}
	case c.Unconfirmed > 0:
		return &cli.Exit{Code: codeNotConfirmed}
	}
	return nil
}

// streamCode is the exit code of a stream that did not reach its end.
func streamCode(err error) int {
	var (
		lost   *lostError
		offset *offsetError
		signal *cli.SignalError
	)
	switch {
	case errors.As(err, &signal):
		return signal.Code()
	case errors.As(err, &offset), errors.Is(err, queue.ErrConflict), errors.Is(err, queue.ErrRedisFull) && !errors.Is(err, queue.ErrOutcomeUnknown):
		return cli.CodeFailure
	case errors.As(err, &lost):
		return codeUnreachable
	}
	return cli.CodeFailure
}
