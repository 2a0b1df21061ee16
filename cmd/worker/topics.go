package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/pubsub"
)

const topicsHelp = `Shows and steers durable topics: those whose messages are kept in a stream, for groups to take and for
anyone to read again. Live topics leave nothing in Redis, so there is nothing to list of them.
docs/topics.md has recipes.`

const topicsExamples = `  worker topics list
  worker topics show orders
  worker topics dead orders billing
  worker topics redrive orders billing --dry-run
  worker topics delete-group orders old-billing`

func (c *command) newTopics() *cobra.Command {
	parent := group(&cobra.Command{Use: "topics", Short: "List, show and steer durable topics and their groups", Long: topicsHelp, Example: topicsExamples})
	parent.AddCommand(c.newTopicsList(), c.newTopicsShow(), c.newTopicsDead(), c.newTopicsRedrive(), c.newTopicsDelete(), c.newDeleteGroup())
	return parent
}

// topicView is a durable topic as JSON.
type topicView struct {
	Topic    string      `json:"topic"`
	Messages int64       `json:"messages"`
	First    *time.Time  `json:"first,omitempty"`
	Last     *time.Time  `json:"last,omitempty"`
	Count    int64       `json:"keep_count,omitempty"` // absent: without bound
	For      string      `json:"keep_for,omitempty"`   // likewise
	Groups   []groupView `json:"groups"`
}

// groupView is a group as JSON.
type groupView struct {
	Group         string `json:"group"`
	Members       int    `json:"members"`
	Lag           int64  `json:"lag"`
	Pending       int64  `json:"pending"`
	OldestPending int64  `json:"oldest_pending_ms,omitempty"`
	Dead          int64  `json:"dead"`
}

func newTopicView(info *pubsub.StreamInfo) *topicView {
	v := &topicView{Topic: info.Topic, Messages: info.Length, First: known(info.First), Last: known(info.Last), Groups: []groupView{}} // JSON readers want a list
	if v.Count = info.KeepCount; info.KeepFor > 0 {
		v.For = info.KeepFor.String()
	}
	for _, g := range info.Groups {
		v.Groups = append(v.Groups, groupView{Group: g.Group, Members: g.Members, Lag: g.Lag, Pending: g.Pending,
			OldestPending: g.OldestPending.Milliseconds(), Dead: g.Dead})
	}
	return v
}

var topicColumns = []cli.Column{
	{Title: "TOPIC", Yield: 1, Least: 12, Stays: true},
	number("MESSAGES", 0), {Title: "OLDEST", Whole: true, Yield: 6}, {Title: "NEWEST", Whole: true, Yield: 5}, number("GROUPS", 4),
	number("LAG", 0), number("PENDING", 3), number("DEAD", 0),
}

func (c *command) newTopicsList() *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use: "list [TOPIC...]", Short: "List the durable topics", ValidArgsFunction: c.completeTopics,
		Args: func(_ *cobra.Command, args []string) error { return noneEmpty(args) },
		Long: "Lists the durable topics. Summed up over a topic's groups: LAG is what is not delivered yet, PENDING what is\n" +
			"delivered and not acknowledged, DEAD what was given up. worker topics show has each group.",
		Example: "  worker topics list\n  worker topics list orders --json | jq '.groups[] | select(.lag > 1000)'",
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.withTopics(cmd, func(ctx context.Context, client *pubsub.Client) error {
			names, err := client.Streams().List(ctx)
			if err != nil {
				return err
			}
			for _, name := range args {
				if !slices.Contains(names, name) {
					return unknownTopic(name, names)
				}
			}
			if len(args) > 0 {
				names = slices.Compact(slices.Sorted(slices.Values(args)))
			}
			return printTopics(ctx, cmd, client.Streams(), names, asJSON)
		})
	}
	return cmd
}

func printTopics(ctx context.Context, cmd *cobra.Command, streams *pubsub.Streams, names []string, asJSON bool) error {
	out := cmd.OutOrStdout()
	if len(names) == 0 && cli.IsTerminal(out) {
		fmt.Fprintln(cmd.ErrOrStderr(), "no durable topics")
	}
	table := cli.NewTable(out, cli.Width(out), topicColumns...)
	var faults []error // a topic that cannot be read must not hide the others
	for _, name := range names {
		info, err := streams.Info(ctx, name)
		switch {
		case errors.Is(err, pubsub.ErrUnavailable) || ctx.Err() != nil:
			return keep(err, table.Flush())
		case errors.Is(err, pubsub.ErrNotFound): // deleted a moment ago, or its first message was refused
			continue
		case err != nil:
			faults = append(faults, err)
			continue
		case asJSON:
			err = printJSON(out, newTopicView(info))
		default:
			err = table.Row(topicRow(info)...)
		}
		if err != nil {
			return err
		}
	}
	err := table.Flush()
	remarkNarrow(cmd, table)
	return errors.Join(append(faults, err)...)
}

