package main

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/pubsub"
)

const topicsRedriveHelp = `Gives dead messages back to the group that gave them up, and to no other, with all their attempts.

Give POSITIONs as worker topics dead prints them, or - for one a line from stdin. Without any, all the
dead of the group are meant: it counts first and asks, unless --yes is given. --dry-run only counts.
Exit code 1 when some of the positions are not among the dead (any more).`

// redriveAnswer is what a redrive has done, as JSON.
type redriveAnswer struct {
	Topic    string `json:"topic"`
	Group    string `json:"group"`
	DryRun   bool   `json:"dry_run"`
	Matched  int64  `json:"matched"`
	Redriven int64  `json:"redriven"`
}

// topicsRedrive is `worker topics redrive`.
type topicsRedrive struct {
	*command
	consent consent
	json    bool
}

func (c *command) newTopicsRedrive() *cobra.Command {
	r := &topicsRedrive{command: c}
	cmd := &cobra.Command{
		Use: "redrive TOPIC GROUP [POSITION... | -]", Short: "Give dead messages back to their group", Long: topicsRedriveHelp,
		SuggestFor: redriveVerb.suggestFor, Args: r.checkArgs, ValidArgsFunction: c.completeTopicAndGroup(true), RunE: r.run,
		Example: "  worker topics redrive orders billing 1700000000000-0\n  worker topics redrive orders billing --dry-run\n  worker topics redrive orders billing --yes",
	}
	cmd.Flags().SortFlags = false
	r.consent.addFlags(cmd)
	cmd.Flags().BoolVar(&r.json, "json", false, "print one JSON object")
	return cmd
}

func (r *topicsRedrive) checkArgs(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) < 2:
		return cli.Usagef("want TOPIC and GROUP, got %d arguments", len(args))
	case len(args) > 3 && slices.Contains(args[2:], stdin):
		return cli.Usagef("give - or POSITIONs, not both")
	}
	for _, arg := range args[2:] {
		if arg != stdin && !position.MatchString(arg) {
			return cli.Usagef("%q is not a position: want what worker topics dead prints, such as 1700000000000-0", arg)
		}
	}
	return noneEmpty(args)
}

func (r *topicsRedrive) run(cmd *cobra.Command, args []string) error {
	if len(args) == 2 {
		if err := r.consent.check(cmd); err != nil {
			return err
		}
	}
	return r.withTopic(cmd, args[:2], func(ctx context.Context, streams *pubsub.Streams, info *pubsub.StreamInfo) error {
		answer := &redriveAnswer{Topic: args[0], Group: args[1], DryRun: r.consent.dryRun}
		if len(args) == 2 {
			return r.all(ctx, cmd, streams, info, answer)
		}
		positions := args[2:]
		if positions[0] == stdin {
			var err error
			if positions, err = readPositions(interruptible(ctx, cmd.InOrStdin())); err != nil {
				return err
			}
		}
		return r.some(ctx, cmd, streams, answer, positions)
	})
}

// all redrives every dead message.
func (r *topicsRedrive) all(ctx context.Context, cmd *cobra.Command, streams *pubsub.Streams, info *pubsub.StreamInfo, a *redriveAnswer) error {
	group, err := namedGroup(info, a.Group)
	if err != nil {
		return err
	}
	a.Matched = group.Dead
	if a.DryRun {
		return r.say(cmd, a)
	}
	if a.Matched > 0 {
		question := fmt.Sprintf("Give %s back to group %s of topic %s?", amount(a.Matched, "message"), a.Group, a.Topic)
		if err := r.consent.ask(ctx, cmd, question); err != nil {
			return err
		}
	}
	n, err := streams.Redrive(ctx, a.Topic, a.Group)
	a.Redriven = int64(n)
	if err != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s were given back; the same command does the rest\n", amount(a.Redriven, "message"))
		return err
	}
	return r.say(cmd, a)
}

// some redrives those that are named.
func (r *topicsRedrive) some(ctx context.Context, cmd *cobra.Command, streams *pubsub.Streams, a *redriveAnswer, positions []string) error {
	slices.Sort(positions)
	positions = slices.Compact(positions)
	if len(positions) == 0 { // none named would be all of them
		return r.say(cmd, a)
	}
	if a.DryRun {
		for m, err := range streams.Dead(ctx, a.Topic, a.Group) {
			if err != nil {
				return err
			}
			if slices.Contains(positions, m.Position) {
				a.Matched++
			}
		}
	} else {
		n, err := streams.Redrive(ctx, a.Topic, a.Group, positions...)
		if err != nil {
			return err
		}
		a.Matched, a.Redriven = int64(n), int64(n)
	}
	if err := r.say(cmd, a); err != nil {
		return err
	}
	if missing := int64(len(positions)) - a.Matched; missing > 0 {
		is := "are"
		if missing == 1 {
			is = "is"
		}
		return fmt.Errorf("%d of the %d named %s not among the dead of group %s", missing, len(positions), is, a.Group)
	}
	return nil
}

func (r *topicsRedrive) say(cmd *cobra.Command, a *redriveAnswer) error {
	if r.json {
		return printJSON(cmd.OutOrStdout(), a)
	}
	text := amount(a.Redriven, "message") + " given back"
	if a.DryRun {
		text = amount(a.Matched, "message") + " would be given back"
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), text)
	return err
}

// readPositions reads one a line.
func readPositions(in io.Reader) (positions []string, err error) {
	err = eachLine(in, func(text string) error {
		if !position.MatchString(text) {
			return cli.Usagef("%q is not a position: want what worker topics dead -q prints, one a line", cli.Cut(text, 40))
		}
		positions = append(positions, text)
		return nil
	})
	return positions, err
}
