package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/queue"
)

// bulkAnswer is what became of the jobs that a filter chose, as JSON.
type bulkAnswer struct {
	Queue   string `json:"queue"`
	Verb    string `json:"verb"`
	DryRun  bool   `json:"dry_run"`
	Looked  int64  `json:"looked"`
	Matched int64  `json:"matched"`
	Done    int64  `json:"done"`
	Skipped int64  `json:"skipped"`
	// Where to go on: set when it did not come to its end.
	State  string `json:"state,omitempty"`
	Cursor string `json:"cursor,omitempty"`
}

func (a *bulkAnswer) add(r queue.BulkResult) {
	a.Looked, a.Matched, a.Done, a.Skipped = a.Looked+r.Looked, a.Matched+r.Matched, a.Done+r.Done, a.Skipped+r.Skipped
}

// runMany works on the jobs that the filters choose.
func (b *verbCommand) runMany(cmd *cobra.Command, name string) error {
	s, err := b.filter.selection(cmd, b.allowed, b.otherwise)
	if err != nil {
		return err
	}
	if len(s.states) == 0 {
		return cli.Usagef("--state is needed beside the other filters; allowed: %s", joinStates(b.allowed))
	}
	if err := b.consent.check(cmd); err != nil {
		return err
	}
	return b.withQueue(cmd, name, func(ctx context.Context, client *queue.Client) error {
		if b.consent.dryRun || !b.consent.yes {
			counted, _, err := b.goThrough(ctx, cmd, client, name, s, true)
			if err != nil || b.consent.dryRun {
				return keep(err, b.say(cmd, counted))
			}
			if counted.Matched == 0 {
				counted.DryRun = false // all of them were done
				return b.say(cmd, counted)
			}
			question := fmt.Sprintf("%s %s of queue %s?", capital(b.name), amount(counted.Matched, "job"), name)
			if err := b.consent.ask(ctx, cmd, question); err != nil {
				return err
			}
		}
		done, left, err := b.goThrough(ctx, cmd, client, name, s, false)
		if cause := context.Cause(ctx); cause != nil && err != nil {
			err = cause
		}
		if sayErr := b.say(cmd, done); sayErr != nil {
			return sayErr
		}
		if done.Done > 0 {
			b.remarkGone(cmd)
		}
		b.sayRest(cmd, s, done, left)
		return err
	})
}

// goThrough works on one state after another, or counts. Where it did not come to the end, left are the states to do.
func (b *verbCommand) goThrough(ctx context.Context, cmd *cobra.Command, client *queue.Client, name string, s *selection, dryRun bool) (all *bulkAnswer, left []queue.State, err error) {
	all = &bulkAnswer{Queue: name, Verb: b.name, DryRun: dryRun}
	bar := newBulkBar(cmd.ErrOrStderr())
	defer bar.end()
	for i, state := range s.states {
		before := *all
		bulk := queue.Bulk{ListOptions: s.in(state), DryRun: dryRun, Progress: func(p queue.BulkProgress) {
			bar.show(before.Looked+p.Looked, before.Looked+p.Of, before.Matched+p.Matched)
		}}
		if b.limit > 0 {
			bulk.Limit = b.limit - int(all.Matched)
		}
		r, err := b.many(client, ctx, name, bulk)
		all.add(r)
		if err != nil || r.Cursor != "" {
			all.State, all.Cursor = string(state), r.Cursor
			return all, s.states[i:], err
		}
		if b.limit > 0 && all.Matched == int64(b.limit) {
			return all, s.states[i+1:], nil
		}
	}
	return all, nil, nil
}

// say prints the counts.
func (b *verbCommand) say(cmd *cobra.Command, a *bulkAnswer) error {
	if b.json {
		return printJSON(cmd.OutOrStdout(), a)
	}
	if a.Matched == 0 && a.State == "" { // it has looked at all of them
		b.filter.remarkNone(cmd)
	}
	var err error
	switch {
	case a.DryRun:
		limit := ""
		if b.limit > 0 && a.Matched == int64(b.limit) {
			limit = " (the limit)"
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s%s would be %s\n", amount(a.Matched, "job"), limit, b.done)
	case a.Skipped > 0:
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s %s; %s had changed meanwhile and were left alone\n", amount(a.Done, "job"), b.done, grouped(a.Skipped))
	default:
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", amount(a.Done, "job"), b.done)
	}
	return err
}

// sayRest tells how to do what is left, after an interruption, an error or the limit. What is left of a limit holds on.
func (b *verbCommand) sayRest(cmd *cobra.Command, s *selection, a *bulkAnswer, left []queue.State) {
	if len(left) == 0 {
		return
	}
	text, or, limit := "the rest is done by:", "", []string(nil)
	if b.limit > 0 {
		more := b.limit - int(a.Matched)
		if text = "the rest, up to the limit, is done by:"; more <= 0 {
			text, more = "the next ones are done by:", b.limit
		}
		or, limit = "or, as far as those are too few:", []string{"--limit", strconv.Itoa(more)}
	}
	fmt.Fprintln(cmd.ErrOrStderr(), text)
	if a.Cursor != "" {
		b.again(cmd, a.Queue, s, left[:1], append(limit, "--cursor", a.Cursor)...)
		left = left[1:]
		if len(left) > 0 && or != "" {
			fmt.Fprintln(cmd.ErrOrStderr(), or)
		}
	}
	if len(left) > 0 {
		b.again(cmd, a.Queue, s, left, limit...)
	}
}

// again prints the command of the rest. It asks nothing: that was done.
func (b *verbCommand) again(cmd *cobra.Command, name string, s *selection, of []queue.State, add ...string) {
	fmt.Fprintln(cmd.ErrOrStderr(), "  "+s.commandLine(cmd, name, of, append(add, "--yes")...))
}

func capital(s string) string { return string(s[0]-'a'+'A') + s[1:] }

// barAfter is how long work must take before it is worth a bar.
const barAfter = 300 * time.Millisecond

// bulkBar shows on a terminal how far it is. A nil one shows nothing.
type bulkBar struct {
	w     io.Writer
	began time.Time
	bar   *progressbar.ProgressBar // nil until it is worth it
}

func newBulkBar(w io.Writer) *bulkBar {
	if !cli.IsTerminal(w) {
		return nil
	}
	return &bulkBar{w: w, began: time.Now()}
}

// show draws how many of about how many jobs were looked at, and how many of them match.
func (p *bulkBar) show(looked, of, matched int64) { p.draw(looked, of, grouped(matched)+" match") }

// draw draws how far it is, behind a text.
func (p *bulkBar) draw(looked, of int64, text string) {
	if p == nil || p.bar == nil && time.Since(p.began) < barAfter {
		return
	}
	of = max(of, looked+1) // the count is a guess, and it ends when the work does
	if p.bar == nil {
		p.bar = progressbar.NewOptions64(of, progressbar.OptionSetWriter(p.w), progressbar.OptionShowCount(), progressbar.OptionSetWidth(30),
			progressbar.OptionSetDescription(text), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	} else {
		p.bar.Describe(text)
	}
	if of != p.bar.GetMax64() {
		p.bar.ChangeMax64(of)
	}
	_ = p.bar.Set64(looked) // for people: its errors are nobody's business
}

func (p *bulkBar) end() {
	if p != nil && p.bar != nil {
		_ = p.bar.Exit()
		_ = p.bar.Clear()
	}
}
