package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/pubsub"
)

// deleted is what the commands that delete have done, as JSON.
type deleted struct {
	Topic    string `json:"topic"`
	Group    string `json:"group,omitempty"`
	DryRun   bool   `json:"dry_run"`
	Messages *int64 `json:"messages,omitempty"` // that the topic held
	Deleted  bool   `json:"deleted"`
}

// deletion is `worker topics delete` and `delete-group`.
type deletion struct {
	*command
	consent consent
	json    bool
	what    func(info *pubsub.StreamInfo, group string) (string, error) // what would be gone, for the question
	do      func(ctx context.Context, streams *pubsub.Streams, args []string) error
}

func (c *command) newTopicsDelete() *cobra.Command {
	d := &deletion{command: c,
		what: func(info *pubsub.StreamInfo, _ string) (string, error) {
			return fmt.Sprintf("topic %s with %s and %s%s", info.Topic, amount(info.Length, "message"), amount(int64(len(info.Groups)), "group"),
				connected(info.Groups)), nil
		},
		do: func(ctx context.Context, streams *pubsub.Streams, args []string) error {
			return streams.Delete(ctx, args[0])
		},
	}
	cmd := &cobra.Command{
		Use: "delete TOPIC", Short: "Remove what a durable topic keeps, and its groups", ValidArgsFunction: c.completeTopicFirst,
		Long: "Removes the stream of a durable topic: its messages, groups and dead. It is a live topic then. A durable topic\n" +
			"comes back by itself when something is published with --durable, or a group of it is joined.",
		Example: "  worker topics delete old-orders --dry-run\n  worker topics delete old-orders --yes", Args: arguments("TOPIC"), RunE: d.run,
	}
	d.addFlags(cmd)
	return cmd
}

func (c *command) newDeleteGroup() *cobra.Command {
	d := &deletion{command: c,
		what: func(info *pubsub.StreamInfo, name string) (string, error) {
			g, err := namedGroup(info, name)
			if err != nil {
				return "", err
			}
			return fmt.Sprintf("group %s of topic %s (%s not delivered, %d pending, %d dead%s)", name, info.Topic, amount(g.Lag, "message"), g.Pending, g.Dead,
				connected([]pubsub.GroupInfo{*g})), nil
		},
		do: func(ctx context.Context, streams *pubsub.Streams, args []string) error {
			return streams.DeleteGroup(ctx, args[0], args[1])
		},
	}
	cmd := &cobra.Command{
		Use: "delete-group TOPIC GROUP", Short: "Remove a group of a durable topic", ValidArgsFunction: c.completeTopicAndGroup(false),
		Long: "Removes a group of a durable topic: how far it is, what it has pending, and its dead. The messages stay, and\n" +
			"other groups with them. A group comes back by itself when it is joined, and begins anew.",
		Example: "  worker topics delete-group orders old-billing --dry-run\n  worker topics delete-group orders old-billing --yes",
		Args:    arguments("TOPIC", "GROUP"), RunE: d.run,
	}
	d.addFlags(cmd)
	return cmd
}

// named is what was to be deleted.
func named(a deleted) string {
	if a.Group != "" {
		return "group " + a.Group + " of topic " + a.Topic
	}
	return "topic " + a.Topic
}

// connected warns of members that are there now.
func connected(groups []pubsub.GroupInfo) string {
	n := int64(0)
	for _, g := range groups {
		n += int64(g.Members)
	}
	if n == 0 {
		return ""
	}
	return ", " + amount(n, "member") + " connected"
}

func (d *deletion) addFlags(cmd *cobra.Command) {
	cmd.Flags().SortFlags = false
	d.consent.addFlags(cmd)
	cmd.Flags().BoolVar(&d.json, "json", false, "print one JSON object")
}

func (d *deletion) run(cmd *cobra.Command, args []string) error {
	if err := d.consent.check(cmd); err != nil {
		return err
	}
	return d.withTopic(cmd, args, func(ctx context.Context, streams *pubsub.Streams, info *pubsub.StreamInfo) error {
		answer := deleted{Topic: args[0], DryRun: d.consent.dryRun}
		if len(args) > 1 {
			answer.Group = args[1]
		} else {
			answer.Messages = &info.Length
		}
		what, err := d.what(info, answer.Group)
		if err != nil {
			return err
		}
		text := what + " would be deleted"
		if !answer.DryRun {
			if err := d.consent.ask(ctx, cmd, "Delete "+what+"?"); err != nil {
				return err
			}
			if err := d.do(ctx, streams, args); errors.Is(err, pubsub.ErrInUse) {
				return fmt.Errorf("%s is in use: end its members first", named(answer))
			} else if err != nil {
				return err
			}
			answer.Deleted = true
			text = "deleted " + what
		}
		if d.json {
			return printJSON(cmd.OutOrStdout(), answer)
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), text)
		return err
	})
}
