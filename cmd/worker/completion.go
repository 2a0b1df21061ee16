package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/queue"
)

// completeWithin bounds how long a shell waits for names.
const completeWithin = 500 * time.Millisecond

// Jobs offered of each state, and jobs whose kinds are.
const (
	idsOffered   = 20
	kindsOffered = 100
)

type completer = func(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective)

// ask makes a completer of a question to Redis. Without an answer in time it offers nothing.
func (c *command) ask(question func(ctx context.Context, client *queue.Client, args []string) []cobra.Completion) completer {
	return askWithin(func(ctx context.Context, args []string) []cobra.Completion {
		client, err := c.connection.Open(ctx, queue.Config{})
		if err != nil {
			return nil
		}
		defer func() { _ = client.Close() }()
		return question(ctx, client, args)
	})
}

// askWithin bounds how long a completer may take.
func askWithin(question func(ctx context.Context, args []string) []cobra.Completion) completer {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), completeWithin)
		defer cancel()
		answer := make(chan []cobra.Completion, 1)
		go func() { answer <- question(ctx, args) }()
		select {
		case found := <-answer:
			return found, cobra.ShellCompDirectiveNoFileComp
		case <-ctx.Done():
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
	}
}

func nothing() ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// completeQueues offers the names of queues.
func (c *command) completeQueues(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return c.ask(func(ctx context.Context, client *queue.Client, _ []string) []cobra.Completion {
		names, _ := client.Queues(ctx)
		return names
	})(cmd, args, typed)
}

// completeFirst is completeQueues for the first argument.
func (c *command) completeFirst(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nothing()
	}
	return c.completeQueues(cmd, args, typed)
}

// completeJobs offers queues first, and then the first jobs of the states given.
func (c *command) completeJobs(of ...queue.State) completer {
	jobs := c.ask(func(ctx context.Context, client *queue.Client, args []string) (found []cobra.Completion) {
		for _, state := range of {
			for s, err := range client.List(ctx, args[0], queue.ListOptions{State: state, Limit: idsOffered}) {
				if err != nil {
					return found
				}
				id := s.Key
				if id == "" || id != cli.Clean(id) {
					id = s.ID.String()
				}
				found = append(found, cobra.CompletionWithDesc(id, cli.Clean(string(s.State)+" "+s.Kind)))
			}
		}
		return found
	})
	return func(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return c.completeQueues(cmd, args, typed)
		}
		return jobs(cmd, args, typed)
	}
}

// completeKinds offers the kinds that workers serve, and those of the first jobs of the queue that is typed already.
func (c *command) completeKinds(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return c.ask(func(ctx context.Context, client *queue.Client, args []string) (found []cobra.Completion) {
		seen := make(map[string]bool)
		add := func(kind string) {
			if !seen[kind] && kind == cli.Clean(kind) {
				seen[kind] = true
				found = append(found, kind)
			}
		}
		list, _ := client.Workers(ctx)
		for _, w := range list {
			for _, kind := range w.Kinds {
				add(kind)
			}
		}
		if len(args) == 0 {
			return found
		}
		for _, state := range everyState {
			for s, err := range client.List(ctx, args[0], queue.ListOptions{State: state, Limit: kindsOffered}) {
				if err != nil {
					return found
				}
				add(s.Kind)
			}
		}
		return found
	})(cmd, args, typed)
}

// completeWorkers offers the instances of workers.
func (c *command) completeWorkers(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return c.ask(func(ctx context.Context, client *queue.Client, _ []string) (found []cobra.Completion) {
		list, _ := client.Workers(ctx)
		for i, short := range shortInstances(list) {
			found = append(found, cobra.CompletionWithDesc(short, cli.Clean(list[i].Host)+" "+workerState(&list[i])))
		}
		return found
	})(cmd, args, typed)
}

// completeLevels offers the instances of workers and the levels of a log.
func (c *command) completeLevels(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	found, directive := c.completeWorkers(cmd, args, typed)
	for _, level := range queue.LogLevels() {
		found = append(found, cobra.Completion(level))
	}
	return found, directive
}

// completeStates offers states.
func completeStates(of []queue.State) completer {
	words := make([]cobra.Completion, len(of))
	for i, s := range of {
		words[i] = string(s)
	}
	return cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)
}
