package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/queue"
)

func (c *command) newQueues() *cobra.Command {
	parent := group(&cobra.Command{Use: "queues", Short: "Pause and resume queues", Example: "  worker queues pause default\n  worker queues resume default"})
	parent.AddCommand(
		c.newPause("pause", "Stop taking jobs from a queue; what runs goes on", "paused", (*queue.Client).Pause),
		c.newPause("resume", "Undo pause", "resumed", (*queue.Client).Resume),
	)
	return parent
}

// newPause is `worker queues pause` or resume.
func (c *command) newPause(verb, short, done string, do func(*queue.Client, context.Context, string) (bool, error)) *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use: verb + " QUEUE", Short: short, Args: arguments("QUEUE"), ValidArgsFunction: c.completeFirst,
		Example: "  worker queues " + verb + " default",
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.with(cmd, func(ctx context.Context, client *queue.Client) error {
			name := args[0]
			all, listErr := client.Queues(ctx) // before: pausing a queue makes it known
			changed, err := do(client, ctx, name)
			if err != nil {
				return err
			}
			// It may be meant for a queue to come, or be misspelled.
			if listErr == nil && !slices.Contains(all, name) {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s: note: %v\n", cmd.CommandPath(), unknownQueue(name, all))
			}
			out := cmd.OutOrStdout()
			switch {
			case asJSON:
				return printJSON(out, struct {
					Queue   string `json:"queue"`
					Paused  bool   `json:"paused"`
					Changed bool   `json:"changed"`
				}{name, verb == "pause", changed})
			case changed:
				_, err = fmt.Fprintf(out, "%s %s\n", done, name)
			case verb == "pause":
				_, err = fmt.Fprintf(out, "%s was paused already\n", name)
			default:
				_, err = fmt.Fprintf(out, "%s was not paused\n", name)
			}
			return err
		})
	}
	return cmd
}
