package main_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// write puts a worker.yaml into a folder and answers its path.
func write(t *testing.T, dir, file string) string {
	t.Helper()
	path := filepath.Join(dir, "worker.yaml")
	// As an editor does: the worker must never read half a file.
	if err := os.WriteFile(path+".new", []byte(file), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	return path
}

// Each way to run a job, by patterns, with what the file says of retries, retention and queues.
func TestRunFile(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := open(t, srv.URL())
	var posts atomic.Int64
	hooks := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Header.Get("Webhook-Signature") == "" || r.Header.Get("X-Team") != "billing" {
			http.Error(w, "unsigned", http.StatusBadRequest)
			return
		}
		if posts.Add(1) == 1 {
			http.Error(w, "not yet", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintf(w, "got %s", body)
	}))
	defer hooks.Close()
	dir := folder(t, map[string]string{
		"job":     "#!/bin/sh\nread args\necho \"$TIDEMILL_KIND $MODE $args\"\n",
		"refuse":  "#!/bin/sh\necho no thanks >&2\nexit 65\n",
		"fails":   "#!/bin/sh\necho out of luck >&2\nexit 1\n",
		"secret":  "whsec_" + strings.Repeat("YWJj", 11) + "\n",
		"address": srv.URL() + "\n",
	})
	path := write(t, dir, `
redis: {url_file: address}
queues: {default: {weight: 2}, other: }
handlers:
  "job.*": {exec: {command: [./job], env: ["MODE=fast"]}}
  job.refuse: {exec: {command: [./refuse]}}
  "job.fails.*": {exec: {command: [./fails]}, retry: {max_attempts: 2, base: 1ms, cap: 1ms}}
  hook: {http: {url: "`+hooks.URL+`", secret_file: secret, headers: {X-Team: billing}}, retry: {base: 10ms, cap: 10ms}, retain: 1m}
  "*": {builtin: noop, retain: 5m}
`)
	ids := map[string]string{}
	for _, kind := range []string{"job.a", "job.refuse", "job.fails.b", "hook", "anything"} {
		ids[kind] = enqueue(t, client, kind, `{"n":1}`)
	}
	ids["own"] = enqueue(t, client, "job.fails.c", `{}`, queue.MaxAttempts(1))
	p := run(t, []string{"TIDEMILL_CONFIG=" + path}, workerPath, "run", "--exit-when-empty")
	p.wantCode(0)
	for key, want := range map[string]struct {
		state    queue.State
		attempts int
		result   string
		output   string
		retained time.Duration
	}{
		"job.a":       {queue.Succeeded, 1, "job.a fast {\"n\":1}\n", "", time.Hour},
		"job.refuse":  {queue.DeadState, 1, "", "no thanks\n", 0},
		"job.fails.b": {queue.DeadState, 2, "", "out of luck\n", 0},
		"own":         {queue.DeadState, 1, "", "out of luck\n", 0},
		"hook":        {queue.Succeeded, 2, `got {"n":1}`, "", time.Minute},
		"anything":    {queue.Succeeded, 1, "", "", 5 * time.Minute},
	} {
		s := get(t, client, ids[key])
		output := ""
		if n := len(s.Errors); n > 0 && s.State == queue.DeadState {
			output = s.Errors[n-1].Output
		}
		if s.State != want.state || s.Attempts != want.attempts || string(s.Result) != want.result || output != want.output {
			t.Errorf("%s is %s after %d attempts with result %q and output %q, want %+v", key, s.State, s.Attempts, s.Result, output, want)
		}
		if kept := s.KeptUntil.Sub(s.EndedAt).Round(time.Second); want.retained > 0 && kept != want.retained {
			t.Errorf("%s is kept for %v, want %v", key, kept, want.retained)
		}
	}
	if !strings.Contains(p.err.String(), `"handlers":["*","hook","job.*","job.fails.*","job.refuse"]`) {
		t.Error("the log does not say what is served")
	}
}

