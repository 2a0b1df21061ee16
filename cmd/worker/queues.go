package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/queue"
)

const queuesExamples = `  worker queues list
  worker queues pause default
  worker queues resume --all
  worker queues purge default --state dead --dry-run
  worker queues delete old-reports`

func (c *command) newQueues() *cobra.Command {
	parent := group(&cobra.Command{Use: "queues", Short: "List, pause, resume, purge and delete queues", Example: queuesExamples})
	parent.AddCommand(
		c.newQueuesList(),
		c.newPause("pause", "Stop taking jobs from queues; what runs goes on", "paused", (*queue.Client).Pause),
		c.newPause("resume", "Undo pause", "resumed", (*queue.Client).Resume),
		c.newPurge(), c.newDeleteQueue(),
	)
	return parent
}

// queueView is one queue as JSON.
type queueView struct {
	Name      string `json:"name"`
	Ready     int64  `json:"ready"`
	Suspect   int64  `json:"suspect"`
	Scheduled int64  `json:"scheduled"`
	Running   int64  `json:"running"`
	Dead      int64  `json:"dead"`
	Finished  int64  `json:"finished"`
	Paused    bool   `json:"paused"`
	Workers   int    `json:"workers"`
}

var queueColumns = []cli.Column{
	{Title: "QUEUE", Yield: 1, Least: 12, Stays: true},
	number("READY", 0), number("SCHEDULED", 4), number("RUNNING", 0), number("DEAD", 0), number("FINISHED", 5), number("WORKERS", 3), {Whole: true},
}

func (c *command) newQueuesList() *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use: "list [QUEUE...]", Short: "List the queues", ValidArgsFunction: c.completeQueues,
		Args:    func(_ *cobra.Command, args []string) error { return noneEmpty(args) },
		Long:    "Lists the queues with the number of their jobs in each state, and of the workers that serve them. READY holds\nthe suspect ones: jobs that crashed their worker and are tried alone.",
		Example: "  worker queues list\n  worker queues list critical default\n  worker queues list --json | jq -r 'select(.workers == 0 and .ready > 0) | .name'",
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.with(cmd, func(ctx context.Context, client *queue.Client) error {
			names, err := selected(ctx, client, args)
			if err != nil {
				return err
			}
			workers, err := client.Workers(ctx)
			if errors.Is(err, queue.ErrUnavailable) || ctx.Err() != nil {
				return err
			}
			return errors.Join(printQueues(ctx, cmd, client, names, workers, asJSON), err)
		})
	}
	return cmd
}

func printQueues(ctx context.Context, cmd *cobra.Command, client *queue.Client, names []string, workers []queue.WorkerInfo, asJSON bool) error {
	out := cmd.OutOrStdout()
	if len(names) == 0 && cli.IsTerminal(out) {
		fmt.Fprintln(cmd.ErrOrStderr(), "no queue has been used yet")
	}
	table := cli.NewTable(out, cli.Width(out), queueColumns...)
	var faults []error // a queue that cannot be read must not hide the others
	for _, name := range names {
		n, err := client.Counts(ctx, name)
		switch {
		case errors.Is(err, queue.ErrUnavailable) || ctx.Err() != nil:
			return keep(err, table.Flush())
		case err != nil:
			faults = append(faults, fmt.Errorf("queue %q: %w", name, err))
			continue
		}
		v := queueView{Name: name, Ready: n.Ready, Suspect: n.Suspect, Scheduled: n.Scheduled, Running: n.Running, Dead: n.Dead, Finished: n.Finished,
			Paused: n.Paused, Workers: servedBy(workers, name)}
		if asJSON {
			err = printJSON(out, v)
		} else {
			row := []string{name}
			for _, n := range []int64{v.Ready, v.Scheduled, v.Running, v.Dead, v.Finished, int64(v.Workers)} {
				row = append(row, strconv.FormatInt(n, 10))
			}
			err = table.Row(append(row, pausedText(v.Paused))...)
		}
		if err != nil {
			return err
		}
	}
	err := table.Flush()
	remarkNarrow(cmd, table)
	return errors.Join(append(faults, err)...)
}

// servedBy is how many workers serve a queue.
func servedBy(workers []queue.WorkerInfo, name string) (n int) {
	for _, w := range workers {
		if w.Alive && slices.Contains(w.Queues, name) {
			n++
		}
	}
	return n
}
