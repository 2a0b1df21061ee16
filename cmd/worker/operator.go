package main

import (
	"context"
	"encoding/json"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/queue"
)

// with connects, runs an operator's command, and gives its error an exit code.
func (c *command) with(cmd *cobra.Command, do func(context.Context, *queue.Client) error) error {
	ctx, _, stop := cli.Interruptible(cmd.Context())
	defer stop()
	client, err := c.open(ctx, queue.Config{Logger: cli.Warnings(cmd.ErrOrStderr(), cmd.CommandPath())})
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	return c.explain(do(ctx, client))
}

func printJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// completeWithin bounds how long a shell waits for names.
const completeWithin = 500 * time.Millisecond

// completeQueues offers the names of queues that Redis knows; without Redis it offers none.
func (c *command) completeQueues(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completeWithin)
	defer cancel()
	client, err := c.connection.Open(ctx, queue.Config{})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer func() { _ = client.Close() }()
	names, _ := client.Queues(ctx)
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeFirst is completeQueues for the first argument.
func (c *command) completeFirst(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.completeQueues(cmd, args, typed)
}