// Flag, environment, file, default: who wins, setting by setting.
func TestPrecedence(t *testing.T) {
	t.Parallel()
	whole := `
redis: redis://file:1/0
namespace: filed
concurrency: 7
queues: {a: {weight: 2}, b: {concurrency: 3}}
session_ttl: 9s
shutdown: {drain: 3s, settle: 1s}
log: {level: warn, format: json}
crash_limit: 4
max_connections: 44
handlers: {x: {builtin: log}}
listen: 127.0.0.1:1
`
	env := "TIDEMILL_LISTEN=:2\nREDIS_URL=redis://env:1/0\nTIDEMILL_NAMESPACE=envied\nLOG_LEVEL=ERROR\nLOG_FORMAT=pretty"
	flags := "--listen [::1]:3 --redis redis://flag:1/0 --namespace flagged --log-level debug --log-format auto --concurrency 5 --queues z=4 --strict=false --session-ttl 8s --drain 0s"
	for _, tt := range []struct {
		name, file, env, flags string
		want                   map[string]string // "value, from"
	}{
		{"defaults", "handlers: {x: {builtin: log}}\n", "", "", map[string]string{
			"redis": "redis://127.0.0.1:6379/0, default", "namespace": "tm, default", "concurrency": "20, default", "queues": "default (weight 1), default",
			"strict": "false, default", "session_ttl": "6s, default", "shutdown.drain": "25s, default", "shutdown.settle": "5s, default",
			"crash_limit": "3, default", "max_connections": "50, default", "listen": "nowhere, default", "log.level": "info, default", "log.format": "auto, default"}},
		{"file", whole, "", "", map[string]string{
			"redis": "redis://file:1/0, FILE:2", "namespace": "filed, FILE:3", "concurrency": "7, FILE:4", "queues": "a (weight 2), b (weight 1, at most 3 at once), FILE:5",
			"strict": "false, default", "session_ttl": "9s, FILE:6", "shutdown.drain": "3s, FILE:7", "shutdown.settle": "1s, FILE:7",
			"crash_limit": "4, FILE:9", "max_connections": "44, FILE:10", "listen": "127.0.0.1:1, FILE:12", "log.level": "warn, FILE:8", "log.format": "json, FILE:8"}},
		{"environment over file", whole, env, "", map[string]string{
			"redis": "redis://env:1/0, REDIS_URL", "namespace": "envied, TIDEMILL_NAMESPACE", "listen": ":2, TIDEMILL_LISTEN", "concurrency": "7, FILE:4",
			"log.level": "error, LOG_LEVEL", "log.format": "pretty, LOG_FORMAT"}},
		{"an empty variable is none", whole, "REDIS_URL=\nTIDEMILL_NAMESPACE=\nLOG_LEVEL=", "", map[string]string{
			"redis": "redis://file:1/0, FILE:2", "namespace": "filed, FILE:3", "log.level": "warn, FILE:8"}},
		{"flags over all", whole, env, flags, map[string]string{
			"redis": "redis://flag:1/0, --redis", "namespace": "flagged, --namespace", "concurrency": "5, --concurrency", "queues": "z (weight 4), --queues",
			"strict": "false, --strict", "session_ttl": "8s, --session-ttl", "shutdown.drain": "0s, --drain", "shutdown.settle": "1s, FILE:7",
			"listen": "[::1]:3, --listen", "log.level": "debug, --log-level", "log.format": "auto, --log-format"}},
		{"queues by flag, bounds by file", whole, "", "--queues b=5,z", map[string]string{"queues": "b (weight 5, at most 3 at once), z (weight 1), --queues"}},
		{"strict order", "handlers: {x: {builtin: log}}\nstrict: true\nqueues:\n  a:\n  b: {concurrency: 2}\n", "", "", map[string]string{
			"queues": "a, then b (at most 2 at once), FILE:3", "strict": "true, FILE:2"}},
		{"variables of the file", "handlers: {x: {builtin: log}}\nredis: ${REDIS_URL:-redis://127.0.0.1:6379/0}\n", "REDIS_URL=redis://env:1/0", "", map[string]string{
			"redis": "redis://env:1/0, REDIS_URL"}},
		{"passwords", "handlers: {x: {builtin: log}}\nredis: redis://u:hidden@file:1/0\n", "", "", map[string]string{"redis": "redis://u:***@file:1/0, FILE:2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := write(t, t.TempDir(), tt.file)
			p := run(t, strings.Split(tt.env, "\n"), workerPath, append([]string{"check", "--json", "-c", path}, strings.Fields(tt.flags)...)...)
			p.wantCode(0)
			var said struct {
				Settings []struct{ Name, Value, From string }
			}
			if err := json.Unmarshal([]byte(p.out.String()), &said); err != nil {
				t.Fatalf("%v: %s", err, p.out.String())
			}
			got := map[string]string{}
			for _, s := range said.Settings {
				got[s.Name] = s.Value + ", " + strings.ReplaceAll(s.From, path, "FILE")
			}
			if len(got) != 14 {
				t.Errorf("%d settings: %v", len(got), got)
			}
			for name, want := range tt.want {
				if got[name] != want {
					t.Errorf("%s is %q, want %q", name, got[name], want)
				}
			}
			if strings.Contains(p.out.String(), "hidden") {
				t.Error("it prints a password")
			}
		})
	}
}

