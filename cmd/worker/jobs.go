package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/queue"
)

const jobsExamples = `  worker jobs show default 0197c1f0-5a3e-7cc3-98c4-dc0c0c07398f
  worker jobs cancel default report-2027-01-31
  worker jobs redrive default report-2027-01-31 --json`

func (c *command) newJobs() *cobra.Command {
	parent := group(&cobra.Command{Use: "jobs", Short: "Show, cancel, delete and redrive a job", Example: jobsExamples,
		Long: "Works on one job: ID is what enqueue printed, or the id of your own that you gave it."})
	parent.AddCommand(
		c.newShow(),
		c.newVerb("cancel", "End a job that is ready, scheduled or running", cancel),
		c.newVerb("delete", "Forget a job that does not run, with its history and result", remove),
		c.newVerb("redrive", "Make a dead job ready again with all its attempts", redrive),
	)
	return parent
}

// jobAnswer is what a verb prints as JSON.
type jobAnswer struct {
	ID    string `json:"id"`
	Queue string `json:"queue"`
	State string `json:"state"`
}

// newVerb is `worker jobs cancel` and its like. do answers the job's new state and what to say.
func (c *command) newVerb(verb, short string, do func(ctx context.Context, client *queue.Client, name, id string) (state, text string, err error)) *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use: verb + " QUEUE ID", Short: short, Args: arguments("QUEUE", "ID"), ValidArgsFunction: c.completeFirst,
		Example: "  worker jobs " + verb + " default 0197c1f0-5a3e-7cc3-98c4-dc0c0c07398f",
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.with(cmd, func(ctx context.Context, client *queue.Client) error {
			state, text, err := do(ctx, client, args[0], args[1])
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), jobAnswer{ID: args[1], Queue: args[0], State: state})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", args[1], text)
			return err
		})
	}
	return cmd
}

func cancel(ctx context.Context, client *queue.Client, name, id string) (state, text string, err error) {
	s, err := client.Cancel(ctx, name, id)
	if text = "is cancelled"; s == queue.Running {
		text = "runs: its handler is told to end"
	}
	return string(s), text, err
}

func remove(ctx context.Context, client *queue.Client, name, id string) (state, text string, err error) {
	return "deleted", "is deleted", client.Delete(ctx, name, id)
}

func redrive(ctx context.Context, client *queue.Client, name, id string) (state, text string, err error) {
	return string(queue.Ready), "is ready again", client.Redrive(ctx, name, id)
}

// arguments wants exactly the arguments named, none of them empty.
func arguments(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != len(names) {
			return cli.Usagef("want %s, got %d arguments", strings.Join(names, " and "), len(args))
		}
		for i, arg := range args {
			if arg == "" {
				return cli.Usagef("%s is given and empty", names[i])
			}
		}
		return nil
	}
}
