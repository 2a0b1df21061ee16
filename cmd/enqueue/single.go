package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/queue"
)

// enqueueOne is `enqueue KIND [JSON]`.
func (c *command) enqueueOne(cmd *cobra.Command, args []string, options []queue.Option) error {
	if err := queue.CheckKind(args[0]); err != nil {
		return cli.Usage(err)
	}
	// Before signals are caught: Ctrl-C must end the reading of stdin.
	text, err := payload(args, cmd.InOrStdin())
	if err != nil {
		return err
	}
	ctx, _, stop := cli.Interruptible(cmd.Context())
	defer stop()
	client, err := c.connection.Open(ctx, c.config(cmd))
	if err != nil {
		return exitOf(err)
	}
	// What was answered was answered: an error of closing changes nothing.
	defer func() { _ = client.Close() }()
	id, err := client.Enqueue(ctx, queue.Raw{Name: args[0], Payload: text}, options...)
	duplicate := errors.Is(err, queue.ErrDuplicate)
	if err == nil || duplicate {
		if err := c.print(cmd, id, args[0], duplicate); err != nil {
			return err
		}
	}
	return c.explain(err, id, args[0])
}

// print is the job on stdout.
func (c *command) print(cmd *cobra.Command, id uuid.UUID, kind string, duplicate bool) error {
	text := id.String()
	if c.json {
		name := c.job.queue
		if name == "" {
			name = queue.DefaultQueue
		}
		b, err := json.Marshal(struct {
			ID        string `json:"id"`
			Kind      string `json:"kind"`
			Queue     string `json:"queue"`
			Duplicate bool   `json:"duplicate"`
		}{id.String(), kind, name, duplicate})
		if err != nil {
			return err
		}
		text = string(b)
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), text)
	return err
}

// explain turns what Enqueue answered into an exit code and words.
func (c *command) explain(err error, id uuid.UUID, kind string) error {
	var duplicate *queue.DuplicateError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &duplicate):
		text := "duplicate: a job of this id exists: %s"
		if duplicate.Cancelled {
			text = "duplicate: the job of this id was cancelled, and the id is free again once a worker passed its place: %s"
		}
		if c.quiet {
			return &cli.Exit{Code: cli.CodeFailure}
		}
		return &cli.Exit{Code: cli.CodeFailure, Err: fmt.Errorf(text, duplicate.ID)}
	case errors.Is(err, queue.ErrRedisFull):
		return &cli.Exit{Code: cli.CodeFailure, Err: errors.New("redis full: the job was not enqueued")}
	case errors.Is(err, queue.ErrOutcomeUnknown):
		return &cli.Exit{Code: codeOf(err), Err: fmt.Errorf("the job may be enqueued or not: %w; to be sure, repeat it with --id %s", err, id)}
	case errors.Is(err, queue.ErrUnavailable):
		url, from := c.connection.URL()
		return exitOf(&cli.Unreachable{Addr: cli.Address(url), From: from, Err: err})
	case errors.Is(err, queue.ErrInvalid), errors.Is(err, queue.ErrPayloadTooLarge):
		return cli.Usage(err)
	}
	// The library names the kind once more, which was typed a moment ago.
	return &cli.Exit{Code: codeOf(err), Err: errors.New(strings.TrimPrefix(err.Error(), "enqueue "+kind+": "))}
}

// exitOf gives an Unreachable its exit code.
func exitOf(err error) error {
	var unreachable *cli.Unreachable
	if errors.As(err, &unreachable) {
		return &cli.Exit{Code: codeUnreachable, Err: err}
	}
	return err
}

// codeOf is the exit code of an error of the queue: a signal's even where the outcome is unknown because of it.
func codeOf(err error) int {
	var signal *cli.SignalError
	switch {
	case errors.As(err, &signal):
		return signal.Code()
	case errors.Is(err, queue.ErrUnavailable), errors.Is(err, queue.ErrOutcomeUnknown):
		return codeUnreachable
	}
	return cli.CodeFailure
}
