package main

import (
	"context"
	"errors"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/pubsub"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// Exit codes beside those of package cli.
const (
	codeUnreachable = 69 // EX_UNAVAILABLE
	codeDrain       = 75 // EX_TEMPFAIL: what was not done is done by the next worker
)

// open connects. Its errors have their exit codes.
func (c *command) open(ctx context.Context, config queue.Config) (*queue.Client, error) {
	client, err := c.connection.Open(ctx, config)
	return client, awayCode(err)
}

// openTopics connects for messages. Its errors have their exit codes.
func (c *command) openTopics(ctx context.Context, config pubsub.Config) (*pubsub.Client, error) {
	client, err := c.connection.OpenTopics(ctx, config)
	return client, awayCode(err)
}

// awayCode gives the error of a connection that did not come about its exit code.
func awayCode(err error) error {
	var e *cli.Unreachable
	if errors.As(err, &e) {
		return &cli.Exit{Code: codeUnreachable, Err: err}
	}
	return err
}

// explain gives an error of the queue or the worker its exit code, and words for people where Redis is away.
func (c *command) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, worker.ErrDrainTimeout) && !errors.Is(err, worker.ErrUntold):
		return &cli.Exit{Code: codeDrain, Err: err}
	case errors.Is(err, queue.ErrInvalid), errors.Is(err, pubsub.ErrInvalid):
		return cli.Usage(err)
	case errors.Is(err, queue.ErrUnavailable), errors.Is(err, pubsub.ErrUnavailable):
		url, from := c.connection.URL()
		return &cli.Exit{Code: codeUnreachable, Err: &cli.Unreachable{Addr: cli.Address(url), From: from, Err: err}}
	}
	return err
}

// ended answers what ended a run: a second signal shows in the exit code whatever else happened.
func ended(hard context.Context, err error) error {
	var signal *cli.SignalError
	if errors.As(context.Cause(hard), &signal) {
		return &cli.Exit{Code: signal.Code(), Err: err}
	}
	return err
}
