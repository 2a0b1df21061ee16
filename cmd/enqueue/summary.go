package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/queue"
)

// explain says why a stream ended early, and how to go on.
func (r *run) explain(c counts, err error) string {
	var (
		refused *refusedError
		lost    *lostError
		rejects *rejectsError
		offset  *offsetError
		signal  *cli.SignalError
	)
	resume := r.resumeHint(c)
	switch {
	case errors.As(err, &refused):
		return fmt.Sprintf("%v; once that is mended, %s", refused, resume)
	case errors.As(err, &rejects):
		return fmt.Sprintf("%v; %s", rejects, resume)
	case errors.As(err, &offset):
		return fmt.Sprintf("%v; %s", offset, resume)
	case errors.As(err, &signal):
		text := signal.Error()
		if c.flightTo >= c.line {
			return fmt.Sprintf("%s with lines %d to %d under way, which may be in or not; %s%s", text, c.line, c.flightTo, resume, r.repeats())
		}
		if c.beyond > 0 {
			return fmt.Sprintf("%s; %d lines behind line %d are in; %s%s", text, c.beyond, c.line, resume, r.repeats())
		}
		return fmt.Sprintf("%s; %s", text, resume)
	case errors.As(err, &lost):
		return r.explainLost(c, lost, resume)
	}
	return fmt.Sprintf("reading %s: %v; %s", r.name, err, resume)
}

// resumeHint says how to go on.
func (r *run) resumeHint(c counts) string {
	if r.sender.offsets != nil {
		return fmt.Sprintf("the same command goes on at line %d", c.line)
	}
	return fmt.Sprintf("resume with --from-line %d", c.line)
}

// repeats says what becomes of lines that are sent once more.
func (r *run) repeats() string {
	if r.sender.offsets != nil {
		return " (no line is enqueued twice)"
	}
	if r.command.ids != "" {
		return " (no line is enqueued twice while its job exists)"
	}
	return ` (lines with an "id" are not enqueued twice)`
}

func (r *run) explainLost(c counts, lost *lostError, resume string) string {
	url, _ := r.command.connection.URL()
	why := "Redis is lost: " + lost.Error()
	if word, silent := cli.Silence(lost); silent {
		why = fmt.Sprintf("Redis is lost: nothing answers at %s (%s)", cli.Address(url), word)
	}
	if errors.Is(lost, queue.ErrUnsupported) {
		why = lost.Error()
	}
	if errors.Is(lost, queue.ErrConflict) {
		why = "another enqueue has taken this input up"
	}
	text := fmt.Sprintf("%s; %d lines are surely in", why, c.in())
	if c.beyond > 0 {
		text += fmt.Sprintf(", %d of them behind line %d", c.beyond, c.line)
	}
	if c.unsure > 0 {
		text += fmt.Sprintf(", %d from line %d on may be in or not", c.unsure, c.line)
	}
	text += "; " + resume
	if c.unsure+c.beyond > 0 {
		text += r.repeats()
	}
	return text
}

// summary is the stream's counts as JSON.
type summary struct {
	counts
	All      *allRuns `json:"all_runs,omitempty"` // where the stream was taken up by an offset file
	Resume   int      `json:"resume_at_line,omitempty"`
	Offset   int64    `json:"resume_at_offset,omitempty"`
	Why      string   `json:"stopped_because,omitempty"`
	WaitedMS int64    `json:"waited_ms,omitempty"` // for a full Redis
	Seconds  float64  `json:"seconds"`
}

type allRuns struct {
	Enqueued   int `json:"enqueued"`
	Duplicates int `json:"duplicates"`
	Rejected   int `json:"rejected"`
}

// printSummary prints it; why is empty where the stream reached its end.
func (r *run) printSummary(w io.Writer, c counts, why string) error {
	out := summary{counts: c, Seconds: math.Round(time.Since(r.began).Seconds()*1000) / 1000,
		WaitedMS: c.waited.Milliseconds(), Why: why}
	if why != "" {
		out.Resume, out.Offset = c.line, c.offset
	}
	if o := r.sender.offsets; o != nil && o.resumed {
		out.All = &allRuns{}
		out.All.Enqueued, out.All.Duplicates, out.All.Rejected = o.totals()
	}
	b, err := json.Marshal(out)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, string(b))
	return err
}
