package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/queue"
)

const statsHelp = `Counts the jobs of each queue, by state, and what became of the others since the queue was first
used. FAILED counts attempts, not jobs. With --watch it counts again and again until Ctrl-C.`

const statsExamples = `  worker stats
  worker stats --queue critical --json
  worker stats --watch --every 5s`

// statsCommand is `worker stats`.
type statsCommand struct {
	*command
	json  bool
	watch bool
	every time.Duration
	names []string
}

func (c *command) newStats() *cobra.Command {
	s := &statsCommand{command: c}
	cmd := &cobra.Command{
		Use: "stats", Short: "Count the jobs of each queue", Long: statsHelp, Example: statsExamples,
		Args: queuesByFlag, RunE: s.run,
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringArrayVar(&s.names, "queue", nil, "only the queue of this `name`; repeatable")
	flags.BoolVarP(&s.watch, "watch", "w", false, "count again and again")
	flags.DurationVar(&s.every, "every", 2*time.Second, "with --watch: how often, 100ms or more")
	flags.BoolVar(&s.json, "json", false, "print one JSON object; with --watch one a line")
	_ = cmd.RegisterFlagCompletionFunc("queue", c.completeQueues)
	_ = cmd.RegisterFlagCompletionFunc("every", cobra.NoFileCompletions)
	return cmd
}

// queuesByFlag refuses arguments: "queues list" takes names so.
func queuesByFlag(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return cli.Usagef("%q: a queue is named with --queue: %s --queue %s", args[0], cmd.CommandPath(), shellQuote(args[0]))
}

// queueStats is one queue in the JSON form, which scripts rely on.
type queueStats struct {
	Name           string `json:"name"`
	Ready          int64  `json:"ready"`
	Scheduled      int64  `json:"scheduled"`
	Running        int64  `json:"running"`
	Dead           int64  `json:"dead"`
	Finished       int64  `json:"finished"`
	SucceededTotal int64  `json:"succeeded_total"`
	FailedTotal    int64  `json:"failed_total"`
	Paused         bool   `json:"paused"`
}

func (s *statsCommand) run(cmd *cobra.Command, _ []string) error {
	switch every := cmd.Flags().Changed("every"); {
	case every && !s.watch:
		return cli.Usagef("--every goes with --watch")
	case s.every < 100*time.Millisecond:
		return cli.Usagef("--every %v: allowed: 100ms or more", s.every)
	}
	return s.with(cmd, func(ctx context.Context, client *queue.Client) error {
		if s.watch {
			return s.again(ctx, cmd, client)
		}
		return s.once(ctx, cmd, client)
	})
}

// home is what begins a terminal's screen anew, without the flicker of clearing it first.
const home = "\x1b[H\x1b[J"

// again counts until it is interrupted, which is its proper end. While Redis is away it waits.
func (s *statsCommand) again(ctx context.Context, cmd *cobra.Command, client *queue.Client) error {
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	out, away := cmd.OutOrStdout(), false
	for {
		if cli.IsTerminal(out) {
			fmt.Fprint(out, home)
		}
		err := s.once(ctx, cmd, client)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, queue.ErrUnavailable):
			if !away || cli.IsTerminal(out) {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s: waiting for Redis: %v\n", cmd.CommandPath(), err)
			}
		case err != nil:
			return err
		}
		away = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (s *statsCommand) once(ctx context.Context, cmd *cobra.Command, client *queue.Client) error {
	names, err := selected(ctx, client, s.names)
	if err != nil {
		return err
	}
	// A queue that cannot be read must not hide the others.
	stats, faults := count(ctx, client, names)
	if s.json {
		err = printJSON(cmd.OutOrStdout(), struct {
			Queues []queueStats `json:"queues"`
		}{stats})
	} else {
		err = printStats(cmd, stats, len(names))
	}
	return errors.Join(append(faults, err)...)
}

// selected answers the queues asked for, all of them unless some were named.
func selected(ctx context.Context, client *queue.Client, names []string) ([]string, error) {
	all, err := client.Queues(ctx)
	if err != nil || len(names) == 0 {
		return all, err
	}
	for _, name := range names {
		if !slices.Contains(all, name) {
			return nil, unknownQueue(name, all)
		}
	}
	names = slices.Clone(names)
	slices.Sort(names)
	return slices.Compact(names), nil
}

func count(ctx context.Context, client *queue.Client, names []string) ([]queueStats, []error) {
	stats := make([]queueStats, 0, len(names)) // never nil: JSON readers want a list
	var faults []error
	for _, name := range names {
		n, err := client.Counts(ctx, name)
		if err != nil {
			if errors.Is(err, queue.ErrUnavailable) || ctx.Err() != nil {
				return stats, append(faults, err)
			}
			faults = append(faults, fmt.Errorf("queue %q: %w", name, err))
			continue
		}
		stats = append(stats, queueStats{Name: name, Ready: n.Ready, Scheduled: n.Scheduled, Running: n.Running, Dead: n.Dead,
			Finished: n.Finished, SucceededTotal: n.Succeeded, FailedTotal: n.Failed, Paused: n.Paused})
	}
	return stats, faults
}

// statsColumns: the last one says what is remarkable.
var statsColumns = []cli.Column{
	{Title: "QUEUE", Yield: 1, Least: 12, Stays: true},
	number("READY", 0), number("SCHEDULED", 5), number("RUNNING", 0), number("DEAD", 0), number("FINISHED", 7),
	number("SUCCEEDED", 8), number("FAILED", 6), {Whole: true},
}

// number is a column of numbers.
func number(title string, yield int) cli.Column {
	return cli.Column{Title: title, Right: true, Whole: true, Yield: yield}
}

func printStats(cmd *cobra.Command, stats []queueStats, queues int) error {
	w := cmd.OutOrStdout()
	if queues == 0 {
		_, err := fmt.Fprintln(w, "no queue has been used yet")
		return err
	}
	table := cli.NewTable(w, cli.Width(w), statsColumns...)
	for _, q := range stats {
		row := []string{q.Name}
		for _, n := range []int64{q.Ready, q.Scheduled, q.Running, q.Dead, q.Finished, q.SucceededTotal, q.FailedTotal} {
			row = append(row, strconv.FormatInt(n, 10))
		}
		if err := table.Row(append(row, pausedText(q.Paused))...); err != nil {
			return err
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	remarkNarrow(cmd, table)
	return nil
}

func pausedText(paused bool) string {
	if paused {
		return "paused"
	}
	return ""
}
