package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/pubsub"
)

// publisher sends messages, in order. The ids are those of the messages; nil where one is surely not published.
type publisher func(ctx context.Context, data []pubsub.Raw) ([]uuid.UUID, error)

// open connects, and answers what publishes to the topic as the flags say.
func (p *publish) open(ctx context.Context, cmd *cobra.Command, topic string) (*pubsub.Client, publisher, error) {
	config := pubsub.Config{MaxMessage: p.maxMessage}
	if !p.quiet {
		config.Logger = cli.Warnings(cmd.ErrOrStderr(), cmd.CommandPath())
	}
	client, err := p.connection.OpenTopics(ctx, config)
	if err != nil {
		return nil, nil, exitOf(err)
	}
	send, err := p.publisher(ctx, cmd, client, topic)
	if err != nil {
		return nil, nil, errors.Join(p.explain(err, uuid.Nil), client.Close())
	}
	return client, send, nil
}

// many publishes messages, as PublishMany does.
type many func(ctx context.Context, data []pubsub.Raw, options ...pubsub.PublishOption) ([]uuid.UUID, error)

func (p *publish) publisher(ctx context.Context, cmd *cobra.Command, client *pubsub.Client, topic string) (publisher, error) {
	options := p.options(cmd.Flags())
	send, err := p.many(ctx, client, topic)
	return func(ctx context.Context, data []pubsub.Raw) ([]uuid.UUID, error) { return send(ctx, data, options...) }, err
}

func (p *publish) many(ctx context.Context, client *pubsub.Client, topic string) (many, error) {
	var kind []pubsub.TopicOption
	if p.sharded {
		kind = append(kind, pubsub.Sharded())
	}
	live, err := pubsub.NewTopic[pubsub.Raw](client, topic, kind...) // refuses a bad name before anything is read
	switch {
	case err != nil:
		return nil, err
	case p.durable:
		return p.manyDurable(ctx, client, topic, kind)
	case p.sharded || p.live:
		return live.PublishMany, nil
	}
	return anywhere(client, topic), nil
}

// anywhere reaches the live subscribers, and the stream where there is one.
func anywhere(client *pubsub.Client, topic string) many {
	return func(ctx context.Context, data []pubsub.Raw, options ...pubsub.PublishOption) ([]uuid.UUID, error) {
		plain := make([][]byte, len(data))
		for i := range data {
			plain[i] = data[i]
		}
		return client.PublishAnywhere(ctx, topic, plain, options...)
	}
}

// manyDurable makes the topic durable. Retention that no flag is about stays as it is.
func (p *publish) manyDurable(ctx context.Context, client *pubsub.Client, topic string, options []pubsub.TopicOption) (many, error) {
	count, age := int64(p.keepCount.n), p.keepFor.Duration
	if count == 0 && age == 0 {
		switch info, err := client.Streams().Info(ctx, topic); {
		case errors.Is(err, pubsub.ErrNotFound): // then it is made
		case err != nil:
			return nil, err
		case !p.sharded:
			return anywhere(client, topic), nil
		default:
			count, age = info.KeepCount, info.KeepFor
		}
	}
	if count > 0 {
		options = append(options, pubsub.KeepCount(count))
	}
	if age > 0 {
		options = append(options, pubsub.KeepFor(age))
	}
	durable, err := pubsub.NewDurable[pubsub.Raw](client, topic, options...)
	if err != nil {
		return nil, err
	}
	return durable.PublishMany, nil
}

// explain gives an error of package pubsub its exit code. id is the message's, where it has one by now.
func (p *publish) explain(err error, id uuid.UUID) error {
	var signal *cli.SignalError
	code := cli.CodeFailure
	switch {
	case err == nil:
		return nil
	case errors.As(err, &signal):
		code = signal.Code()
	case errors.Is(err, pubsub.ErrUnavailable), errors.Is(err, pubsub.ErrOutcomeUnknown):
		code = codeUnreachable
	}
	err = p.hint(plain(err))
	switch {
	case errors.Is(err, pubsub.ErrOutcomeUnknown):
		err = fmt.Errorf("the message may be published or not: %w; under the same id subscribers can tell: --id %s", err, id)
	case errors.Is(err, pubsub.ErrFull):
		err = errors.New("redis full: the message was not published")
	case errors.Is(err, pubsub.ErrInvalid):
		return cli.Usage(err)
	case errors.Is(err, pubsub.ErrUnavailable):
		url, from := p.connection.URL()
		err = &cli.Unreachable{Addr: cli.Address(url), From: from, Err: err}
	}
	return &cli.Exit{Code: code, Err: err}
}

// hint says what a user of Redis may do who may use no keys.
func (p *publish) hint(err error) error {
	if errors.Is(err, pubsub.ErrNotPermitted) && !p.live && !p.durable && !p.sharded && !strings.Contains(err.Error(), "channel") {
		return fmt.Errorf("%w; a user who may use no keys can publish with --live", err)
	}
	return err
}

// plain is an error without the counts of a batch, which are told in other words.
func plain(err error) error {
	var batch *pubsub.BatchError
	if errors.As(err, &batch) {
		return batch.First
	}
	return err
}

// topicForgotten says how a message is published, and how a job is enqueued whose kind has the verb's name.
func topicForgotten(args []string) error {
	form := ""
	if len(args) == 1 {
		form = " '{...}'"
		if args[0] == "-" {
			form = " -"
		}
	}
	if len(args) == 1 && args[0] != "-" && !looksLikeArgs(args[0]) {
		return errors.New("want TOPIC and JSON, or - for one message a line from stdin")
	}
	return fmt.Errorf("want TOPIC and JSON, or TOPIC and -; for a job of the kind publish: enqueue -- publish%s", form)
}
