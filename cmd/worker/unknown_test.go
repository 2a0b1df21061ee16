package main_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// A job whose kind no worker serves says so wherever it is looked at.
func TestUnknownKindIsTold(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := open(t, srv.URL())
	enqueue(t, client, "noone.here", `{}`, queue.ID("lonely"))
	o := operate(t, srv.URL())
	watching := start(t, o.env, workerPath, "jobs", "watch", "default", "lonely")
	watching.says(&watching.out, "ready")
	start(t, o.env, workerPath, "run")
	redistest.WaitFor(t, soon, func() bool { return !get(t, client, "lonely").UnknownSince.IsZero() }, "a worker has met it")
	o.table([][3]any{
		{"jobs show default lonely", 0, `waits for  a worker that serves kind "noone.here" (none since `},
		{"jobs show default lonely --json", 0, `"unknown_since":"2`},
		{"jobs list default", 0, "  no worker serves this kind\n"},
		{"jobs watch default lonely --timeout 300ms --json", 124, "has not ended"},
	})
	watching.says(&watching.out, "no worker serves its kind")
	if text := watching.out.String(); strings.Count(text, "\n") > 3 {
		t.Errorf("it repeats itself:\n%s", text)
	}
	if s := get(t, client, "lonely"); time.Since(s.UnknownSince) > time.Hour {
		t.Errorf("since %v", s.UnknownSince)
	}
}
