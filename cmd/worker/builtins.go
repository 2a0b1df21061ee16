package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"
	"unicode/utf8"

	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/internal/loop"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// builtins are the handlers that need no Go, by name.
var builtins = map[string]worker.Handler{
	"log":   logArgs,
	"noop":  func(context.Context, *queue.Job[queue.Raw]) error { return nil },
	"sleep": decoded(sleep),
	"fail":  decoded(fail),
}

// addBuiltins adds them, each under its name as kind.
func addBuiltins(mux *worker.Mux) {
	for name, handler := range builtins {
		mux.HandleKind(name, handler)
	}
}

// decoded makes a handler of one that wants its args as a type, for whatever kind it is to serve.
func decoded[A any](fn func(context.Context, *queue.Job[A]) error) worker.Handler {
	return func(ctx context.Context, raw *queue.Job[queue.Raw]) error {
		var none A
		job := queue.NewJob(raw.Info, none, raw.Token())
		if raw.Encoding != "" && raw.Encoding != queue.JSON.Name() {
			return queue.Dead(fmt.Errorf("args are in encoding %q, which this handler cannot read", raw.Encoding))
		}
		if err := json.Unmarshal(raw.Args.Payload, &job.Args); err != nil {
			return queue.Dead(fmt.Errorf("args of kind %q: %w", raw.Kind, err))
		}
		return fn(ctx, job)
	}
}

// maxLogged is the longest args that are logged whole, in bytes.
const maxLogged = 16 << 10

// logArgs writes the args to the log: JSON as such, anything else as quoted text.
func logArgs(ctx context.Context, job *queue.Job[queue.Raw]) error {
	event, args := zerolog.Ctx(ctx).Info(), job.Args.Payload
	var line bytes.Buffer
	switch {
	case len(args) > maxLogged:
		event = event.Int("bytes", len(args)).Str("args", fmt.Sprintf("%.100q...", args))
	case utf8.Valid(args) && json.Compact(&line, args) == nil: // one line whatever the args hold
		event = event.RawJSON("args", line.Bytes())
	default:
		event = event.Str("args", fmt.Sprintf("%q", args))
	}
	event.Msg("log")
	return nil
}

// sleepArgs are the args of the kind sleep.
type sleepArgs struct {
	Duration *duration `json:"duration"`
}

func sleep(ctx context.Context, job *queue.Job[sleepArgs]) error {
	d := time.Second
	if job.Args.Duration != nil {
		d = time.Duration(*job.Args.Duration)
	}
	zerolog.Ctx(ctx).Debug().Stringer("for", d).Msg("sleeping")
	return loop.Sleep(ctx, d)
}

// failArgs are the args of the kind fail.
type failArgs struct {
	Times *int   `json:"times"`
	Error string `json:"error"`
}

// fail fails by the attempt's number, so that it keeps its promise on whatever worker the next attempt runs.
func fail(_ context.Context, job *queue.Job[failArgs]) error {
	times, text := 1, "failed on purpose"
	if job.Args.Times != nil {
		times = *job.Args.Times
	}
	if job.Args.Error != "" {
		text = job.Args.Error
	}
	if times < 0 {
		return queue.Dead(fmt.Errorf("args of kind %q: times is %d; want 0 or more", job.Kind, times))
	}
	if job.Attempt <= times {
		return errors.New(text)
	}
	return nil
}

// duration reads "1m30s", or a number of ms as enqueue's streams do.
type duration time.Duration

// UnmarshalJSON reads one of the two forms.
func (d *duration) UnmarshalJSON(b []byte) error {
	const form = `a duration such as "1m30s", or a number of ms; not negative`
	var text string
	var ms float64
	var parsed time.Duration
	var err error
	switch {
	case json.Unmarshal(b, &text) == nil:
		parsed, err = time.ParseDuration(text)
	case json.Unmarshal(b, &ms) == nil && math.Abs(ms) < math.MaxInt64/float64(2*time.Millisecond):
		parsed = time.Duration(ms * float64(time.Millisecond))
	default:
		err = errors.New("another type, or too long")
	}
	if err != nil || parsed < 0 {
		return fmt.Errorf("%.100s is not %s", b, form)
	}
	*d = duration(parsed)
	return nil
}
