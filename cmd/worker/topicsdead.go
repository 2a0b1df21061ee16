package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/pubsub"
)

const deadHelp = `Lists the messages that a group gave up: those that failed too often, and those that it refused for
good. They are kept for this group alone; worker topics redrive gives them another try.
-q prints positions alone, which redrive takes from stdin:
  worker topics dead orders billing -q | head -10 | worker topics redrive orders billing -`

// deadView is a dead message as JSON.
type deadView struct {
	Topic      string            `json:"topic"`
	Group      string            `json:"group"`
	Position   string            `json:"position"` // among the dead
	Origin     string            `json:"origin"`   // in the topic
	ID         string            `json:"id"`       // empty of a message that no Tidemill client published
	Time       *time.Time        `json:"time,omitempty"`
	DiedAt     *time.Time        `json:"died_at,omitempty"`
	Attempts   int               `json:"attempts"`
	Error      string            `json:"error"`
	Data       json.RawMessage   `json:"data,omitempty"`
	DataBase64 []byte            `json:"data_base64,omitempty"` // where it is no UTF-8
	Meta       map[string]string `json:"meta,omitempty"`
}

// deadCommand is `worker topics dead`.
type deadCommand struct {
	*command
	limit int
	json  bool
	quiet bool
}

func (c *command) newTopicsDead() *cobra.Command {
	d := &deadCommand{command: c}
	cmd := &cobra.Command{
		Use: "dead TOPIC GROUP", Short: "List the messages that a group gave up", Long: deadHelp, Args: arguments("TOPIC", "GROUP"),
		ValidArgsFunction: c.completeTopicAndGroup(false), RunE: d.run,
		Example: "  worker topics dead orders billing\n  worker topics dead orders billing --json | jq -r .error | sort | uniq -c",
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().IntVar(&d.limit, "limit", 0, "stop after `n` messages; 0 = list all (default on a terminal: 50)")
	cmd.Flags().BoolVar(&d.json, "json", false, "print one JSON object a line")
	cmd.Flags().BoolVarP(&d.quiet, "quiet", "q", false, "print the positions alone")
	_ = cmd.RegisterFlagCompletionFunc("limit", cobra.NoFileCompletions)
	return cmd
}

// deadColumns: positions are never cut, since they are there to be copied.
var deadColumns = []cli.Column{
	{Title: "POSITION", Whole: true},
	{Title: "DIED", Whole: true, Yield: 4},
	{Title: "TRIES", Right: true, Whole: true, Yield: 5},
	{Title: "ERROR", Yield: 2, Least: 16, Good: 40},
	{Title: "DATA", Yield: 3, Least: 10},
}

func (d *deadCommand) run(cmd *cobra.Command, args []string) error {
	switch {
	case d.limit < 0:
		return cli.Usagef("--limit %d: allowed: 0 (all) or more", d.limit)
	case d.json && d.quiet:
		return cli.Usagef("--json and -q: give one of them")
	}
	person := cli.IsTerminal(cmd.OutOrStdout())
	if !cmd.Flags().Changed("limit") && person {
		d.limit = rowsOfOne
	}
	return d.withTopic(cmd, args, func(ctx context.Context, streams *pubsub.Streams, _ *pubsub.StreamInfo) error {
		out := cmd.OutOrStdout()
		table := cli.NewTable(out, cli.Width(out), deadColumns...)
		found := 0
		for m, err := range streams.Dead(ctx, args[0], args[1]) {
			if err != nil {
				return keep(err, table.Flush())
			}
			if found++; d.limit > 0 && found > d.limit {
				break
			}
			if err := d.print(cmd, table, m); err != nil {
				return err
			}
		}
		if err := table.Flush(); err != nil {
			return err
		}
		switch {
		case found == 0 && person && !d.quiet:
			fmt.Fprintln(cmd.ErrOrStderr(), "no dead messages")
		case person && d.limit > 0 && found > d.limit:
			fmt.Fprintf(cmd.ErrOrStderr(), "\nthere are more: %s\n", commandLine(cmd, args, []string{"limit"}, "--limit", "0"))
		}
		remarkNarrow(cmd, table)
		return nil
	})
}

func (d *deadCommand) print(cmd *cobra.Command, table *cli.Table, m *pubsub.DeadMessage) error {
	switch {
	case d.json:
		return printJSON(cmd.OutOrStdout(), newDeadView(m))
	case d.quiet:
		_, err := fmt.Fprintln(cmd.OutOrStdout(), m.Position)
		return err
	}
	return table.Row(m.Position, cli.Ago(m.DiedAt, time.Now()), fmt.Sprint(m.Attempt), m.Error, dataText(m.Data))
}

func newDeadView(m *pubsub.DeadMessage) *deadView {
	v := &deadView{Topic: m.Topic, Group: m.Group, Position: m.Position, Origin: m.Origin, Time: known(m.Time), DiedAt: known(m.DiedAt), Attempts: m.Attempt,
		Error: m.Error, Meta: m.Meta}
	if m.ID != [16]byte{} {
		v.ID = m.ID.String()
	}
	switch {
	case !utf8.Valid(m.Data):
		v.DataBase64 = m.Data
	case json.Valid(m.Data):
		v.Data = json.RawMessage(m.Data)
	default:
		v.Data = quotedJSON(string(m.Data))
	}
	return v
}

// dataText is the beginning of what a message says.
func dataText(data []byte) string {
	if len(data) > longDetail {
		return strings.ToValidUTF8(string(data[:longDetail]), "") + "…"
	}
	return string(data)
}