func topicRow(info *pubsub.StreamInfo) []string {
	var lag, pending, dead int64
	for _, g := range info.Groups {
		lag, pending, dead = lag+g.Lag, pending+g.Pending, dead+g.Dead
	}
	now := time.Now()
	row := []string{info.Topic, strconv.FormatInt(info.Length, 10), cli.Ago(info.First, now), cli.Ago(info.Last, now), strconv.Itoa(len(info.Groups))}
	for _, n := range []int64{lag, pending, dead} {
		row = append(row, strconv.FormatInt(n, 10))
	}
	return row
}

func (c *command) newTopicsShow() *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use: "show TOPIC", Short: "Show a durable topic and each of its groups", Args: arguments("TOPIC"), ValidArgsFunction: c.completeTopicFirst,
		Long: "Shows a durable topic and each of its groups: MEMBERS are connected now, LAG is what is not delivered yet,\n" +
			"PENDING what is delivered and not acknowledged, OLDEST since when the first of these, DEAD what was given up.",
		Example: "  worker topics show orders\n  worker topics show orders --json | jq '.groups[].lag'",
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.withTopic(cmd, args, func(_ context.Context, _ *pubsub.Streams, info *pubsub.StreamInfo) error {
			if asJSON {
				return printJSON(cmd.OutOrStdout(), newTopicView(info))
			}
			if err := printTopic(cmd.OutOrStdout(), info); err != nil {
				return err
			}
			return printGroups(cmd, info.Groups)
		})
	}
	return cmd
}

// printTopic is a topic for people, a line for each thing there is to say.
func printTopic(w io.Writer, info *pubsub.StreamInfo) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	now := time.Now()
	fmt.Fprintf(t, "topic\t%s\nmessages\t%s\n", cli.Clean(info.Topic), grouped(info.Length))
	for _, line := range []struct {
		name string
		at   time.Time
	}{{"oldest", info.First}, {"newest", info.Last}} {
		if !line.at.IsZero() {
			fmt.Fprintf(t, "%s\t%s (%s)\n", line.name, line.at.Local().Format("2006-01-02 15:04:05.000 -0700"), cli.Ago(line.at, now))
		}
	}
	fmt.Fprintf(t, "kept\t%s\ngroups\t%d\n", keptText(info), len(info.Groups))
	return t.Flush()
}

// keptText says what a topic keeps.
func keptText(info *pubsub.StreamInfo) string {
	var bounds []string
	if info.KeepCount > 0 {
		bounds = append(bounds, "the newest "+grouped(info.KeepCount))
	}
	if info.KeepFor > 0 {
		bounds = append(bounds, "for "+info.KeepFor.String())
	}
	if len(bounds) == 0 {
		return "all"
	}
	return strings.Join(bounds, ", at most ")
}

var groupColumns = []cli.Column{
	{Title: "GROUP", Yield: 1, Least: 12, Stays: true},
	number("MEMBERS", 3), number("LAG", 0), number("PENDING", 0), {Title: "OLDEST", Whole: true, Yield: 4}, number("DEAD", 0),
}

func printGroups(cmd *cobra.Command, groups []pubsub.GroupInfo) error {
	out := cmd.OutOrStdout()
	if len(groups) == 0 {
		return nil
	}
	if _, err := fmt.Fprintln(out); err != nil {
		return err
	}
	table := cli.NewTable(out, cli.Width(out), groupColumns...)
	for _, g := range groups {
		oldest := ""
		if g.Pending > 0 {
			oldest = cli.Span(g.OldestPending)
		}
		row := []string{g.Group, strconv.Itoa(g.Members), strconv.FormatInt(g.Lag, 10), strconv.FormatInt(g.Pending, 10), oldest,
			strconv.FormatInt(g.Dead, 10)}
		if err := table.Row(row...); err != nil {
			return err
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	remarkNarrow(cmd, table)
	return nil
}
