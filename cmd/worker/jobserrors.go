package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/queue"
)

const errorsHelp = `Counts the dead jobs of a queue by what they died of, the most frequent first. Numbers, ids and
quoted texts within an error are masked, so that "user 17 not found" and "user 18 not found" are one;
the number of an exit status or a signal is not. "jobs list" and the others find the jobs by the
same text: --error "user # not found".
`

const errorsExamples = `  worker jobs errors default
  worker jobs errors default --since 2h --kind "mail.*"
  worker jobs errors default --json | jq -r '"\(.count)\t\(.error)"'`

// errorView is one group of dead jobs, as JSON.
type errorView struct {
	Error   string     `json:"error"`
	Count   int64      `json:"count"`
	First   *time.Time `json:"first,omitempty"`
	Last    *time.Time `json:"last,omitempty"`
	Kinds   []string   `json:"kinds"`
	Example string     `json:"example"`
}

func (c *command) newErrors() *cobra.Command {
	var filter jobFilter
	asJSON := false
	dead := []queue.State{queue.DeadState}
	cmd := &cobra.Command{
		Use: "errors QUEUE", Short: "Count the dead jobs of a queue by their errors", Long: errorsHelp + filter.help(dead),
		Example: errorsExamples, Args: arguments("QUEUE"), ValidArgsFunction: c.completeFirst,
	}
	cmd.Flags().SortFlags = false
	filter.addFlags(cmd, c, dead)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, err := filter.selection(cmd, dead, dead)
		if err != nil {
			return err
		}
		return c.errorGroups(cmd, args[0], &filter, s, asJSON)
	}
	return cmd
}

// errorGroups is `worker jobs errors`, which `worker jobs list --group-by error` is too.
func (c *command) errorGroups(cmd *cobra.Command, name string, filter *jobFilter, s *selection, asJSON bool) error {
	return c.withQueue(cmd, name, func(ctx context.Context, client *queue.Client) error {
		groups, err := client.DeadByError(ctx, name, s.in(queue.DeadState))
		if err != nil {
			return err
		}
		if asJSON {
			return printErrorGroups(cmd.OutOrStdout(), groups)
		}
		switch {
		case len(groups) > 0:
		case filter.given(cmd):
			filter.remarkNone(cmd)
		case cli.IsTerminal(cmd.OutOrStdout()):
			fmt.Fprintln(cmd.ErrOrStderr(), "no dead jobs")
		}
		table := cli.NewTable(cmd.OutOrStdout(), cli.Width(cmd.OutOrStdout()), errorColumns...)
		for _, g := range groups {
			now := time.Now()
			row := []string{grouped(int64(g.Count)), cli.Ago(g.First, now), cli.Ago(g.Last, now), strings.Join(g.Kinds, ","), g.Example.String(), g.Error}
			if err := table.Row(row...); err != nil {
				return err
			}
		}
		if err := table.Flush(); err != nil {
			return err
		}
		remarkNarrow(cmd, table)
		return nil
	})
}

var errorColumns = []cli.Column{
	{Title: "COUNT", Right: true, Whole: true},
	{Title: "FIRST", Whole: true, Yield: 4},
	{Title: "LAST", Whole: true, Yield: 2},
	{Title: "KINDS", Yield: 3, Least: 12},
	{Title: "EXAMPLE", Whole: true, Yield: 5},
	{Title: "ERROR", Yield: 1, Least: 30, Stays: true},
}

func printErrorGroups(w io.Writer, groups []queue.ErrorGroup) error {
	for _, g := range groups {
		kinds := g.Kinds
		if kinds == nil {
			kinds = []string{}
		}
		view := errorView{Error: g.Error, Count: int64(g.Count), First: known(g.First), Last: known(g.Last), Kinds: kinds, Example: g.Example.String()}
		if err := printJSON(w, view); err != nil {
			return err
		}
	}
	return nil
}
