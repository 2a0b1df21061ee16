package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/queue"
)

// pauseCommand is `worker queues pause` or resume.
type pauseCommand struct {
	*command
	verb, done string
	do         func(*queue.Client, context.Context, string) (bool, error)
	all, json  bool
}

func (c *command) newPause(verb, short, done string, do func(*queue.Client, context.Context, string) (bool, error)) *cobra.Command {
	p := &pauseCommand{command: c, verb: verb, done: done, do: do}
	cmd := &cobra.Command{
		Use: verb + " [QUEUE... | --all]", Short: short, ValidArgsFunction: c.completeQueues, RunE: p.run,
		Example: "  worker queues " + verb + " default\n  worker queues " + verb + " --all",
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case p.all && len(args) > 0:
				return cli.Usagef("give QUEUE or --all, not both")
			case !p.all && len(args) == 0:
				return cli.Usagef("want QUEUE, got 0 arguments; --all for every queue")
			}
			return noneEmpty(args)
		},
	}
	cmd.Flags().BoolVar(&p.all, "all", false, "every queue that has been used")
	cmd.Flags().BoolVar(&p.json, "json", false, "print one JSON object a line")
	return cmd
}

func (p *pauseCommand) run(cmd *cobra.Command, args []string) error {
	return p.with(cmd, func(ctx context.Context, client *queue.Client) error {
		all, err := client.Queues(ctx) // before: pausing a queue makes it known
		if err != nil {
			return err
		}
		if p.all {
			args = all
		}
		for _, name := range args {
			if err := p.one(ctx, cmd, client, name, all); err != nil {
				return err
			}
		}
		return nil
	})
}

func (p *pauseCommand) one(ctx context.Context, cmd *cobra.Command, client *queue.Client, name string, all []string) error {
	changed, err := p.do(client, ctx, name)
	if err != nil {
		return err
	}
	// It may be meant for a queue to come, or be misspelled.
	if !slices.Contains(all, name) {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: note: %v\n", cmd.CommandPath(), unknownQueue(name, all))
	}
	out := cmd.OutOrStdout()
	switch {
	case p.json:
		return printJSON(out, struct {
			Queue   string `json:"queue"`
			Paused  bool   `json:"paused"`
			Changed bool   `json:"changed"`
		}{name, p.verb == "pause", changed})
	case changed:
		_, err = fmt.Fprintf(out, "%s %s\n", p.done, name)
	case p.verb == "pause":
		_, err = fmt.Fprintf(out, "%s was paused already\n", name)
	default:
		_, err = fmt.Fprintf(out, "%s was not paused\n", name)
	}
	return err
}
