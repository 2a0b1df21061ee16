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
	soft, hard, stop := cli.Interruptible(cmd.Context())
	defer stop()
	client, err := c.connection.Open(soft, c.config(cmd))
	if err != nil {
		return exitOf(err)
	}
	// What was answered was answered: an error of closing changes nothing.
	defer func() { _ = client.Close() }()
	// Last, so that nothing is overwritten when there is no Redis.
	file, err := c.openRejects(cmd, in)
	if err != nil {
		return err
	}
	r := c.newRun(cmd, in, file)
	r.sender.client, r.sender.shared = client, shared
	err = r.stream(soft, hard, in)
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
}

func (c *command) newRun(cmd *cobra.Command, in *input, file io.Writer) *run {
	r := &run{command: c, sender: &sender{tally: &tally{counts: counts{next: c.fromLine}}}, name: in.name}
	if !c.quiet {
		r.people = cmd.ErrOrStderr()
	}
	if !c.quiet && cli.IsTerminal(cmd.ErrOrStderr()) {
		r.sender.progress = newProgress(cmd.ErrOrStderr(), in.size)
	}
	r.sender.rejects = newRejects(file, r.people, r.sender.progress.clear)
	return r
}

// stream reads and sends until both are done. soft ends the reading, hard the waiting for what is under way.
func (r *run) stream(soft, hard context.Context, in io.Reader) error {
	reading, giveUp := context.WithCancelCause(soft)
	defer giveUp(nil)
	s := newStream(reading, newSource(in))
	r.sender.ctx = hard
	sent := make(chan error, 1)
	go func() {
		err := r.sender.run(s.batches, s.free)
		if err != nil {
			giveUp(err)
		}
		sent <- err
	}()
	read := s.run(r.command.fromLine)
	fault := r.await(soft, hard, sent)
	switch {
	case hard.Err() != nil:
		return &abandonedError{context.Cause(hard)}
	case fault != nil:
		return fault
	}
	return read
}

// tellAfter is how long a signal's consequences may take before the one who sent it is told.
const tellAfter = 200 * time.Millisecond

// await waits for the sender, or for hard.
func (r *run) await(soft, hard context.Context, sent <-chan error) error {
	var tell <-chan time.Time
	interrupted := soft.Done()
	for {
		select {
		case err := <-sent:
			return err
		case <-hard.Done():
			return nil
		case <-interrupted:
			interrupted, tell = nil, time.After(tellAfter)
		case <-tell:
			r.say("%v: waiting for the lines that are under way; once more abandons them\n", context.Cause(soft))
		}
	}
}

// abandonedError ends a stream whose last lines were not waited for.
type abandonedError struct{ err error }

func (e *abandonedError) Error() string { return e.err.Error() }
func (e *abandonedError) Unwrap() error { return e.err }

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
	r.say("%v\n", c)
	why := ""
	if err != nil {
		why = r.explain(c, err)
	}
	if r.command.json {
		if fault := printSummary(cmd.OutOrStdout(), c, why); fault != nil {
			return fault
		}
	}
	switch {
	case err != nil:
		return &cli.Exit{Code: streamCode(err), Err: errors.New(why)}
	case c.Rejected > 0:
		return &cli.Exit{Code: cli.CodeFailure}
	}
	return nil
}

// streamCode is the exit code of a stream that did not reach its end.
func streamCode(err error) int {
	var lost *lostError
	var signal *cli.SignalError
	switch {
	case errors.As(err, &signal):
		return signal.Code()
	case errors.As(err, &lost):
		return codeUnreachable
	}
	return cli.CodeFailure
}
