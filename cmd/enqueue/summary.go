package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/tidemill/tidemill/internal/cli"
)

// explain says why a stream ended early, and how to go on.
func (r *run) explain(c counts, err error) string {
	var (
		refused *refusedError
		lost    *lostError
		rejects *rejectsError
		signal  *cli.SignalError
	)
	resume := fmt.Sprintf("resume with --from-line %d", c.next)
	switch {
	case errors.As(err, &refused):
		return refused.Error()
	case errors.As(err, &rejects):
		return fmt.Sprintf("%v; %s", rejects, resume)
	case errors.As(err, &signal):
		if c.flightTo >= c.next {
			return fmt.Sprintf("%v with lines %d to %d under way, which may be in or not; %s (%s)", signal, c.next, c.flightTo, resume, repeats)
		}
		return fmt.Sprintf("%v; %s", signal, resume)
	case errors.As(err, &lost):
		return r.explainLost(c, lost, resume)
	}
	return fmt.Sprintf("reading %s: %v; %s", r.name, err, resume)
}

const repeats = `lines with an "id" are not enqueued twice`

func (r *run) explainLost(c counts, lost *lostError, resume string) string {
	url, _ := r.command.connection.URL()
	why := "Redis is lost: " + lost.Error()
	if word, silent := cli.Silence(lost); silent {
		why = fmt.Sprintf("Redis is lost: nothing answers at %s (%s)", cli.Address(url), word)
	}
	text := fmt.Sprintf("%s; %d lines are surely in", why, c.in())
	if c.beyond > 0 {
		text += fmt.Sprintf(", %d of them behind line %d", c.beyond, c.next)
	}
	if c.unsure > 0 {
		text += fmt.Sprintf(", %d from line %d on may be in or not", c.unsure, c.next)
	}
	text += "; " + resume
	if c.unsure+c.beyond > 0 {
		text += " (" + repeats + ")"
	}
	return text
}

// printSummary is the stream's counts as JSON; why is empty where it reached its end.
func printSummary(w io.Writer, c counts, why string) error {
	out := struct {
		counts
		Resume int    `json:"resume_at_line,omitempty"`
		Why    string `json:"stopped_because,omitempty"`
	}{counts: c, Why: why}
	if why != "" {
		out.Resume = c.next
	}
	b, err := json.Marshal(out)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, string(b))
	return err
}
