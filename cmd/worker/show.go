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
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

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
	MaxAttempts  int               `json:"max_attempts"`
	Crashes      int               `json:"crashes"`
	CreatedAt    *time.Time        `json:"created_at,omitempty"`
	DueAt        *time.Time        `json:"due_at,omitempty"`
	StartedAt    *time.Time        `json:"started_at,omitempty"`
	EndedAt      *time.Time        `json:"ended_at,omitempty"`
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
}

type failureView struct {
	Attempt int        `json:"attempt"`
	At      *time.Time `json:"at,omitempty"`
	Error   string     `json:"error"`
	Stack   string     `json:"stack,omitempty"`
}

func (c *command) newShow() *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use: "show QUEUE ID", Short: "Show all there is to know of a job", Args: arguments("QUEUE", "ID"), ValidArgsFunction: c.completeFirst,
		Example: "  worker jobs show default 0197c1f0-5a3e-7cc3-98c4-dc0c0c07398f\n  worker jobs show default report-2027-01-31 --json",
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.with(cmd, func(ctx context.Context, client *queue.Client) error {
			s, err := client.Get(ctx, args[0], args[1])
			if err != nil {
				return err
			}
			view := newJobView(s)
			if asJSON {
				return printJSON(cmd.OutOrStdout(), view)
			}
			return view.print(cmd.OutOrStdout())
		})
	}
	return cmd
}

func newJobView(s *queue.Snapshot) *jobView {
	v := &jobView{ID: s.ID.String(), Key: s.Key, Queue: s.Queue, Kind: s.Kind, State: s.State, Reason: s.Reason, Cancelling: s.Cancelling,
		Priority: s.Priority, Attempts: s.Attempts, MaxAttempts: s.MaxAttempts, Crashes: s.Crashes, CreatedAt: known(s.CreatedAt),
		DueAt: known(s.DueAt), StartedAt: known(s.StartedAt), EndedAt: known(s.EndedAt), KeptUntil: known(s.KeptUntil),
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
		v.Errors = append(v.Errors, failureView{Attempt: f.Attempt, At: known(f.At), Error: f.Error, Stack: f.Stack})
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
		if strings.ContainsFunc(value, unicode.IsControl) {
			value = fmt.Sprintf("%q", value)
		}
		if value != "" {
			fmt.Fprintf(t, "%s\t%s\n", name, value)
		}
	}
	at := func(name string, when *time.Time) {
		if when != nil {
			line(name, when.Local().Format("2006-01-02 15:04:05.000 -0700"))
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
	line("reason", v.Reason)
	line("corrupt", v.Corrupt)
	line("attempts", fmt.Sprintf("%d of %d", v.Attempts, v.MaxAttempts))
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
		line(fmt.Sprintf("error %d", f.Attempt), f.Error)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return v.printStacks(w)
}

// printStacks prints where attempts panicked.
func (v *jobView) printStacks(w io.Writer) error {
	for _, f := range v.Errors {
		if f.Stack == "" {
			continue
		}
		stack := strings.ReplaceAll(strings.TrimSpace(f.Stack), "\t", "  ")
		if _, err := fmt.Fprintf(w, "\nstack of attempt %d:\n%s\n", f.Attempt, stack); err != nil {
			return err
		}
	}
	return nil
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
