package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/queue"
)

const jobsHelp = `Shows and steers jobs. ID is what enqueue printed, or the id of your own that you gave the job.
cancel, delete and redrive take several IDs, - for one a line from stdin, or filters instead.`

const jobsExamples = `  worker jobs list default --state dead --since 2h
  worker jobs show default 0197c1f0-5a3e-7cc3-98c4-dc0c0c07398f
  worker jobs errors default
  worker jobs redrive default --error "connection refused" --dry-run
  worker jobs edit default report-2027-01-31 --in 1h`

func (c *command) newJobs() *cobra.Command {
	parent := group(&cobra.Command{Use: "jobs", Short: "List, show, steer, edit and watch jobs", Example: jobsExamples, Long: jobsHelp})
	parent.AddCommand(c.newList(), c.newShow(), c.newErrors(), c.newWatch(), c.newEdit(),
		c.newVerb(cancelVerb), c.newVerb(deleteVerb), c.newVerb(redriveVerb))
	return parent
}

// verb is what can be done to many jobs.
type verb struct {
	name, short, help string
	suggestFor        []string // what others call it
	examples          string
	// allowed are the states whose jobs a filter may choose; the otherwise ones are meant without --state, none = it must
	// be given.
	allowed, otherwise []queue.State
	usual              queue.State // for examples
	// done is what has become of the jobs, "cancelled".
	done string
	one  func(ctx context.Context, client *queue.Client, name, id string) (state, text string, err error)
	many func(client *queue.Client, ctx context.Context, name string, b queue.Bulk) (queue.BulkResult, error)
}

var (
	cancelVerb = &verb{
		name: "cancel", short: "End jobs that are ready, scheduled or running",
		suggestFor: []string{"stop", "kill", "abort"},
		help: "A ready or scheduled job ends at once. The handler of a running one is told to end: its context\n" +
			"ends, and the job is cancelled when it returns an error. A job that was enqueued without --retain\n" +
			"leaves nothing behind when it is cancelled.",
		examples: "  worker jobs cancel default --state ready,scheduled --kind \"mail.*\" --dry-run",
		allowed:  []queue.State{queue.Running, queue.Suspect, queue.Ready, queue.Scheduled}, usual: queue.Scheduled, done: "cancelled",
		one: cancel, many: (*queue.Client).CancelMany,
	}
	deleteVerb = &verb{
		name: "delete", suggestFor: []string{"remove", "rm", "purge"}, short: "Forget jobs that do not run, with their history and results",
		examples: "  worker jobs delete default --state dead --until 30d",
		allowed: []queue.State{queue.Suspect, queue.Ready, queue.Scheduled, queue.DeadState, queue.Finished, queue.Succeeded, queue.Cancelled,
			queue.Expired}, usual: queue.DeadState, done: "deleted",
		one: remove, many: (*queue.Client).DeleteMany,
	}
	redriveVerb = &verb{
		name: "redrive", suggestFor: []string{"retry", "rerun", "requeue", "restart"}, short: "Make dead jobs ready again with all their attempts",
		examples: "  worker jobs redrive default --error \"connection refused\" --since 1d",
		allowed:  []queue.State{queue.DeadState}, otherwise: []queue.State{queue.DeadState}, usual: queue.DeadState, done: "made ready again",
		one: redrive, many: (*queue.Client).RedriveMany,
	}
)

// verbCommand is `worker jobs cancel` and its like.
type verbCommand struct {
	*command
	*verb
	filter  jobFilter
	consent consent
	limit   int
	json    bool
}

const verbHelp = `

Give IDs, or - for one a line from stdin, or filters. By filter it counts first and asks, unless
--yes is given; --dry-run counts only, and says of each ID what would become of it. A job that
changes meanwhile is left alone and counted as skipped. When it is interrupted it prints the
command that goes on where it was.
Exit code 1 when something could not be done for one of the IDs.
`

