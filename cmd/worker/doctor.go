package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/internal/conn"
	"github.com/tidemill/tidemill/internal/doctor"
)

const doctorHelp = `Checks the server (version, eviction policy, persistence, memory, latency, clock, replicas, big
keys) and every structure of every queue, while workers and producers go on, and says in words what
it found. Nothing is held up: it reads small pages. What it cannot look at is "not checked", with
the reason.

With --repair it shows what it would do, asks, does it, and checks again. No repair loses a job, and
none does anything where the defect is gone by then. docs/doctor.md has every check and repair.

Exit codes: 0 no problem (warnings and notes allowed); 1 there are problems, after a repair: still;
2 usage; 69 Redis is unreachable.`

const doctorExamples = `  worker doctor
  worker doctor --queue default --json
  worker doctor --repair --dry-run
  worker doctor --repair --yes`

// doctorCommand is `worker doctor`.
type doctorCommand struct {
	*command
	consent consent
	repair  bool
	json    bool
	names   []string
}

func (c *command) newDoctor() *cobra.Command {
	d := &doctorCommand{command: c}
	cmd := &cobra.Command{
		Use: "doctor", Short: "Check the server and every queue, and mend what is broken", Long: doctorHelp, Example: doctorExamples,
		Args: queuesByFlag, RunE: d.run,
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringArrayVar(&d.names, "queue", nil, "only the queue of this `name`; repeatable")
	flags.BoolVar(&d.repair, "repair", false, "mend what is found, after showing it")
	d.consent.addFlags(cmd)
	flags.BoolVar(&d.json, "json", false, "print one JSON object")
	_ = cmd.RegisterFlagCompletionFunc("queue", c.completeQueues)
	return cmd
}

// doctorAnswer is what was found and done, as JSON: the last report, and after a repair what was found before it.
type doctorAnswer struct {
	*doctor.Report
	DryRun bool             `json:"dry_run,omitempty"`
	Before []doctor.Finding `json:"before,omitempty"`
	Done   []doctor.Repair  `json:"repairs,omitempty"`
}

func (d *doctorCommand) run(cmd *cobra.Command, _ []string) error {
	switch {
	case !d.repair && d.consent.dryRun:
		return cli.Usagef("--dry-run goes with --repair; without that nothing is changed anyway")
	case !d.repair && d.consent.yes:
		return cli.Usagef("--yes goes with --repair")
	}
	if err := noneEmpty(d.names); err != nil {
		return cli.Usagef("--queue is given and empty")
	}
	if d.repair {
		if err := d.consent.check(cmd); err != nil {
			return err
		}
	}
	soft, _, stop := cli.Interruptible(cmd.Context())
	defer stop()
	set, space, err := d.connection.OpenUnjudged(soft)
	if err != nil {
		return unreachable(err)
	}
	defer func() { _ = set.Close() }()
	bar := newBulkBar(cmd.ErrOrStderr())
	doc := doctor.New(set, space, doctor.Options{Queues: d.names, Progress: func(p doctor.Progress) {
		if p.Queue == "" {
			bar.draw(p.Done, p.Done, "keys")
		} else {
			bar.draw(p.Done, p.Of, cli.Clean(p.Queue))
		}
	}})
	err = d.visit(soft, cmd, doc, bar)
	bar.end()
	if cause := context.Cause(soft); cause != nil {
		return cause
	}
	return d.said(err)
}

// said gives errors of the doctor their words and exit codes.
func (d *doctorCommand) said(err error) error {
	var unknown *doctor.UnknownQueueError
	switch {
	case errors.As(err, &unknown):
		return unknownQueue(unknown.Name, unknown.All)
	case err != nil && conn.Retryable(err):
		url, from := d.connection.URL()
		return unreachable(&cli.Unreachable{Addr: cli.Address(url), From: from, Err: conn.Classify(err)})
	}
	return err
}

// unreachable gives an error of connecting its exit code.
func unreachable(err error) error {
	var away *cli.Unreachable
	if errors.As(err, &away) {
		return &cli.Exit{Code: codeUnreachable, Err: err}
	}
	return err
}

// visit examines, and mends where that is wanted.
func (d *doctorCommand) visit(ctx context.Context, cmd *cobra.Command, doc *doctor.Doctor, bar *bulkBar) error {
	found, err := doc.Examine(ctx)
	bar.end()
	if err != nil {
		return err
	}
	answer := &doctorAnswer{Report: found, DryRun: d.repair && d.consent.dryRun}
	out := cmd.OutOrStdout()
	if d.json { // what is asked about is shown all the same
		out = cmd.ErrOrStderr()
	}
	if !d.json || d.repair && !d.consent.yes && !d.consent.dryRun {
		if err := printReport(out, found, d.repair); err != nil {
			return err
		}
	}
	if d.repair && !d.consent.dryRun && found.Repairable() > 0 {
		if err := d.mend(ctx, cmd, doc, bar, answer); err != nil {
			return err
		}
	}
	if answer.DryRun && !d.json && found.Repairable() > 0 {
		fmt.Fprintln(out, "A dry run: nothing was changed.")
	}
	if d.json {
		err = printJSON(cmd.OutOrStdout(), answer)
	}
	if err == nil && answer.Result == doctor.Problem {
		err = &cli.Exit{Code: cli.CodeFailure}
	}
	return err
}

// mend asks, mends and looks again.
func (d *doctorCommand) mend(ctx context.Context, cmd *cobra.Command, doc *doctor.Doctor, bar *bulkBar, answer *doctorAnswer) error {
	if err := d.consent.ask(ctx, cmd, fmt.Sprintf("Mend %s?", amount(int64(answer.Repairable()), "finding"))); err != nil {
		return err
	}
	done, err := doc.Repair(ctx, answer.Report)
	bar.end()
	if !d.json {
		printRepairs(cmd.OutOrStdout(), done)
	}
	if err != nil {
		return err
	}
	after, err := doc.Examine(ctx)
	bar.end()
	if err != nil {
		return err
	}
	answer.Before, answer.Done, answer.Report = answer.Findings, done, after
	if d.json {
		return nil
	}
	fmt.Fprint(cmd.OutOrStdout(), "\nChecked again.\n\n")
	return printReport(cmd.OutOrStdout(), after, false)
}

func printRepairs(w io.Writer, done []doctor.Repair) {
	for _, one := range done {
		where := ""
		if one.Queue != "" {
			where = "queue " + cli.Clean(one.Queue) + ": "
		}
		left := ""
		if one.Left > 0 {
			left = fmt.Sprintf(", gone or moved meanwhile and left alone: %d", one.Left)
		}
		fmt.Fprintf(w, "%s%s: mended %d%s\n", where, one.Text, one.Mended, left)
	}
}
