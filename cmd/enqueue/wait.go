package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/queue"
)

// Exit codes of --wait beside 0 (succeeded), cli.CodeFailure (dead) and codeUnreachable.
const (
	codeCancelled = 4
	codeExpired   = 5
	codeGone      = 6
	codeTimeout   = 124 // as of timeout(1)
)

// waitRetention is how long a job that is waited for is kept, so that its fate can be read, unless --retain says.
const waitRetention = 10 * time.Minute

// askAfter is how long a job may lie there before whoever waits is asked whether anybody works.
const askAfter = 10 * time.Second

// waitForever is what --wait means without a value.
const waitForever = "forever"

// waitValue is the flag --wait: alone, or with how long at most.
type waitValue struct {
	given bool
	limit time.Duration // 0 = no limit
}

func (v *waitValue) Type() string { return "duration" }

func (v *waitValue) String() string {
	switch {
	case !v.given:
		return ""
	case v.limit == 0:
		return waitForever
	}
	return v.limit.String()
}

func (v *waitValue) Set(text string) (err error) {
	limit := time.Duration(0)
	if text != waitForever {
		if limit, err = parseDuration(text); err != nil {
			return err
		}
		if limit <= 0 {
			return fmt.Errorf("%s is no time to wait: want more than 0, or --wait alone for no limit", limit)
		}
	}
	v.given, v.limit = true, limit
	return nil
}

// checkWait finds what cannot be meant together with --wait.
func (c *command) checkWait(cmd *cobra.Command, args []string) error {
	if !c.wait.given {
		return nil
	}
	if cmd.Flags().Changed("file") {
		return cli.Usagef("--wait is for a single job")
	}
	if cmd.Flags().Changed("retain") && c.job.retain.Duration == 0 {
		return cli.Usagef("--wait needs the finished job to be kept: --retain must be more than 0")
	}
	if n := len(args); n > 1 && c.wait.limit == 0 && !json.Valid([]byte(args[n-1])) {
		if _, err := time.ParseDuration(args[n-1]); err == nil {
			return cli.Usagef("--wait takes its time behind an equals sign: --wait=%s", args[n-1])
		}
	}
	return nil
}

// waitOptions is what a job needs so that it can be waited for.
func (c *command) waitOptions(cmd *cobra.Command) []queue.Option {
	if !c.wait.given {
		return nil
	}
	options := []queue.Option{queue.Notify()}
	if !cmd.Flags().Changed("retain") {
		options = append(options, queue.Retain(waitRetention))
	}
	return options
}

// Causes of contexts: the time to wait is over, or it is time to ask.
var (
	errWaited = errors.New("the time to wait is over")
	errEarly  = errors.New("nothing has happened yet")
)

// fate is what became of a job that was waited for.
type fate struct {
	id        uuid.UUID
	queue     string
	kind      string
	name      string // of the job, in messages
	duplicate bool
	confirmed *bool           // nil: nobody asked
	last      *queue.Snapshot // as it was seen last; nil = never
	paused    bool            // and so nobody takes it
	err       error           // why the waiting ended early
}

// await waits for a job and tells what became of it.
func (c *command) await(ctx context.Context, cmd *cobra.Command, client *queue.Client, f fate) error {
	f.queue, f.name = c.queueName(), c.named(f.id)
	if c.wait.limit > 0 {
		limited, cancel := context.WithTimeoutCause(ctx, c.wait.limit, errWaited)
		defer cancel()
		ctx = limited
	}
	early, cancel := context.WithTimeoutCause(ctx, askAfter, errEarly)
	f.last, f.err = client.Wait(early, f.queue, f.id.String())
	cancel()
	if errors.Is(f.err, errEarly) {
		f.lookAtQueue(ctx, client)
		if text := f.idle(); text != "" && !c.quiet {
			// Nothing depends on whether it can be written.
			_, _ = fmt.Fprintln(cmd.ErrOrStderr(), text)
		}
		f.last, f.err = client.Wait(ctx, f.queue, f.id.String())
	}
	if ctx.Err() != nil && f.err != nil { // the last look may be two seconds old, or there was none yet
		look, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		if now, err := client.Get(look, f.queue, f.id.String()); err == nil {
			f.last = now
		}
		f.lookAtQueue(look, client)
		cancel()
		if errors.Is(f.err, errWaited) && f.last != nil && ended(f.last.State) {
			f.err = nil // just in time
		}
	}
	if err := c.printFate(cmd.OutOrStdout(), f); err != nil {
		return err
	}
	return c.explainFate(f)
}

