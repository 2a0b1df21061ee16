package main

import (
	"fmt"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/queue"
)

// shownError is how wide the last error of a job that goes on may be.
const shownError = 300

// ended tells the states that a job stays in.
func ended(s queue.State) bool {
	return s == queue.Succeeded || s == queue.DeadState || s == queue.Cancelled || s == queue.Expired
}

// seen says how a job that is waited for no longer was seen last.
func (f fate) seen() string {
	switch {
	case f.last == nil:
		return "goes on"
	case ended(f.last.State): // meanwhile
		return fmt.Sprintf("has ended meanwhile (%s)", f.last.State)
	}
	text := fmt.Sprintf("goes on; it is %s", f.last.State)
	switch unknown := f.unknownKind(); {
	case f.last.Attempts > 0:
		text += ", after " + attempts(f.last.Attempts)
		if unknown != "" {
			text += ", and " + unknown
		}
	case unknown != "":
		text += ": " + unknown
	case f.last.State == queue.Ready && f.paused:
		text += fmt.Sprintf(", and queue %q is paused", f.queue)
	case f.last.State == queue.Ready:
		text += fmt.Sprintf(", and no worker has taken it (queue %q)", f.queue)
	}
	if failure, _ := lastFailure(f.last); failure != "" {
		text += "; last error: " + cli.Cut(cli.Clean(failure), shownError)
	}
	return text
}

// unknownKind says what a job waits for that workers came by and could not run; empty for any other.
func (f fate) unknownKind() string {
	if f.last.UnknownSince.IsZero() {
		return ""
	}
	return fmt.Sprintf("no worker serves kind %q (queue %q)", f.last.Kind, f.queue)
}

// idle is what to ask about a job that nobody has begun with; empty where somebody may have.
func (f fate) idle() string {
	switch {
	case f.last == nil:
		return ""
	case f.unknownKind() != "":
		return fmt.Sprintf("job %s is still %s: %s", f.name, f.last.State, f.unknownKind())
	case f.last.State == queue.Ready && f.paused:
		return fmt.Sprintf("job %s is still ready: queue %q is paused", f.name, f.queue)
	case f.last.State == queue.Ready:
		return fmt.Sprintf("job %s is still ready: does a worker serve queue %q?", f.name, f.queue)
	}
	return ""
}

func attempts(n int) string {
	if n == 1 {
		return "1 attempt"
	}
	return fmt.Sprintf("%d attempts", n)
}
