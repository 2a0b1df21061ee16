package main

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/queue"
)

// How a job that goes on was seen last: what --wait says when the time is over or somebody interrupts it.
func TestSeen(t *testing.T) {
	t.Parallel()
	id := uuid.MustParse("01a1fb3d-1057-7b2a-be2e-3fe03757574d")
	failed := []queue.Failure{{Error: "first"}, {Error: "no \x1b[31mluck\n"}}
	long := []queue.Failure{{Error: strings.Repeat("x", 1000)}}
	interrupted := &cli.SignalError{Signal: syscall.SIGINT}
	for name, c := range map[string]struct {
		own  string // --id
		last *queue.Snapshot
		err  error
		code int
		want string
	}{
		"never seen": {"", nil, errWaited, 124, "timed out after 30s: job " + id.String() + " goes on"},
		"its own id": {"order-17", nil, interrupted, 130, "interrupted: job order-17 (" + id.String() + ") goes on"},
		"a UUID":     {strings.ToUpper(id.String()), nil, interrupted, 130, "interrupted: job " + id.String() + " goes on"},
		"unsafe id":  {"a\x1b[31m", nil, interrupted, 130, `interrupted: job a\x1b[31m (` + id.String() + ") goes on"},
		"not taken":  {"x", &queue.Snapshot{State: queue.Ready}, errWaited, 124, `; it is ready, and no worker has taken it (queue "q")`},
		"not due":    {"x", &queue.Snapshot{State: queue.Scheduled}, errWaited, 124, "; it is scheduled"},
		"running":    {"x", &queue.Snapshot{State: queue.Running, Attempts: 1}, errWaited, 124, "; it is running, after 1 attempt"},
		"failed":     {"x", &queue.Snapshot{State: queue.Scheduled, Attempts: 3, Errors: failed}, errWaited, 124, `; it is scheduled, after 3 attempts; last error: no \x1b[31mluck\n`},
		"long":       {"x", &queue.Snapshot{State: queue.Ready, Attempts: 1, Errors: long}, interrupted, 130, "; it is ready, after 1 attempt; last error: " + strings.Repeat("x", shownError-1) + "…"},
		"ended":      {"x", &queue.Snapshot{State: queue.Succeeded, Attempts: 3, Errors: failed}, interrupted, 130, "interrupted: job x (" + id.String() + ") has ended meanwhile (succeeded)"},
		"nobody":     {"x", &queue.Snapshot{State: queue.Scheduled, UnknownSince: time.Now()}, errWaited, 124, `; it is scheduled: no worker serves kind "noone.here" (queue "q")`},
		"nobody yet": {"x", &queue.Snapshot{State: queue.Ready, UnknownSince: time.Now()}, errWaited, 124, `; it is ready: no worker serves kind "noone.here" (queue "q")`},
		"nobody more": {"x", &queue.Snapshot{State: queue.Scheduled, Attempts: 3, Errors: failed, UnknownSince: time.Now()}, errWaited, 124,
			`; it is scheduled, after 3 attempts, and no worker serves kind "noone.here" (queue "q"); last error: no \x1b[31mluck\n`},
	} {
		command := &command{job: jobFlags{id: c.own}, wait: waitValue{given: true, limit: 30 * time.Second}}
		if c.last != nil {
			c.last.Kind = "noone.here"
		}
		code, text := command.verdict(fate{id: id, queue: "q", name: command.named(id), last: c.last, err: c.err})
		if code != c.code || !strings.HasSuffix(text, c.want) || strings.HasPrefix(c.want, ";") && !strings.HasSuffix(text, " goes on"+c.want) {
			t.Errorf("%s: %d, %s\nwant %d, %s", name, code, text, c.code, c.want)
		}
	}
}

// What is asked about a job that has been waited for a while.
func TestIdle(t *testing.T) {
	t.Parallel()
	for want, last := range map[string]*queue.Snapshot{
		`job x is still ready: does a worker serve queue "q"?`:                     {State: queue.Ready},
		`job x is still scheduled: no worker serves kind "noone.here" (queue "q")`: {State: queue.Scheduled, UnknownSince: time.Now()},
		"": {State: queue.Running},
	} {
		if last.Kind = "noone.here"; (fate{name: "x", queue: "q", last: last}).idle() != want {
			t.Errorf("%+v: want %q", last, want)
		}
	}
	if text := (fate{name: "x", queue: "q"}).idle(); text != "" {
		t.Errorf("never seen: %q", text)
	}
}

// To repeat a call of which nobody knows whether it was carried out, the own id is the one to give again.
func TestOutcomeUnknownNamesTheID(t *testing.T) {
	t.Parallel()
	id := uuid.MustParse("01a1fb3d-1057-7b2a-be2e-3fe03757574d")
	for own, want := range map[string]string{"": "--id " + id.String(), id.String(): "--id " + id.String(), "order-17": "the same --id"} {
		command := &command{job: jobFlags{id: own}}
		if err := command.explain(errors.Join(queue.ErrOutcomeUnknown), id, "log"); !strings.HasSuffix(err.Error(), "to be sure, repeat it with "+want) {
			t.Errorf("%q: %v", own, err)
		}
	}
}
