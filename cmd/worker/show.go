package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sort"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/queue"
)

// jobView is a job as JSON, which scripts rely on. Args and results that are no JSON are in the fields *_base64.
type jobView struct {
	ID           string            `json:"id"`
	Key          string            `json:"key,omitempty"`
	Queue        string            `json:"queue"`
	Kind         string            `json:"kind"`
	State        queue.State       `json:"state"`
	Reason       string            `json:"reason,omitempty"`
	Corrupt      string            `json:"corrupt,omitempty"`
	Cancelling   bool              `json:"cancelling,omitempty"`
	Priority     int               `json:"priority"`
	Attempts     int               `json:"attempts"`
	MaxAttempts  int               `json:"max_attempts,omitempty"` // absent: its handler's limit holds
	Crashes      int               `json:"crashes"`
	CreatedAt    *time.Time        `json:"created_at,omitempty"`
	DueAt        *time.Time        `json:"due_at,omitempty"`
	StartedAt    *time.Time        `json:"started_at,omitempty"`
	EndedAt      *time.Time        `json:"ended_at,omitempty"`
	UnknownSince *time.Time        `json:"unknown_since,omitempty"` // since when no worker serves its kind
	KeptUntil    *time.Time        `json:"kept_until,omitempty"`
	Deadline     *time.Time        `json:"deadline,omitempty"`
	ExpiresAt    *time.Time        `json:"expires_at,omitempty"`
	Timeout      string            `json:"timeout,omitempty"`
	Retention    string            `json:"retain,omitempty"`
	Encoding     string            `json:"encoding,omitempty"`
	Meta         map[string]string `json:"meta,omitempty"`
	Args         json.RawMessage   `json:"args,omitempty"`
	ArgsBase64   []byte            `json:"args_base64,omitempty"`
	Result       json.RawMessage   `json:"result,omitempty"`
	ResultBase64 []byte            `json:"result_base64,omitempty"`
	Errors       []failureView     `json:"errors,omitempty"`
	Cursor       string            `json:"cursor,omitempty"` // in a listing: the place behind this job
}

type failureView struct {
	Attempt int        `json:"attempt"`
	At      *time.Time `json:"at,omitempty"`
	Error   string     `json:"error"`
	Stack   string     `json:"stack,omitempty"`
	Output  string     `json:"output,omitempty"`
}

func (c *command) newShow() *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use: "show QUEUE ID... | -", Short: "Show all there is to know of jobs", ValidArgsFunction: c.completeJobs(everyState...),
		Long: "Shows all there is to know of jobs: ID is what enqueue printed, or the id of your own. - is ids from stdin, one a line.\n" +
			"Exit code 1 when one is not there (any more).",
		Example: "  worker jobs show default 0197c1f0-5a3e-7cc3-98c4-dc0c0c07398f\n  worker jobs show default report-2027-01-31 --json",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 {
				return cli.Usagef("want QUEUE and ID, got %d arguments", len(args))
			}
			return checkIDs(args)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.withQueue(cmd, args[0], func(ctx context.Context, client *queue.Client) error {
			between := ""
			return eachID(ctx, cmd, args[1:], func(id string) error {
				s, err := client.Get(ctx, args[0], id)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), newJobView(s))
				}
				if _, err := io.WriteString(cmd.OutOrStdout(), between); err != nil {
					return err
				}
				between = "\n"
				return newJobView(s).print(cmd.OutOrStdout())
			})
		})
	}
	return cmd
}

func newJobView(s *queue.Snapshot) *jobView {
	v := &jobView{ID: s.ID.String(), Key: s.Key, Queue: s.Queue, Kind: s.Kind, State: s.State, Reason: s.Reason, Cancelling: s.Cancelling,
		Priority: s.Priority, Attempts: s.Attempts, MaxAttempts: s.MaxAttempts, Crashes: s.Crashes, CreatedAt: known(s.CreatedAt),
		DueAt: known(s.DueAt), StartedAt: known(s.StartedAt), EndedAt: known(s.EndedAt), UnknownSince: known(s.UnknownSince), KeptUntil: known(s.KeptUntil),
		Deadline: known(s.Deadline), ExpiresAt: known(s.ExpiresAt), Encoding: s.Encoding, Meta: s.Meta}
	if s.Corrupt != nil {
		v.Corrupt = s.Corrupt.Error()
	}
	if s.Timeout > 0 {
		v.Timeout = s.Timeout.String()
	}
	if s.Retention > 0 {
		v.Retention = s.Retention.String()
	}
	v.Args, v.ArgsBase64 = asJSONOrBytes(s.Payload)
	v.Result, v.ResultBase64 = asJSONOrBytes(s.Result)
	for _, f := range s.Errors {
		v.Errors = append(v.Errors, failureView{Attempt: f.Attempt, At: known(f.At), Error: f.Error, Stack: f.Stack, Output: f.Output})
	}
	return v
}

