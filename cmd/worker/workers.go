package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/queue"
)

const workersHelp = `Shows and steers the worker processes. INSTANCE is the beginning of an instance's id, as much of it
as tells it from the others.`

const workersExamples = `  worker workers list
  worker workers quiet --all
  worker workers stop 0197c1f0 --wait 1m`

func (c *command) newWorkers() *cobra.Command {
	parent := group(&cobra.Command{Use: "workers", Short: "List worker processes, quiet and stop them, set how much they log", Long: workersHelp, Example: workersExamples})
	quiet := func(quiet bool) func(*queue.Client, context.Context, string) error {
		return func(client *queue.Client, ctx context.Context, instance string) error {
			return client.QuietWorker(ctx, instance, quiet)
		}
	}
	parent.AddCommand(c.newWorkersList(),
		c.newOrder(&order{name: "quiet", short: "Let workers take no more jobs; what runs goes on", done: "takes no more jobs", do: quiet(true)}),
		c.newOrder(&order{name: "resume", short: "Undo quiet", done: "takes jobs again", do: quiet(false)}),
		c.newOrder(&order{name: "stop", short: "Drain workers and end them", done: "is told to stop", do: (*queue.Client).StopWorker}),
		c.newOrder(&order{name: "log-level", short: "Set how much workers log", done: "logs from now on at level", levels: true}))
	return parent
}

// workerView is a worker process as JSON.
type workerView struct {
	Instance    string     `json:"instance"`
	Host        string     `json:"host"`
	PID         int        `json:"pid"`
	Version     string     `json:"version,omitempty"`
	State       string     `json:"state"`
	LogLevel    string     `json:"log_level,omitempty"`
	Started     *time.Time `json:"started,omitempty"`
	LastSeen    *time.Time `json:"last_seen,omitempty"`
	Queues      []string   `json:"queues"`
	Kinds       []string   `json:"kinds"`
	Concurrency int        `json:"concurrency"`
	Running     int        `json:"running"`
}

// workerState is what a worker does, in a word.
func workerState(w *queue.WorkerInfo) string {
	switch {
	case !w.Alive:
		return "lost"
	case w.Stopping:
		return "stopping"
	case w.Quiet:
		return "quiet"
	}
	return "working"
}

func newWorkerView(w *queue.WorkerInfo) *workerView {
	some := func(list []string) []string { return append([]string{}, list...) } // JSON readers want a list
	return &workerView{Instance: w.Instance, Host: w.Host, PID: w.PID, Version: w.Version, State: workerState(w), LogLevel: w.LogLevel, Started: known(w.Started),
		LastSeen: known(w.LastSeen), Queues: some(w.Queues), Kinds: some(w.Kinds), Concurrency: w.Concurrency, Running: w.Running}
}

var workerColumns = []cli.Column{
	{Title: "INSTANCE", Whole: true},
	{Title: "PROCESS", Yield: 2, Least: 12},
	{Title: "QUEUES", Yield: 3, Least: 10},
	{Title: "RUNNING", Right: true, Whole: true},
	{Title: "SINCE", Whole: true, Yield: 5},
	{Title: "LOGS", Whole: true, Yield: 6},
	{Title: "STATE", Whole: true},
}

func (c *command) newWorkersList() *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use: "list", Short: "List the worker processes", Args: arguments(),
		Long:    "Lists the worker processes. RUNNING is how many jobs it holds, of how many handlers may run at\nonce. A lost one has not been heard of for longer than the session TTL: others run its jobs, and it leaves the list\nafter some minutes.",
		Example: "  worker workers list\n  worker workers list --json | jq -r 'select(.state == \"working\") | .instance'",
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return c.with(cmd, func(ctx context.Context, client *queue.Client) error {
			list, err := client.Workers(ctx)
			if err != nil {
				return err
			}
			if !asJSON {
				return printWorkers(cmd, list)
			}
			for i := range list {
				if err := printJSON(cmd.OutOrStdout(), newWorkerView(&list[i])); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return cmd
}

func printWorkers(cmd *cobra.Command, list []queue.WorkerInfo) error {
	if len(list) == 0 && cli.IsTerminal(cmd.OutOrStdout()) {
		fmt.Fprintln(cmd.ErrOrStderr(), "no workers")
	}
	table := cli.NewTable(cmd.OutOrStdout(), cli.Width(cmd.OutOrStdout()), workerColumns...)
	short := shortInstances(list)
	for i := range list {
		w := &list[i]
		row := []string{short[i], fmt.Sprintf("%s:%d", w.Host, w.PID), strings.Join(w.Queues, ","), fmt.Sprintf("%d/%d", w.Running, w.Concurrency),
			cli.Ago(w.Started, time.Now()), cli.Clean(w.LogLevel), workerState(w)}
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

// leastInstance is how much of an instance is shown at least.
const leastInstance = 8

// shortInstances cuts the instances to what tells each from the others.
func shortInstances(list []queue.WorkerInfo) []string {
	all := instances(list)
	size := leastInstance
	for i, a := range all {
		for _, b := range all[:i] {
			same := 0
			for same < min(len(a), len(b)) && a[same] == b[same] {
				same++
			}
			size = max(size, same+1)
		}
	}
	for i, instance := range all {
		all[i] = instance[:min(size, len(instance))]
	}
	return all
}

func instances(list []queue.WorkerInfo) []string {
	all := make([]string, len(list))
	for i, w := range list {
		all[i] = w.Instance
	}
	return all
}
