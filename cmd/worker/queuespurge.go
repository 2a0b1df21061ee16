package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/queue"
)

const purgeHelp = `Forgets every job of one state, with history and results. It asks first, unless --yes is given. When
it is interrupted, the same command does the rest. For some of them only: worker jobs delete.`

const purgeExamples = `  worker queues purge default --state dead --dry-run
  worker queues purge default --state finished --yes`

// purgeable are the states that can be purged; ready ones include the suspect.
var purgeable = []queue.State{queue.Ready, queue.Scheduled, queue.DeadState, queue.Finished}

// purgeAnswer is what a purge has done, as JSON.
type purgeAnswer struct {
	Queue   string      `json:"queue"`
	State   queue.State `json:"state"`
	DryRun  bool        `json:"dry_run"`
	Matched int64       `json:"matched"`
	Deleted int64       `json:"deleted"`
}

// purgeCommand is `worker queues purge`.
type purgeCommand struct {
	*command
	consent consent
	state   string
	json    bool
}

func (c *command) newPurge() *cobra.Command {
	p := &purgeCommand{command: c}
	cmd := &cobra.Command{
		Use: "purge QUEUE --state STATE", Short: "Forget every job of one state", Long: purgeHelp, Example: purgeExamples,
		Args: arguments("QUEUE"), ValidArgsFunction: c.completeFirst, RunE: p.run,
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&p.state, "state", "", "the `state`: "+joinStates(purgeable))
	p.consent.addFlags(cmd)
	cmd.Flags().BoolVar(&p.json, "json", false, "print one JSON object")
	_ = cmd.RegisterFlagCompletionFunc("state", completeStates(purgeable))
	return cmd
}

func (p *purgeCommand) run(cmd *cobra.Command, args []string) error {
	state := queue.State(p.state)
	switch {
	case p.state == "":
		return cli.Usagef("--state is needed; allowed: %s", joinStates(purgeable))
	case !slices.Contains(purgeable, state):
		if slices.Contains(deleteVerb.allowed, state) {
			return cli.Usagef("%w; for these alone: worker jobs delete %s --state %s", badState(p.state, purgeable), shellQuote(args[0]), state)
		}
		return badState(p.state, purgeable)
	}
	if err := p.consent.check(cmd); err != nil {
		return err
	}
	return p.withQueue(cmd, args[0], func(ctx context.Context, client *queue.Client) error {
		n, err := client.Counts(ctx, args[0])
		if err != nil {
			return err
		}
		of := []queue.State{state}
		if state == queue.Ready {
			of = append(of, queue.Suspect)
		}
		answer := &purgeAnswer{Queue: args[0], State: state, DryRun: p.consent.dryRun, Matched: inStates(n, of)}
		if p.consent.dryRun {
			return p.say(cmd, answer)
		}
		question := fmt.Sprintf("Forget %s of queue %s that are %s?", amount(answer.Matched, "job"), args[0], state)
		if answer.Matched > 0 {
			if err := p.consent.ask(ctx, cmd, question); err != nil {
				return err
			}
		}
		bar := newBulkBar(cmd.ErrOrStderr())
		answer.Deleted, err = client.Purge(ctx, args[0], state, func(done int64) { bar.show(done, answer.Matched, done) })
		bar.end()
		if err != nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s were forgotten; the same command forgets the rest\n", amount(answer.Deleted, "job"))
			return err
		}
		return p.say(cmd, answer)
	})
}

func (p *purgeCommand) say(cmd *cobra.Command, a *purgeAnswer) error {
	if p.json {
		return printJSON(cmd.OutOrStdout(), a)
	}
	text := amount(a.Deleted, "job") + " forgotten"
	if a.DryRun {
		text = amount(a.Matched, "job") + " would be forgotten"
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), text)
	return err
}

// inStates is how many jobs a queue has in some of the states that it counts.
func inStates(n queue.Counts, of []queue.State) (sum int64) {
	for _, state := range of {
		sum += map[queue.State]int64{queue.Ready: n.Ready - n.Suspect, queue.Suspect: n.Suspect, queue.Scheduled: n.Scheduled,
			queue.Running: n.Running, queue.DeadState: n.Dead, queue.Finished: n.Finished}[state]
	}
	return sum
}

// newDeleteQueue is `worker queues delete`.
func (c *command) newDeleteQueue() *cobra.Command {
	agreed := &consent{}
	asJSON := false
	cmd := &cobra.Command{
		Use: "delete QUEUE", Short: "Remove a queue that holds no job and that no worker serves", ValidArgsFunction: c.completeFirst,
		Long: "Removes a queue that holds no job and that no worker serves, with its counters. Purge it first. A queue comes\n" +
			"back by itself when a job is put into it.",
		Example: "  worker queues delete old-reports\n  worker queues delete old-reports --yes", Args: arguments("QUEUE"),
	}
	cmd.Flags().BoolVarP(&agreed.yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := agreed.check(cmd); err != nil {
			return err
		}
		return c.withQueue(cmd, args[0], func(ctx context.Context, client *queue.Client) error {
			if err := agreed.ask(ctx, cmd, "Delete queue "+args[0]+" with its counters?"); err != nil {
				return err
			}
			if err := client.DeleteQueue(ctx, args[0]); err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), struct {
					Queue   string `json:"queue"`
					Deleted bool   `json:"deleted"`
				}{args[0], true})
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "deleted queue %s\n", args[0])
			return err
		})
	}
	return cmd
}