// known is a time in UTC, to the ms; nil for the zero one.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Millisecond)
	return &t
}

func asJSONOrBytes(b []byte) (json.RawMessage, []byte) {
	if json.Valid(b) && utf8.Valid(b) {
		return b, nil
	}
	return nil, b
}

// print is the job for people: what there is of it, a line each.
func (v *jobView) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, value string) {
		// Ids, reasons and the like may hold anything; a terminal must not obey it.
		if value != "" {
			fmt.Fprintf(t, "%s\t%s\n", name, cli.Clean(value))
		}
	}
	now := time.Now()
	at := func(name string, when *time.Time) {
		if when != nil {
			line(name, fmt.Sprintf("%s (%s)", when.Local().Format("2006-01-02 15:04:05.000 -0700"), cli.Ago(*when, now)))
		}
	}
	state := string(v.State)
	if v.Cancelling {
		state += " (told to end)"
	}
	line("id", v.ID)
	line("key", v.Key)
	line("queue", v.Queue)
	line("kind", v.Kind)
	line("state", state)
	if v.UnknownSince != nil {
		line("waits for", fmt.Sprintf("a worker that serves kind %q (none since %s)", v.Kind, cli.Ago(*v.UnknownSince, now)))
	}
	line("reason", v.Reason)
	line("corrupt", v.Corrupt)
	line("attempts", attemptsText(v.Attempts, v.MaxAttempts))
	if v.Crashes > 0 {
		line("crashes", fmt.Sprint(v.Crashes))
	}
	line("priority", fmt.Sprint(v.Priority))
	at("created", v.CreatedAt)
	at("due", v.DueAt)
	at("started", v.StartedAt)
	at("ended", v.EndedAt)
	at("kept until", v.KeptUntil)
	at("deadline", v.Deadline)
	at("expires", v.ExpiresAt)
	line("timeout", v.Timeout)
	line("retain", v.Retention)
	line("encoding", v.Encoding)
	line("meta", metaText(v.Meta))
	line("args", text(v.Args, v.ArgsBase64))
	line("result", text(v.Result, v.ResultBase64))
	for _, f := range v.Errors {
		when := ""
		if f.At != nil {
			when = " (" + cli.Ago(*f.At, now) + ")"
		}
		line(fmt.Sprintf("error %d", f.Attempt), f.Error+when)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return v.printLong(w)
}

// printLong prints what failed attempts left that is more than a line.
func (v *jobView) printLong(w io.Writer) error {
	for _, f := range v.Errors {
		if err := keep(printLines(w, "stack", f.Attempt, f.Stack), printLines(w, "output", f.Attempt, f.Output)); err != nil {
			return err
		}
	}
	return nil
}

// attemptsText says how many attempts of how many are used. Without a limit of its own a job has its handler's.
func attemptsText(used, most int) string {
	if most == 0 {
		return fmt.Sprintf("%d (limit: the handler's)", used)
	}
	return fmt.Sprintf("%d of %d", used, most)
}

// printLines prints what is more than a line: where an attempt panicked, and what it had printed.
func printLines(w io.Writer, what string, attempt int, text string) error {
	if text == "" {
		return nil
	}
	lines := strings.Split(strings.ReplaceAll(strings.TrimSpace(text), "\t", "  "), "\n")
	for i, line := range lines {
		lines[i] = cli.Clean(strings.TrimSuffix(line, "\r"))
	}
	_, err := fmt.Fprintf(w, "\n%s of attempt %d:\n%s\n", what, attempt, strings.Join(lines, "\n"))
	return err
}

// text shows args or a result: JSON as it is, anything else quoted.
func text(asJSON json.RawMessage, other []byte) string {
	if len(other) > 0 {
		return fmt.Sprintf("%q", other)
	}
	return string(asJSON)
}

func metaText(meta map[string]string) string {
	pairs := make([]string, 0, len(meta))
	for k, v := range meta {
		pairs = append(pairs, fmt.Sprintf("%s=%q", k, v))
	}
	sort.Strings(pairs)
	return strings.Join(pairs, " ")
}
