package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/queue"
)

const statsHelp = `Counts the jobs of each queue, by state, and what became of the others since the queue was first
used. FAILED counts attempts, not jobs.`

const statsExamples = `  worker stats
  worker stats --queue critical --json`

// statsCommand is `worker stats`.
type statsCommand struct {
	*command
	json  bool
	names []string
}

func (c *command) newStats() *cobra.Command {
	s := &statsCommand{command: c}
	cmd := &cobra.Command{
		Use: "stats", Short: "Count the jobs of each queue", Long: statsHelp, Example: statsExamples,
		Args: cobra.NoArgs, RunE: s.run,
	}
	cmd.Flags().BoolVar(&s.json, "json", false, "print one JSON object")
	cmd.Flags().StringArrayVar(&s.names, "queue", nil, "only the queue of this `name`; repeatable")
	_ = cmd.RegisterFlagCompletionFunc("queue", c.completeQueues)
	return cmd
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
	return s.with(cmd, func(ctx context.Context, client *queue.Client) error {
		names, err := s.selected(ctx, client)
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
			err = printStats(cmd.OutOrStdout(), stats, len(names))
		}
		return errors.Join(append(faults, err)...)
	})
}

// selected answers the queues asked for, all of them unless some were named.
func (s *statsCommand) selected(ctx context.Context, client *queue.Client) ([]string, error) {
	all, err := client.Queues(ctx)
	if err != nil || len(s.names) == 0 {
		return all, err
	}
	for _, name := range s.names {
		if !slices.Contains(all, name) {
			return nil, unknownQueue(name, all)
		}
	}
	slices.Sort(s.names)
	return slices.Compact(s.names), nil
}

func unknownQueue(name string, all []string) error {
	if near := cli.Nearest(name, all); near != "" {
		return fmt.Errorf("no queue %q has been used yet (did you mean %s?)", name, near)
	}
	return fmt.Errorf("no queue %q has been used yet", name)
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

func printStats(w io.Writer, stats []queueStats, queues int) error {
	if queues == 0 {
		_, err := fmt.Fprintln(w, "no queue has been used yet")
		return err
	}
	rows := [][]string{{"QUEUE", "READY", "SCHEDULED", "RUNNING", "DEAD", "FINISHED", "SUCCEEDED", "FAILED"}}
	for _, q := range stats {
		row := []string{q.Name}
		for _, n := range []int64{q.Ready, q.Scheduled, q.Running, q.Dead, q.Finished, q.SucceededTotal, q.FailedTotal} {
			row = append(row, strconv.FormatInt(n, 10))
		}
		if q.Paused {
			row = append(row, "paused")
		}
		rows = append(rows, row)
	}
	_, err := io.WriteString(w, table(rows))
	return err
}

// table aligns the first column left and the others right. Columns beyond those of the first row are remarks.
func table(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i := range widths {
			widths[i] = max(widths[i], len(row[i]))
		}
	}
	var out strings.Builder
	for _, row := range rows {
		for i, cell := range row {
			switch {
			case i == 0:
				fmt.Fprintf(&out, "%-*s", widths[i], cell)
			case i < len(widths):
				fmt.Fprintf(&out, "  %*s", widths[i], cell)
			default:
				out.WriteString("  " + cell)
			}
		}
		out.WriteByte('\n')
	}
	return out.String()
}
