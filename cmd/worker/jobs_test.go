package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

func TestErrors(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	zoo(t, srv.URL())
	o := operate(t, srv.URL())
	for _, command := range []string{"jobs errors default --json", "jobs list default --group-by error --json"} {
		var got struct {
			Error       string
			Count       int
			First, Last time.Time
			Kinds       []string
			Example     string
		}
		if err := json.Unmarshal([]byte(o.says(command)), &got); err != nil {
			t.Fatal(err)
		}
		if got.Count != 3 || !strings.HasSuffix(got.Error, ": connection refused") || strings.ContainsAny(got.Error, "012") ||
			got.First.IsZero() || got.Last.Before(got.First) || len(got.Kinds) != 1 || got.Kinds[0] != "fail" {
			t.Errorf("%s: %+v", command, got)
		}
		if s := o.says("jobs show default " + got.Example); !strings.Contains(s, "connection refused") {
			t.Errorf("the example: %s", s)
		}
	}
	text := o.says("jobs errors default")
	if lines := strings.Split(text, "\n"); len(lines) != 3 || !strings.HasPrefix(lines[0], "COUNT  FIRST") || !strings.HasPrefix(lines[1], "    3  ") {
		t.Errorf("got:\n%s", text)
	}
	p := o.run("jobs errors default --kind mail.*")
	if p.wantCode(0); p.out.String() != "" || p.err.String() != "no job matches\n" {
		t.Errorf("none: %s%s", p.out.String(), p.err.String())
	}
}

