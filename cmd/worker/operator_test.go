package main_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

func TestStats(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := open(t, srv.URL())
	ask := func(args ...string) *process {
		return run(t, nil, workerPath, append([]string{"stats", "--redis", srv.URL()}, args...)...)
	}
	if got := ask("--json").out.String(); got != `{"queues":[]}`+"\n" {
		t.Errorf("without queues: %s", got)
	}
	if got := ask().out.String(); got != "no queue has been used yet\n" {
		t.Errorf("without queues: %s", got)
	}
	enqueue(t, client, "noop", `{}`)
	enqueue(t, client, "noop", `{}`, queue.Retain(time.Hour))
	enqueue(t, client, "fail", `{}`, queue.MaxAttempts(1))
	run(t, nil, workerPath, "run", "--redis", srv.URL(), "--exit-when-empty").wantCode(0)
	enqueue(t, client, "noop", `{}`)
	enqueue(t, client, "noop", `{}`, queue.In(time.Hour))
	enqueue(t, client, "noop", `{}`, queue.Queue("a-longer-name"))
	if _, err := client.Pause(t.Context(), "a-longer-name"); err != nil {
		t.Fatal(err)
	}
	const other = `{"name":"a-longer-name","ready":1,"scheduled":0,"running":0,"dead":0,"finished":0,"succeeded_total":0,"failed_total":0,"paused":true}`
	const normal = `{"name":"default","ready":1,"scheduled":1,"running":0,"dead":1,"finished":1,"succeeded_total":2,"failed_total":1,"paused":false}`
	if got := ask("--json").out.String(); got != `{"queues":[`+other+","+normal+"]}\n" {
		t.Errorf("got %s", got)
	}
	if got := ask("--json", "--queue", "default", "--queue", "default").out.String(); got != `{"queues":[`+normal+"]}\n" {
		t.Errorf("filtered: %s", got)
	}
	const table = `QUEUE          READY  SCHEDULED  RUNNING  DEAD  FINISHED  SUCCEEDED  FAILED
a-longer-name      1          0        0     0         0          0       0  paused
default            1          1        0     1         1          2       1
`
	if got := ask().out.String(); got != table {
		t.Errorf("table:\n%s", got)
	}
	p := ask("--queue", "defualt")
	p.wantCode(1)
	if !strings.Contains(p.err.String(), `no queue "defualt" has been used yet (did you mean default?)`) {
		t.Error(p.err.String())
	}
}

func TestStatsOfABrokenQueue(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := open(t, srv.URL())
	enqueue(t, client, "noop", `{}`)
	enqueue(t, client, "noop", `{}`, queue.Queue("broken"))
	if err := client.Redis().Set(t.Context(), "tm:{broken}:scheduled", "x", 0).Err(); err != nil {
		t.Fatal(err)
	}
	p := run(t, nil, workerPath, "stats", "--json", "--redis", srv.URL())
	p.wantCode(1)
	if !strings.Contains(p.out.String(), `"name":"default","ready":1`) {
		t.Errorf("the sound queue is missing: %s", p.out.String())
	}
	if !strings.Contains(p.err.String(), "tm:{broken}:scheduled") {
		t.Errorf("the broken key is not named: %s", p.err.String())
	}
}

