package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/pubsub"
	"github.com/tidemill/tidemill/queue"
)

// codeTimeout is the exit code when what was waited for did not come about in time, as of timeout(1).
const codeTimeout = 124

// with connects, runs an operator's command, and gives its error an exit code.
func (c *command) with(cmd *cobra.Command, do func(context.Context, *queue.Client) error) error {
	return untilSignal(cmd, func(ctx context.Context) error { return c.connected(ctx, cmd, do) })
}

// untilSignal runs a command that the first signal asks to end; the second one does not wait for that.
func untilSignal(cmd *cobra.Command, do func(context.Context) error) error {
	soft, hard, stop := cli.Interruptible(cmd.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- do(soft) }()
	select {
	case <-hard.Done():
		return context.Cause(hard)
	case err := <-ended:
		// Whoever ends a command is told so, not what the end looked like from the inside.
		away := errors.Is(err, queue.ErrUnavailable) || errors.Is(err, pubsub.ErrUnavailable)
		if cause := context.Cause(soft); cause != nil && (errors.Is(err, context.Canceled) || away) {
			return cause
		}
		return err
	}
}

func (c *command) connected(ctx context.Context, cmd *cobra.Command, do func(context.Context, *queue.Client) error) error {
	client, err := c.open(ctx, queue.Config{Lifecycle: c.lifecycle(), Logger: cli.Warnings(cmd.ErrOrStderr(), cmd.CommandPath())})
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	return c.explain(do(ctx, client))
}

// lifecycle names the queues whose jobs' lives an operator's command tells.
func (c *command) lifecycle() []string {
	if c.tells {
		return []string{"*"}
	}
	return nil
}

// withQueue is with for a command on a queue, which must have been used: a misspelled one has no jobs, and that would
// look like an answer.
func (c *command) withQueue(cmd *cobra.Command, name string, do func(context.Context, *queue.Client) error) error {
	return c.with(cmd, func(ctx context.Context, client *queue.Client) error {
		all, err := client.Queues(ctx)
		if err != nil {
			return err
		}
		if !slices.Contains(all, name) {
			return unknownQueue(name, all)
		}
		return do(ctx, client)
	})
}

// mostNames is how many names an error lists.
const mostNames = 20

func unknownQueue(name string, all []string) error {
	text := fmt.Sprintf("no queue %q has been used yet", name)
	if near := cli.Nearest(name, all); near != "" {
		text += fmt.Sprintf(" (did you mean %s?)", near)
	}
	if len(all) > 0 {
		text += "; there are " + listed(all)
	}
	return errors.New(text)
}

// listed is a list of names for people, the first ones of many.
func listed(names []string) string {
	if len(names) > mostNames {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:mostNames], ", "), len(names)-mostNames)
	}
	return strings.Join(names, ", ")
}

func printJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// arguments wants exactly the arguments named, none of them empty.
func arguments(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != len(names) {
			return cli.Usagef("want %s, got %d arguments", cmp.Or(strings.Join(names, " and "), "no arguments"), len(args))
		}
		return noneEmpty(args)
	}
}

// noneEmpty refuses empty arguments: most often they are shell variables that are not set.
func noneEmpty(args []string) error {
	for i, arg := range args {
		if arg == "" {
			return cli.Usagef("argument %d is given and empty", i+1)
		}
	}
	return nil
}

// amount is a number of things for people: "1 job", "1,234 jobs".
func amount(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return grouped(n) + " " + thing + "s"
}

// grouped writes a number in groups of three digits.
func grouped(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