func (c *command) newVerb(v *verb) *cobra.Command {
	b := &verbCommand{command: c, verb: v}
	long := v.short + "."
	if v.help != "" {
		long += "\n\n" + v.help
	}
	cmd := &cobra.Command{
		SuggestFor: v.suggestFor,
		Use:        v.name + " QUEUE [ID... | -]", Short: v.short, Long: long + verbHelp + b.filter.help(v.allowed),
		Args: b.checkArgs, ValidArgsFunction: c.completeJobs(v.allowed...), RunE: b.run,
		Example: "  worker jobs " + v.name + " default 0197c1f0-5a3e-7cc3-98c4-dc0c0c07398f\n" + v.examples,
	}
	cmd.Flags().SortFlags = false
	b.filter.addFlags(cmd, c, v.allowed)
	cmd.Flags().IntVar(&b.limit, "limit", 0, "stop after `n` jobs that match")
	b.consent.addFlags(cmd)
	if v != deleteVerb { // that a job was forgotten is no event of its life
		cmd.Flags().BoolVar(&c.tells, "lifecycle", false, "publish what becomes of the jobs to the topic jobs.QUEUE")
	}
	cmd.Flags().BoolVar(&b.json, "json", false, "print JSON: an object for each ID, or one with the counts")
	return cmd
}

func (b *verbCommand) checkArgs(cmd *cobra.Command, args []string) error {
	filtered := b.filter.given(cmd)
	switch {
	case len(args) == 0:
		return cli.Usagef("want QUEUE, and IDs or a filter")
	case len(args) == 1 && !filtered:
		return cli.Usagef("give IDs, - for ids from stdin, or a filter such as --state %s", b.usual)
	case len(args) > 1 && filtered:
		return cli.Usagef("give IDs or filters, not both")
	case len(args) > 1 && cmd.Flags().Changed("limit"):
		return cli.Usagef("--limit goes with filters")
	case b.limit < 0 || b.limit == 0 && cmd.Flags().Changed("limit"):
		return cli.Usagef("--limit %d: allowed: 1 or more", b.limit)
	}
	return checkIDs(args)
}

func (b *verbCommand) run(cmd *cobra.Command, args []string) error {
	if len(args) == 1 {
		return b.runMany(cmd, args[0])
	}
	return b.withQueue(cmd, args[0], func(ctx context.Context, client *queue.Client) error {
		do, ended := b.do, false
		if b.consent.dryRun {
			do = b.would
		}
		err := eachID(ctx, cmd, args[1:], func(id string) error {
			state, err := do(ctx, cmd, client, args[0], id)
			ended = ended || err == nil && state == string(queue.Cancelled)
			return err
		})
		if ended && !b.consent.dryRun {
			b.remarkGone(cmd)
		}
		return err
	})
}

// remarkGone tells why a cancelled job may not be found any more.
func (b *verbCommand) remarkGone(cmd *cobra.Command) {
	if b.verb == cancelVerb && !b.json {
		fmt.Fprintln(cmd.ErrOrStderr(), "cancelled jobs without --retain leave nothing behind")
	}
}

// jobAnswer is what a verb prints as JSON.
type jobAnswer struct {
	ID     string `json:"id"`
	Queue  string `json:"queue"`
	State  string `json:"state"` // after it; with DryRun: now
	DryRun bool   `json:"dry_run,omitempty"`
}

// do does it to one job and answers the state that it is in then.
func (b *verbCommand) do(ctx context.Context, cmd *cobra.Command, client *queue.Client, name, id string) (state string, err error) {
	state, text, err := b.one(ctx, client, name, id)
	if err != nil {
		return "", err
	}
	return state, b.answer(cmd, jobAnswer{ID: id, Queue: name, State: state}, text)
}

// would tells what do would do, and answers the state that the job is in.
func (b *verbCommand) would(ctx context.Context, cmd *cobra.Command, client *queue.Client, name, id string) (state string, err error) {
	s, err := client.Get(ctx, name, id)
	if err != nil {
		return "", err
	}
	text := "would be " + b.done
	switch {
	case !slices.Contains(b.allowed, s.State):
		return "", fmt.Errorf("%s %s in queue %q: %w: it is %s", b.name, id, name, queue.ErrWrongState, s.State)
	case b.verb == cancelVerb && s.State == queue.Running:
		text = "runs: its handler would be told to end"
	}
	state = string(s.State)
	return state, b.answer(cmd, jobAnswer{ID: id, Queue: name, State: state, DryRun: true}, text)
}

func (b *verbCommand) answer(cmd *cobra.Command, a jobAnswer, text string) error {
	if b.json {
		return printJSON(cmd.OutOrStdout(), a)
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", cli.Clean(a.ID), text)
	return err
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