// lookAtQueue sees whether a job that nobody has taken waits for its queue to be resumed. Nothing depends on the answer.
func (f *fate) lookAtQueue(ctx context.Context, client *queue.Client) {
	f.paused = false
	if f.last == nil || f.last.State != queue.Ready {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if n, err := client.Counts(ctx, f.queue); err == nil {
		f.paused = n.Paused
	}
}

// fateView is a job that was waited for, in JSON.
type fateView struct {
	ID           string          `json:"id"`
	Kind         string          `json:"kind"`
	Queue        string          `json:"queue"`
	Duplicate    bool            `json:"duplicate"`
	Confirmed    *bool           `json:"confirmed,omitempty"`
	State        queue.State     `json:"state,omitempty"` // none: it left nothing behind, or was never seen
	Result       json.RawMessage `json:"result,omitempty"`
	ResultText   string          `json:"result_text,omitempty"`   // where it is no JSON
	ResultBase64 []byte          `json:"result_base64,omitempty"` // where it is no UTF-8 either
	Error        string          `json:"error,omitempty"`
	Output       string          `json:"output,omitempty"`
	Attempts     int             `json:"attempts"`
	CreatedAt    *time.Time      `json:"created_at,omitempty"`
	StartedAt    *time.Time      `json:"started_at,omitempty"`
	EndedAt      *time.Time      `json:"ended_at,omitempty"`
}

// printFate prints the result, byte for byte, or with --json all there is to know.
func (c *command) printFate(w io.Writer, f fate) error {
	if !c.json {
		if f.err != nil || f.last.State != queue.Succeeded || len(f.last.Result) == 0 {
			return nil
		}
		result := f.last.Result
		if cli.IsTerminal(w) && result[len(result)-1] != '\n' {
			result = append(result, '\n')
		}
		_, err := w.Write(result)
		return err
	}
	v := fateView{ID: f.id.String(), Kind: f.kind, Queue: f.queue, Duplicate: f.duplicate, Confirmed: f.confirmed}
	if f.last != nil && !errors.Is(f.err, queue.ErrUnknownJob) {
		v.describe(f.last)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, string(b))
	return err
}

func (v *fateView) describe(s *queue.Snapshot) {
	v.Kind, v.State, v.Attempts = s.Kind, s.State, s.Attempts
	v.CreatedAt, v.StartedAt, v.EndedAt = given(s.CreatedAt), given(s.StartedAt), given(s.EndedAt)
	switch {
	case len(s.Result) == 0:
	case json.Valid(s.Result):
		v.Result = s.Result
	case utf8.Valid(s.Result):
		v.ResultText = string(s.Result)
	default:
		v.ResultBase64 = s.Result
	}
	v.Error, v.Output = lastFailure(s)
}

func given(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Millisecond)
	return &t
}

// lastFailure is the error of a job that did not succeed, and the end of what its last attempt printed.
func lastFailure(s *queue.Snapshot) (text, output string) {
	if n := len(s.Errors); n > 0 && s.State != queue.Succeeded {
		text, output = s.Errors[n-1].Error, s.Errors[n-1].Output
	}
	if s.State == queue.DeadState && s.Reason != "" {
		text = s.Reason
	}
	return text, output
}

// explainFate makes an exit code and words of what became of the job.
func (c *command) explainFate(f fate) error {
	code, text := c.verdict(f)
	switch {
	case code == 0:
		return nil
	case c.quiet:
		return &cli.Exit{Code: code}
	}
	return &cli.Exit{Code: code, Err: errors.New(text)}
}

func (c *command) verdict(f fate) (code int, text string) {
	var signal *cli.SignalError
	switch {
	case errors.Is(f.err, errWaited):
		return codeTimeout, fmt.Sprintf("timed out after %v: job %s %s", c.wait.limit, f.name, f.seen())
	case errors.As(f.err, &signal):
		return signal.Code(), fmt.Sprintf("%v: job %s %s", signal, f.name, f.seen())
	case errors.Is(f.err, queue.ErrUnknownJob):
		return codeGone, fmt.Sprintf("job %s is gone and left nothing behind: it was deleted, or was there before and is not kept (--retain)", f.name)
	case errors.Is(f.err, queue.ErrUnavailable):
		return codeUnreachable, fmt.Sprintf("job %s is enqueued, and what became of it is unknown: %v", f.name, f.err)
	case f.err != nil:
		return codeOf(f.err), fmt.Sprintf("job %s is enqueued, and what became of it is unknown: %v", f.name, f.err)
	}
	switch f.last.State {
	case queue.Succeeded:
		return 0, ""
	case queue.Cancelled:
		return codeCancelled, fmt.Sprintf("job %s was cancelled", f.name)
	case queue.Expired:
		return codeExpired, fmt.Sprintf("job %s expired before it was started", f.name)
	}
	reason, output := lastFailure(f.last)
	var tail strings.Builder
	if output != "" {
		tail.WriteString("; its output ended with:")
		for line := range strings.Lines(output) { // a terminal must not obey it
			tail.WriteString("\n  " + cli.Clean(strings.TrimRight(line, "\r\n")))
		}
	}
	return cli.CodeFailure, fmt.Sprintf("job %s is dead after %s: %s%s", f.name, attempts(f.last.Attempts), cli.Clean(reason), &tail)
}
