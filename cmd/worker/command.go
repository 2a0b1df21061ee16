package main

import (
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
)

const rootHelp = `Runs the jobs of Tidemill's queues, shows and steers them.

"worker dev" is the place to start: it needs nothing installed.
"worker run -c worker.yaml" runs commands and calls URLs for jobs, as the file says; without a file
it serves the built-in handlers log, noop, sleep and fail. Handlers in Go are programs of their
own: see package github.com/tidemill/tidemill/worker.
"worker queues", "jobs" and "workers" are for operators; docs/operating.md has recipes.
"worker subscribe" prints the messages of a topic, "worker topics" shows and steers durable ones.
"worker doctor" checks the server and every queue, and mends what is broken.

Exit codes: 0 clean; 1 failure, or not done for some; 2 usage or configuration; 69 Redis is
unreachable or cannot be used (wrong password, read-only replica ...); 75 the drain timed out and
unfinished jobs were released; 124 what was waited for did not come in time; 130 or 143 ended by
Ctrl-C or TERM, where a worker needs a second one.

Environment: REDIS_URL, TIDEMILL_NAMESPACE, TIDEMILL_CONFIG, TIDEMILL_LISTEN, LOG_LEVEL, LOG_FORMAT
(flags win), NO_COLOR.`

const rootExamples = `  worker dev
  worker run -c worker.yaml
  worker run --queues critical=6,default=3 --concurrency 50
  worker stats
  worker jobs list default --state dead --since 2h
  worker jobs redrive default --error "connection refused" --dry-run
  worker workers stop 0197c1f0 --wait 1m
  worker subscribe 'prices.*' --pattern
  worker doctor`

// command is one run of worker: what all its commands share.
type command struct {
	connection cli.Connection
	tells      bool // what becomes of jobs is published
}

func newCommand() *cobra.Command {
	c := &command{}
	root := group(&cobra.Command{
		Use:     "worker",
		Short:   "Run and steer Tidemill's queues",
		Long:    rootHelp,
		Example: rootExamples,
	})
	c.connection.AddFlags(root.PersistentFlags())
	root.PersistentFlags().SortFlags = false
	run, check, health := c.newRun(), c.newCheck(), c.newHealth()
	run.Args, check.Args, health.Args = fileByFlag, fileByFlag, fileByFlag
	root.AddCommand(c.newDev(), run, check, health, c.newStats(), c.newQueues(), c.newJobs(), c.newWorkers(), c.newSettings(), c.newDoctor(),
		c.newSubscribe(), c.newTopics())
	return root
}

// fileByFlag refuses arguments of a command whose file is named with -c.
func fileByFlag(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if ext := filepath.Ext(args[0]); ext == ".yaml" || ext == ".yml" {
		return cli.Usagef("a file is named with -c: %s -c %s", cmd.CommandPath(), shellQuote(args[0]))
	}
	return cli.Usagef("%q: no argument is wanted; a file is named with -c", args[0])
}

// group makes a command that only holds others: alone it shows its help, and cobra would do the same for a misspelled
// command below it.
func group(cmd *cobra.Command) *cobra.Command {
	cmd.SuggestionsMinimumDistance = 2
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		var names []string
		for _, child := range cmd.Commands() {
			if names = append(names, child.Name()); slices.Contains(child.SuggestFor, args[0]) {
				return cli.Usagef("unknown command %q (did you mean %s?)", args[0], child.Name())
			}
		}
		if name := cli.Nearest(args[0], names); name != "" {
			return cli.Usagef("unknown command %q (did you mean %s?)", args[0], name)
		}
		return cli.Usagef("unknown command %q", args[0])
	}
	return cmd
}
