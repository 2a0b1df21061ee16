package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/queue"
)

const watchHelp = `Follows one job until it ends: a line for each change, at most one each half second.

Exit codes: 0 it succeeded; 1 it is dead, cancelled, expired or unknown; 124 --timeout came first.
A job without retention leaves nothing behind when it ends, so its fate cannot be told: exit code 1
and state "gone". Enqueue with --retain to know, or wait with "enqueue --wait".`

const watchExamples = `  worker jobs watch default report-2027-01-31
  worker jobs watch default report-2027-01-31 --timeout 10m --json`

// watchEvery is how often it looks.
const watchEvery = 500 * time.Millisecond

// gone is what is told of a job that left nothing behind.
const gone queue.State = "gone"

// watchView is one change of a job, as JSON.
type watchView struct {
	At         time.Time   `json:"at"`
	ID         string      `json:"id"`
	State      queue.State `json:"state"`
	Cancelling bool        `json:"cancelling,omitempty"`
	Attempts   int         `json:"attempts"`
	Crashes    int         `json:"crashes"`
	DueAt      *time.Time  `json:"due_at,omitempty"`
	StartedAt  *time.Time  `json:"started_at,omitempty"`
	EndedAt    *time.Time  `json:"ended_at,omitempty"`
	Unknown    *time.Time  `json:"unknown_since,omitempty"` // since when no worker serves its kind
	Error      string      `json:"error,omitempty"`
	Result     any         `json:"result,omitempty"`
	ResultB64  []byte      `json:"result_base64,omitempty"`
}

// watchCommand is `worker jobs watch`.
type watchCommand struct {
	*command
	timeout string
	json    bool
}

func (c *command) newWatch() *cobra.Command {
	w := &watchCommand{command: c}
	cmd := &cobra.Command{
		Use: "watch QUEUE ID", Short: "Follow one job until it ends", Long: watchHelp, Example: watchExamples,
		Args: arguments("QUEUE", "ID"), ValidArgsFunction: c.completeJobs(everyState...), RunE: w.run,
	}
	cmd.Flags().StringVar(&w.timeout, "timeout", "", "give up after this `duration`; none unless given")
	cmd.Flags().BoolVar(&w.json, "json", false, "print one JSON object a line")
	_ = cmd.RegisterFlagCompletionFunc("timeout", cobra.NoFileCompletions)
	return cmd
}

// errWatchedLong is why the context of a watch with a timeout ends.
var errWatchedLong = &cli.Exit{Code: codeTimeout, Err: errors.New("the job has not ended in time")}

func (w *watchCommand) run(cmd *cobra.Command, args []string) error {
	var timeout time.Duration
	if cmd.Flags().Changed("timeout") {
		var err error
		if timeout, err = parseSpan(w.timeout); err != nil {
			return cli.Usage(fmt.Errorf("--timeout: %w", err))
		}
		if timeout <= 0 {
			return cli.Usagef("--timeout %s: allowed: more than 0s", w.timeout)
		}
	}
	return w.withQueue(cmd, args[0], func(ctx context.Context, client *queue.Client) error {
		if timeout > 0 {
			limited, cancel := context.WithTimeoutCause(ctx, timeout, errWatchedLong)
			defer cancel()
			ctx = limited
		}
		return w.follow(ctx, cmd, client, args[0], args[1])
	})
}

// follow looks until the job has ended. While Redis is away it waits.
func (w *watchCommand) follow(ctx context.Context, cmd *cobra.Command, client *queue.Client, name, id string) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var last *watchView
	away := false
	for {
		s, err := client.Get(ctx, name, id)
		if at, limited := ctx.Deadline(); err != nil && limited && !time.Now().Before(at) {
			<-ctx.Done() // the connection may be told of the same deadline a moment earlier
		}
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, queue.ErrUnavailable):
			if !away {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s: waiting for Redis: %v\n", cmd.CommandPath(), err)
			}
			away = true
		case errors.Is(err, queue.ErrUnknownJob) && last != nil:
			return w.leave(cmd.OutOrStdout(), &watchView{At: time.Now().UTC(), ID: id, State: gone, Attempts: last.Attempts, Crashes: last.Crashes})
		case err != nil:
			return err
		default:
			away = false
			view := newWatchView(s)
			if last == nil || !view.same(last) {
				if err := w.print(cmd.OutOrStdout(), view); err != nil {
					return err
				}
			}
			if last = view; over(s.State) {
				return fate(s.State)
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// fate is the error for how a job ended. It was printed.
func fate(s queue.State) error {
	if s == queue.Succeeded {
		return nil
	}
	return &cli.Exit{Code: cli.CodeFailure}
}

func (w *watchCommand) leave(out io.Writer, view *watchView) error {
	if err := w.print(out, view); err != nil {
		return err
	}
	return fate(gone)
}

func newWatchView(s *queue.Snapshot) *watchView {
	v := &watchView{At: time.Now().UTC().Truncate(time.Millisecond), ID: s.ID.String(), State: s.State, Cancelling: s.Cancelling, Attempts: s.Attempts,
		Crashes: s.Crashes, DueAt: known(s.DueAt), StartedAt: known(s.StartedAt), EndedAt: known(s.EndedAt), Unknown: known(s.UnknownSince), Error: s.Reason}
	if v.Error == "" && len(s.Errors) > 0 && s.State != queue.Succeeded {
		v.Error = s.Errors[len(s.Errors)-1].Error
	}
	if raw, other := asJSONOrBytes(s.Result); len(raw) > 0 {
		v.Result = raw
	} else {
		v.ResultB64 = other
	}
	return v
}

// same tells whether there is nothing new to say.
func (v *watchView) same(other *watchView) bool {
	equal := func(a, b *time.Time) bool { return a == b || a != nil && b != nil && a.Equal(*b) }
	return v.State == other.State && v.Cancelling == other.Cancelling && v.Attempts == other.Attempts && v.Crashes == other.Crashes &&
		v.Error == other.Error && equal(v.DueAt, other.DueAt) && equal(v.Unknown, other.Unknown) && (v.State != queue.Running || equal(v.StartedAt, other.StartedAt))
}

func (w *watchCommand) print(out io.Writer, v *watchView) error {
	if w.json {
		return printJSON(out, v)
	}
	_, err := fmt.Fprintf(out, "%s  %-9s  %s\n", v.At.Local().Format("15:04:05.000"), v.State, cli.Clean(v.text()))
	return err
}

// text says in words what there is to a state.
func (v *watchView) text() string {
	tried := fmt.Sprintf("attempts used: %d", v.Attempts)
	if v.Crashes > 0 {
		tried += fmt.Sprintf(", crashes: %d", v.Crashes)
	}
	switch {
	case v.State == gone:
		return "it has ended and left nothing behind, so its fate is not known (retention keeps it)"
	case v.State == queue.Scheduled && v.DueAt != nil:
		tried += fmt.Sprintf(", due %s (%s)", v.DueAt.Local().Format("15:04:05"), cli.Ago(*v.DueAt, v.At))
	case v.Cancelling:
		tried += ", told to end"
	}
	if v.Unknown != nil {
		tried += ", no worker serves its kind"
	}
	if v.Error != "" {
		tried += ": " + v.Error
	}
	return tried
}