// What check says to people, of the file in the reference.
func TestCheckInWords(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../docs/worker-yaml.md")
	if err != nil {
		t.Fatal(err)
	}
	_, file, _ := strings.Cut(string(doc), "```yaml\n")
	file, _, _ = strings.Cut(file, "```")
	dir := folder(t, map[string]string{"convert-job": script, "hook.secret": "shh\n"})
	srv := redistest.Server(t)
	path := write(t, dir, strings.Replace(file, "127.0.0.1:6379", srv.Addr(), 1))
	p := run(t, nil, workerPath, "check", "--connect", "-c", path)
	p.wantCode(0)
	want := `FILE is good.

redis            redis://ADDR/0                                               FILE:1
namespace        tm                                                           FILE:2
concurrency      20                                                           FILE:3
strict           false                                                        default
queues           critical (weight 6), default (weight 3, at most 10 at once)  FILE:4
session_ttl      6s                                                           default
shutdown.drain   25s                                                          FILE:14
shutdown.settle  5s                                                           default
crash_limit      3                                                            default
max_connections  50                                                           default
subscriptions    none                                                         default
listen           nowhere                                                      default
log.level        info                                                         FILE:15
log.format       auto                                                         FILE:15

handlers
  image.*  exec ./convert-job --json; 10 attempts, 2s to 1h apart; timeout 5m; result kept 1h
  hook.*   POST https://app.internal/..., signed; 25 attempts, 1s to 6h apart; timeout 30s
  demo.*   built-in log; 25 attempts, 1s to 6h apart

Redis answers, and can be used.
`
	if got := columns(strings.NewReplacer(path, "FILE", srv.Addr(), "ADDR").Replace(p.out.String())); got != columns(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, columns(want))
	}
}

// How many connections wait is told where there is something to it: in a Cluster, and to programs.
func TestCheckNotes(t *testing.T) {
	t.Parallel()
	path := write(t, t.TempDir(), "handlers: {x: {builtin: log}}\nqueues: {a: {}, b: {}}\n")
	for args, want := range map[string]string{
		"":                                    "",
		"--json":                              "one blocking connection waits for work in all 2 queues",
		"--redis redis+cluster://127.0.0.1:1": "Redis Cluster: a blocking connection for each queue (2)",
		"--redis redis+cluster://127.0.0.1:1 --queues a": "Redis Cluster: ",
		"--redis redis+cluster://127.0.0.1:1 --json":     "Redis Cluster: a blocking connection for each queue (2)",
		"--redis redis+sentinel://127.0.0.1:1/m":         "",
		"--redis redis+sentinel://127.0.0.1:1/m --json":  "one blocking connection waits",
	} {
		p := run(t, nil, workerPath, append([]string{"check", "-c", path}, strings.Fields(args)...)...)
		p.wantCode(0)
		if out := p.out.String(); !strings.Contains(out, want) || want == "" && strings.Contains(out, "blocking connection") {
			t.Errorf("%s: want %q in\n%s", args, want, out)
		}
	}
}

// columns takes the padding out of a table: it depends on how long a path is.
func columns(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.Join(strings.Fields(line), " ")
	}
	return strings.Join(lines, "\n")
}

func TestSchemaFlag(t *testing.T) {
	t.Parallel()
	shipped, err := os.ReadFile("../../docs/worker.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	p := run(t, nil, workerPath, "check", "--schema")
	if p.wantCode(0); p.out.String() != string(shipped) {
		t.Error("check --schema prints another schema than docs/worker.schema.json")
	}
}

// No file is picked up by itself, and one that lies there is pointed at.
func TestOverlookedFile(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	dir := folder(t, map[string]string{"worker.yaml": "not even valid\n"})
	for where, want := range map[string]bool{dir: true, t.TempDir(): false} {
		p := run(t, []string{"REDIS_URL=" + srv.URL()}, "/bin/sh", "-c", "cd '"+where+"' && exec '"+workerPath+"' run --exit-when-empty")
		p.wantCode(0)
		if got := strings.Contains(p.err.String(), "to use it: worker run -c worker.yaml"); got != want {
			t.Errorf("in %s it points at the file: %v, want %v", where, got, want)
		}
	}
}
