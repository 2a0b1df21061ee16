package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
)

// consent is the flags of a command that takes something away.
type consent struct{ yes, dryRun bool }

func (c *consent) addFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&c.dryRun, "dry-run", false, "only tell what would be done")
	cmd.Flags().BoolVarP(&c.yes, "yes", "y", false, "do not ask")
}

// check is an error of usage where a question could not be asked. It is for before anything else is done.
func (c *consent) check(cmd *cobra.Command) error {
	if c.yes || c.dryRun || cli.IsTerminal(cmd.InOrStdin()) {
		return nil
	}
	const fault = "stdin is no terminal, so nobody can be asked: give --yes"
	if cmd.Flags().Lookup("dry-run") != nil {
		return cli.Usagef(fault + ", or --dry-run to see what it would do")
	}
	return cli.Usagef(fault)
}

// errDeclined ends a command whose question was answered with no.
var errDeclined = &cli.Exit{Code: cli.CodeFailure, Err: fmt.Errorf("nothing was done")}

// ask wants a yes, unless the flag said so.
func (c *consent) ask(ctx context.Context, cmd *cobra.Command, question string) error {
	if c.yes {
		return nil
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s [y/N] ", question)
	answer := make(chan string, 1)
	go func() { // left behind when the command is interrupted: a read of a terminal cannot be ended
		line, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
		if err != nil { // no Enter was typed that ends the line on the screen
			fmt.Fprintln(cmd.ErrOrStderr())
		}
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(cmd.ErrOrStderr())
		return context.Cause(ctx)
	case text := <-answer:
		if text == "y" || text == "yes" {
			return nil
		}
		return errDeclined
	}
}