func TestQueuesAndJobs(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := open(t, srv.URL())
	for _, id := range []string{"one", "two"} {
		enqueue(t, client, "noop", `{"a":1}`, queue.ID(id), queue.Meta("by", "test"))
	}
	enqueue(t, client, "fail", `{"error":"no \u001b[31m luck"}`, queue.ID("lost"), queue.MaxAttempts(1), queue.Queue("other"))
	run(t, nil, workerPath, "run", "--redis", srv.URL(), "--queues", "other", "--exit-when-empty").wantCode(0)
	for _, tt := range []struct {
		args string
		code int
		want string // part of stdout, or of stderr where the code is not 0
	}{
		{"queues pause default", 0, "paused default\n"},
		{"queues pause default", 0, "default was paused already\n"},
		{"queues pause default --json", 0, `{"queue":"default","paused":true,"changed":false}` + "\n"},
		{"queues resume default --json", 0, `{"queue":"default","paused":false,"changed":true}` + "\n"},
		{"queues resume default", 0, "default was not paused\n"},
		{"jobs show default one", 0, "key       one\n"},
		{"jobs show default one --json", 0, `"state":"ready"`},
		{"jobs cancel default one", 0, "one is cancelled\n"},
		{"jobs cancel default one", 1, "unknown job"},
		{"jobs cancel default two --json", 0, `{"id":"two","queue":"default","state":"cancelled"}` + "\n"},
		{"jobs redrive default one", 1, "unknown job"},
		{"jobs show other lost", 0, `no \x1b[31m luck`},
		{"jobs redrive other lost", 0, "lost is ready again\n"},
		{"jobs redrive other lost", 1, "it is not dead"},
		{"jobs delete other lost --json", 0, `{"id":"lost","queue":"other","state":"deleted"}` + "\n"},
		{"jobs delete other lost", 1, "unknown job"},
		{"jobs show other nothing", 1, "unknown job"},
	} {
		p := run(t, []string{"REDIS_URL=" + srv.URL()}, workerPath, strings.Fields(tt.args)...)
		text := p.out.String()
		if tt.code != 0 {
			text = p.err.String()
		}
		if p.code() != tt.code || !strings.Contains(text, tt.want) {
			t.Errorf("%s: exit code %d, want %d with %q in:\n%s%s", tt.args, p.code(), tt.code, tt.want, p.out.String(), p.err.String())
		}
	}
	p := run(t, nil, workerPath, "queues", "pause", "defaults", "--redis", srv.URL())
	if p.wantCode(0); !strings.Contains(p.err.String(), "did you mean default?") {
		t.Errorf("no note about a queue that nobody uses: %s", p.err.String())
	}
}

func TestShowJSON(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := open(t, srv.URL())
	id := enqueue(t, client, "resize", "\xff", queue.In(time.Hour), queue.Timeout(time.Minute), queue.Priority(3))
	p := run(t, nil, workerPath, "jobs", "show", "default", id, "--json", "--redis", srv.URL())
	p.wantCode(0)
	var got map[string]any
	if err := json.Unmarshal([]byte(p.out.String()), &got); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{"id": id, "queue": "default", "kind": "resize", "state": "scheduled", "priority": 3.0,
		"attempts": 0.0, "crashes": 0.0, "timeout": "1m0s", "args_base64": "/w=="} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	for _, name := range []string{"created_at", "due_at"} {
		text, _ := got[name].(string)
		if _, err := time.Parse(time.RFC3339, text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"args", "ended_at", "errors", "corrupt", "max_attempts"} {
		if got[name] != nil {
			t.Errorf("%s is %v", name, got[name])
		}
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{nil, 0, "session TTL: not set; the first worker sets it\n"},
		{[]string{"--session-ttl", "3s"}, 0, "session TTL: 3s\n"},
		{[]string{"--json"}, 0, `{"session_ttl_ms":3000}` + "\n"},
		{[]string{"--session-ttl", "1s"}, 2, "session TTL: 1s; allowed: 2s to 1h0m0s"},
		{nil, 0, "session TTL: 3s\n"},
	} {
		p := run(t, []string{"REDIS_URL=" + srv.URL()}, workerPath, append([]string{"settings"}, tt.args...)...)
		if text := p.out.String() + p.err.String(); p.code() != tt.code || !strings.Contains(text, tt.want) {
			t.Errorf("%q: exit code %d, want %d with %q in:\n%s", tt.args, p.code(), tt.code, tt.want, text)
		}
	}
	// A worker adopts what was set.
	p := run(t, []string{"REDIS_URL=" + srv.URL()}, workerPath, "run", "--exit-when-empty", "--log-format", "json")
	p.wantCode(0)
	p.says(&p.err, "the session TTL of the namespace is another one")
}
