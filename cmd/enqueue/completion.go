package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/pubsub"
	"github.com/tidemill/tidemill/queue"
)

// completeWithin bounds how long a shell waits for names.
const completeWithin = 500 * time.Millisecond

// complete offers what flags may say.
func (c *command) complete(cmd *cobra.Command) {
	some := func(flag string, words ...cobra.Completion) {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	}
	_ = cmd.RegisterFlagCompletionFunc("queue", c.completeQueues)
	some("ids", idsContent+"\tthe same line is the same job")
	some("when-full", whenFullReject+"\tgo on with the next line", whenFullWait+"\tuntil there is room")
	some("priority", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
	for _, flag := range []string{"from-line", "id", "in", "at", "max-attempts", "timeout", "deadline", "expire-in", "expire-at", "retain", "meta",
		"max-payload", "redis", "namespace", "wait"} {
		some(flag)
	}
}

// completeArgs offers the kinds that `worker dev` serves; the others are known to nobody but their workers.
func completeArgs(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return []cobra.Completion{"log\twrites its args", "noop\tdoes nothing", "sleep\ttakes a while", "fail\tfails a few times"},
		cobra.ShellCompDirectiveNoFileComp
}

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

// completeTopic offers the durable topics; the live ones are known to nobody but their subscribers.
func (p *publish) completeTopic(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completeWithin)
	defer cancel()
	client, err := p.connection.OpenTopics(ctx, pubsub.Config{})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer func() { _ = client.Close() }()
	names, _ := client.Streams().List(ctx)
	return names, cobra.ShellCompDirectiveNoFileComp
}
