package main

import (
	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
)

const rootHelp = `Runs the jobs of Tidemill's queues, shows and steers the queues.

"worker dev" is the place to start: it needs nothing installed.
"worker run" serves queues with the built-in handlers: log, noop, sleep and fail. Handlers of
your own are Go code: see package github.com/tidemill/tidemill/worker.

Exit codes: 0 clean; 1 failure; 2 usage or configuration; 69 Redis is unreachable or cannot be
used (wrong password, read-only replica ...); 75 the drain timed out and unfinished jobs were
released; 130 or 143 ended by a second Ctrl-C or TERM.

Environment: REDIS_URL, TIDEMILL_NAMESPACE, LOG_LEVEL, LOG_FORMAT (flags win), NO_COLOR.`

const rootExamples = `  worker dev
  worker run --queues critical=6,default=3 --concurrency 50
  worker stats
  worker jobs show default 0197c1f0-5a3e-7cc3-98c4-dc0c0c07398f`

// command is one run of worker: what all its commands share.
type command struct {
	connection cli.Connection
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
	root.AddCommand(c.newDev(), c.newRun(), c.newStats(), c.newQueues(), c.newJobs(), c.newSettings())
	return root
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
			names = append(names, child.Name())
		}
		if name := cli.Nearest(args[0], names); name != "" {
			return cli.Usagef("unknown command %q (did you mean %s?)", args[0], name)
		}
		return cli.Usagef("unknown command %q", args[0])
	}
	return cmd
}
