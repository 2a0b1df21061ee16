package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/pubsub"
)

// withTopics is with for a command on topics.
func (c *command) withTopics(cmd *cobra.Command, do func(context.Context, *pubsub.Client) error) error {
	return c.withTopicsOf(cmd, pubsub.Config{Logger: cli.Warnings(cmd.ErrOrStderr(), cmd.CommandPath())}, do)
}

func (c *command) withTopicsOf(cmd *cobra.Command, config pubsub.Config, do func(context.Context, *pubsub.Client) error) error {
	return untilSignal(cmd, func(ctx context.Context) error {
		client, err := c.openTopics(ctx, config)
		if err != nil {
			return err
		}
		defer func() { _ = client.Close() }()
		return c.explain(do(ctx, client))
	})
}

// withTopic is withTopics for a command on a durable topic that must be there, and on one of its groups where args name
// one: a misspelled one has no messages, and that would look like an answer.
func (c *command) withTopic(cmd *cobra.Command, args []string, do func(context.Context, *pubsub.Streams, *pubsub.StreamInfo) error) error {
	return c.withTopics(cmd, func(ctx context.Context, client *pubsub.Client) error {
		info, err := infoOf(ctx, client, args[0])
		if err == nil && len(args) > 1 {
			_, err = namedGroup(info, args[1])
		}
		if err != nil {
			return err
		}
		return do(ctx, client.Streams(), info)
	})
}

// infoOf is what there is to a durable topic, which must be there.
func infoOf(ctx context.Context, client *pubsub.Client, topic string) (*pubsub.StreamInfo, error) {
	all, err := client.Streams().List(ctx)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(all, topic) {
		return nil, unknownTopic(topic, all)
	}
	info, err := client.Streams().Info(ctx, topic)
	if errors.Is(err, pubsub.ErrNotFound) {
		err = unknownTopic(topic, nil)
	}
	return info, err
}

// hasGroup tells whether a topic has a group.
func hasGroup(ctx context.Context, client *pubsub.Client, topic, group string) (bool, error) {
	all, err := client.Streams().List(ctx)
	if err != nil || !slices.Contains(all, topic) {
		return false, err
	}
	info, err := client.Streams().Info(ctx, topic)
	if errors.Is(err, pubsub.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return slices.Contains(groupNames(info), group), nil
}

func unknownTopic(name string, all []string) error {
	text := fmt.Sprintf("there is no durable topic %q", name)
	if near := cli.Nearest(name, all); near != "" {
		text += fmt.Sprintf(" (did you mean %s?)", near)
	}
	if len(all) > 0 {
		text += "; there are " + listed(all)
	} else {
		text += ", nor any other: a topic is made durable by enqueue publish --durable, or by worker subscribe --durable"
	}
	return errors.New(text)
}

// namedGroup is a group of a topic.
func namedGroup(info *pubsub.StreamInfo, name string) (*pubsub.GroupInfo, error) {
	for i := range info.Groups {
		if info.Groups[i].Group == name {
			return &info.Groups[i], nil
		}
	}
	all := groupNames(info)
	text := fmt.Sprintf("topic %s has no group %q", info.Topic, name)
	if near := cli.Nearest(name, all); near != "" {
		text += fmt.Sprintf(" (did you mean %s?)", near)
	}
	if len(all) > 0 {
		text += "; there are " + listed(all)
	}
	return nil, errors.New(text)
}

func groupNames(info *pubsub.StreamInfo) []string {
	names := make([]string, len(info.Groups))
	for i := range info.Groups {
		names[i] = info.Groups[i].Group
	}
	return names
}

// askTopics is ask about topics.
func (c *command) askTopics(question func(ctx context.Context, streams *pubsub.Streams, args []string) []cobra.Completion) completer {
	return askWithin(func(ctx context.Context, args []string) []cobra.Completion {
		client, err := c.connection.OpenTopics(ctx, pubsub.Config{})
		if err != nil {
			return nil
		}
		defer func() { _ = client.Close() }()
		return question(ctx, client.Streams(), args)
	})
}

// completeTopicFirst offers the durable topics as the first argument; the live ones are known to nobody.
func (c *command) completeTopicFirst(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nothing()
	}
	return c.completeTopics(cmd, args, typed)
}

// completeTopics offers the durable topics.
func (c *command) completeTopics(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return c.askTopics(func(ctx context.Context, streams *pubsub.Streams, _ []string) []cobra.Completion {
		names, _ := streams.List(ctx)
		return names
	})(cmd, args, typed)
}

// completeGroupOfTopic offers the groups of the topic that is typed already.
func (c *command) completeGroupOfTopic(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return nothing()
	}
	return c.askTopics(func(ctx context.Context, streams *pubsub.Streams, args []string) []cobra.Completion {
		info, err := streams.Info(ctx, args[0])
		if err != nil {
			return nil
		}
		return groupNames(info)
	})(cmd, args, typed)
}

// completeTopicAndGroup offers topics, then the groups of the first one, then the positions of its dead.
func (c *command) completeTopicAndGroup(dead bool) completer {
	positions := c.askTopics(func(ctx context.Context, streams *pubsub.Streams, args []string) (found []cobra.Completion) {
		for m, err := range streams.Dead(ctx, args[0], args[1]) {
			if err != nil || len(found) == idsOffered {
				break
			}
			found = append(found, cobra.CompletionWithDesc(m.Position, cli.Clean(m.Error)))
		}
		return found
	})
	return func(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		switch {
		case len(args) == 0:
			return c.completeTopics(cmd, args, typed)
		case len(args) == 1:
			return c.completeGroupOfTopic(cmd, args, typed)
		case dead:
			return positions(cmd, args, typed)
		}
		return nothing()
	}
}