func TestEdit(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := zoo(t, srv.URL())
	o := operate(t, srv.URL())
	file := filepath.Join(t.TempDir(), "args.json")
	if err := os.WriteFile(file, []byte(" {\"from\":\"file\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o.table([][3]any{
		{"jobs edit default", 2, "want QUEUE and ID"},
		{"jobs edit default image", 2, "give what to change: --args, --at, --in, --now or --priority"},
		{"jobs edit default image --in 1h --now", 2, "--at, --in and --now: give one of them"},
		{"jobs edit default image --args {} --editor", 2, "--args and --editor: give one of them"},
		{"jobs edit default image --now=false", 2, "--now=false says nothing"},
		{"jobs edit default image --priority 10", 2, "--priority 10: allowed: 0 to 9"},
		{"jobs edit default image --priority -1", 2, "--priority -1: allowed: 0 to 9"},
		{"jobs edit default image --in -1h", 2, "--in -1h: allowed: 0s or more"},
		{"jobs edit default image --priority 7 --at=", 2, "--at and --in want a value"},
		{"jobs edit default image --in 5", 2, `"5" is not a duration`},
		{"jobs edit default image --at tomorrow", 2, `--at: "tomorrow" is not a time`},
		{"jobs edit default image --args {", 2, "--args: no JSON: unexpected end"},
		{"jobs edit default image --args=", 2, "--args: it is empty; want JSON"},
		{"jobs edit default image --args @" + file + ".none", 2, "no such file"},
		{"jobs edit default image --editor", 2, "neither VISUAL nor EDITOR is set"},
		{"jobs edit default nothing --now", 1, "unknown job"},
		{"jobs edit default done --now", 1, "done"},
		{"jobs edit default dead0 --now", 1, "dead"},
		{"jobs edit default dead0 --args {\"fixed\":true}", 0, "dead0 is changed\n"},
		{"jobs edit default image --args @" + file, 0, "image is changed\n"},
		{"jobs edit default image --in 2d --json", 0, `"args":{"from":"file"}`},
		{"jobs edit default mail1 --priority 9", 0, "mail1 is changed\n"},
	})
	if s := get(t, client, "dead0"); string(s.Payload) != `{"fixed":true}` || s.State != queue.DeadState || s.MaxAttempts != 1 {
		t.Errorf("dead0: %s %s", s.State, s.Payload)
	}
	if s := get(t, client, "image"); time.Until(s.DueAt) < 47*time.Hour || time.Until(s.DueAt) > 48*time.Hour {
		t.Errorf("due %v", s.DueAt)
	}
	if got := listed(t, o.says("jobs list default --state ready --json")); strings.Join(got, " ") != "mail1 mail2" {
		t.Errorf("order: %s", got)
	}
	o.says("jobs edit default image --now")
	if s := get(t, client, "image"); s.State != queue.Ready {
		t.Errorf("image is %s", s.State)
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := open(t, srv.URL())
	o := operate(t, srv.URL())
	keep := queue.Retain(time.Hour)
	enqueue(t, client, "fail", `{"times":1,"error":"out of luck"}`, queue.ID("luck"), keep)
	enqueue(t, client, "fail", `{}`, queue.ID("lost"), queue.MaxAttempts(1))
	enqueue(t, client, "noop", `{}`, queue.ID("plain"))
	enqueue(t, client, "noop", `{}`, queue.ID("never"), queue.In(time.Hour))
	watching := map[string]*process{}
	for _, id := range []string{"luck", "lost", "plain"} {
		p := start(t, o.env, workerPath, "jobs", "watch", "default", id, "--json", "--timeout", "1m")
		p.says(&p.out, `"state":"ready"`)
		watching[id] = p
	}
	start(t, o.env, workerPath, "run")
	for id, want := range map[string]struct {
		code  int
		state string
	}{"luck": {0, "succeeded"}, "lost": {1, "dead"}, "plain": {1, "gone"}} {
		p := watching[id]
		p.wantCode(want.code)
		lines := strings.Split(strings.TrimSpace(p.out.String()), "\n")
		var last struct{ ID, State string }
		for _, line := range lines {
			if err := json.Unmarshal([]byte(line), &last); err != nil {
				t.Errorf("%v: %s", err, line)
			}
		}
		if last.State != want.state || p.err.String() != "" {
			t.Errorf("%s ends with %s and says %q; want %s", id, last.State, p.err.String(), want.state)
		}
	}
	if out := watching["luck"].out.String(); !strings.Contains(out, `"state":"scheduled"`) || !strings.Contains(out, "out of luck") {
		t.Errorf("the retry was not seen: %s", out)
	}
	o.table([][3]any{
		{"jobs watch default luck", 0, "  succeeded  attempts used: 2\n"},
		{"jobs watch default nothing", 1, "unknown job"},
		{"jobs watch default never --timeout 300ms", 124, "the job has not ended in time"},
		{"jobs watch default never --timeout 0s", 2, "--timeout 0s: allowed: more than 0s"},
		{"jobs watch default never --timeout 5", 2, `--timeout: "5" is not a duration`},
	})
	var timed []*process
	for range 8 { // the last look falls on the end of the time, and must not take it for a Redis that is away
		timed = append(timed, start(t, o.env, workerPath, "jobs", "watch", "default", "never", "--timeout", "1s"))
	}
	for _, p := range timed {
		if p.wantCode(124); p.err.String() != "worker: the job has not ended in time\n" {
			t.Errorf("got %q", p.err.String())
		}
	}
	p := start(t, o.env, workerPath, "jobs", "watch", "default", "never")
	p.says(&p.out, "scheduled  attempts used: 0, due ")
	p.signal(os.Interrupt)
	p.wantCode(130)
}

func TestShowSeveral(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	zoo(t, srv.URL())
	o := operate(t, srv.URL())
	if got := listedKeys(t, o.says("jobs show default mail1 image --json")); got != "mail1 image" {
		t.Errorf("--json: %s", got)
	}
	text := o.says("jobs show default mail1 dead0")
	for _, want := range []string{"key       mail1\n", "\n\nid        ", "error 1   user 0: connection refused (", "created   20", " ago)\n", `meta      tenant="acme"`,
		"attempts  0 (limit: the handler's)\n", "attempts  1 of 1\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	p := o.run("jobs show default mail1 nothing image --json")
	if p.wantCode(1); listedKeys(t, p.out.String()) != "mail1 image" || !strings.Contains(p.err.String(), "worker: unknown job: nothing") {
		t.Errorf("%s%s", p.out.String(), p.err.String())
	}
	o.table([][3]any{
		{"jobs show default", 2, "want QUEUE and ID, got 1 arguments"},
		{"jobs show default a -", 2, "give - or IDs, not both"},
	})
}

func listedKeys(t *testing.T, ndjson string) string {
	t.Helper()
	var keys []string
	for line := range strings.Lines(ndjson) {
		var job struct{ Key string }
		if err := json.Unmarshal([]byte(line), &job); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		keys = append(keys, job.Key)
	}
	return strings.Join(keys, " ")
}
