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
	options = append(options, c.waitOptions(cmd)...)
	id, err := client.Enqueue(ctx, queue.Raw{Name: args[0], Payload: text}, options...)
	duplicate := errors.Is(err, queue.ErrDuplicate)
	stored := err == nil || errors.Is(err, queue.ErrNotConfirmed)
	if there := new(queue.DuplicateError); c.wait.given && (stored || errors.As(err, &there) && !there.Cancelled) {
		if text := missing(err); text != "" && !c.quiet {
			// Nothing depends on whether it can be written.
			_, _ = fmt.Fprintln(cmd.ErrOrStderr(), text)
		}
		return c.await(ctx, cmd, client, fate{id: id, kind: args[0], duplicate: duplicate, confirmed: c.durable.confirmed(err)})
	}
	if stored || duplicate {
		if err := c.print(cmd, id, args[0], duplicate, c.durable.confirmed(err)); err != nil {
			return err
		}
	}
	return c.explain(err, id, args[0])
}

// named is a job in messages: by the text that --id gave it, if any, and by its id.
func (c *command) named(id uuid.UUID) string {
	if own, err := uuid.Parse(c.job.id); c.job.id == "" || err == nil && own == id {
		return id.String()
	}
	return fmt.Sprintf("%s (%s)", cli.Clean(c.job.id), id)
}

// print is the job on stdout.
func (c *command) print(cmd *cobra.Command, id uuid.UUID, kind string, duplicate bool, confirmed *bool) error {
	text := id.String()
	if c.json {
		b, err := json.Marshal(struct {
			ID        string `json:"id"`
			Kind      string `json:"kind"`
			Queue     string `json:"queue"`
			Duplicate bool   `json:"duplicate"`
			Confirmed *bool  `json:"confirmed,omitempty"`
		}{id.String(), kind, c.queueName(), duplicate, confirmed})
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
		if errors.Is(err, queue.ErrNotConfirmed) {
			text += "; its replication is not confirmed"
		}
		return &cli.Exit{Code: cli.CodeFailure, Err: fmt.Errorf(text, c.named(duplicate.ID))}
	case errors.Is(err, queue.ErrNotConfirmed):
		return &cli.Exit{Code: codeNotConfirmed, Err: errors.New(missing(err))}
	case errors.Is(err, queue.ErrUnsupported):
		return &cli.Exit{Code: codeUnreachable, Err: fmt.Errorf("the job was not enqueued: %w", err)}
	case errors.Is(err, queue.ErrOutcomeUnknown):
		again := "--id " + id.String()
		if c.named(id) != id.String() {
			again = "the same --id"
		}
		return &cli.Exit{Code: codeOf(err), Err: fmt.Errorf("the job may be enqueued or not: %w; to be sure, repeat it with %s", err, again)}
	case errors.Is(err, queue.ErrRedisFull):
		return &cli.Exit{Code: cli.CodeFailure, Err: errors.New("redis full: the job was not enqueued")}
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
