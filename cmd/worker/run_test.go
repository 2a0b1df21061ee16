package main_test

import (
	"context"
	"encoding/json"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

func TestBuiltins(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := open(t, srv.URL())
	keep := queue.Retain(time.Hour)
	succeed := map[string]int{ // id -> attempts used
		enqueue(t, client, "log", "{\n \"hello\": \"wörld\"}", keep):                                1,
		enqueue(t, client, "log", "\xff\x00 no JSON", keep):                                         1,
		enqueue(t, client, "log", `"`+strings.Repeat("x", 17<<10)+`"`, keep):                        1,
		enqueue(t, client, "noop", `[1,2,3]`, keep):                                                 1,
		enqueue(t, client, "sleep", `{"duration":"5ms","unknown":{"a":[]}}`, keep):                  1,
		enqueue(t, client, "sleep", `{"duration":2.5}`, keep):                                       1,
		enqueue(t, client, "fail", `{"times":2,"error":"out of luck","unknown":1}`, keep):           3,
		enqueue(t, client, "fail", `{"times":0}`, keep):                                             1,
		enqueue(t, client, "noop", `{}`, keep, queue.In(700*time.Millisecond), queue.ID("delayed")): 1,
	}
	dead := map[string]string{
		enqueue(t, client, "fail", `{"times":-1}`):                             `times is -1`,
		enqueue(t, client, "fail", `{"error":"thrice"}`, queue.MaxAttempts(1)): `thrice`,
		enqueue(t, client, "sleep", `{"duration":"soon"}`):                     `"soon" is not a duration`,
		enqueue(t, client, "sleep", `{"duration":"-1s"}`):                      `not negative`,
		enqueue(t, client, "sleep", `{"duration":1e300}`):                      `is not a duration`,
		enqueue(t, client, "sleep", `[]`):                                      `cannot unmarshal`,
	}
	p := run(t, []string{"REDIS_URL=" + srv.URL()}, workerPath, "run", "--exit-when-empty", "--concurrency", "5")
	p.wantCode(0)
	for id, attempts := range succeed {
		if s := get(t, client, id); s.State != queue.Succeeded || s.Attempts != attempts {
			t.Errorf("%s %s: %s after %d attempts, want success after %d", s.Kind, s.Payload, s.State, s.Attempts, attempts)
		}
	}
	for id, reason := range dead {
		if s := get(t, client, id); s.State != queue.DeadState || !strings.Contains(s.Reason, reason) {
			t.Errorf("%s %s: %s because %q, want dead because %q", s.Kind, s.Payload, s.State, s.Reason, reason)
		}
	}
	if p.out.String() != "" {
		t.Errorf("stdout: %q", p.out.String())
	}
	for _, want := range []string{`"args":{"hello":"wörld"}`, `\\xff\\x00 no JSON`, `"bytes":17410`, "out of luck"} {
		if !strings.Contains(p.err.String(), want) {
			t.Errorf("the log lacks %s", want)
		}
	}
	for _, line := range strings.Split(strings.TrimSpace(p.err.String()), "\n") {
		if !json.Valid([]byte(line)) {
			t.Errorf("log line is no JSON: %s", line)
		}
	}
}

func TestStrictOrder(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := open(t, srv.URL())
	for range 20 {
		enqueue(t, client, "log", `"second"`, queue.Queue("b"))
		enqueue(t, client, "log", `"first"`, queue.Queue("a"))
	}
	p := run(t, []string{"NO_COLOR=1", "LOG_FORMAT=pretty"}, workerPath, "run", "--redis", srv.URL(),
		"--queues", "a", "--queues", "b", "--strict", "--concurrency", "1", "--exit-when-empty")
	p.wantCode(0)
	log := p.err.String()
	if strings.LastIndex(log, "first") > strings.Index(log, "second") || strings.Count(log, "second") != 20 {
		t.Errorf("order: %s", log)
	}
	if !strings.Contains(log, " INF log queue=b kind=log") || strings.Contains(log, "\x1b[") {
		t.Errorf("not pretty, or coloured: %.300q", log)
	}
}

func TestNamespaceAndLevel(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client, err := queue.Open(t.Context(), srv.URL(), queue.Config{Namespace: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	enqueue(t, client, "log", `{}`)
	p := run(t, []string{"TIDEMILL_NAMESPACE=shop", "LOG_LEVEL=WARN"}, workerPath, "run", "--redis", srv.URL(), "--exit-when-empty")
	p.wantCode(0)
	if n := counts(t, client, "default"); n.Succeeded != 1 || p.err.String() != "" {
		t.Errorf("%d succeeded; log: %s", n.Succeeded, p.err.String())
	}
}

// holding is a worker in this process; a job of the kind hold ends for each call of release.
func holding(t *testing.T, url string) (release func()) {
	t.Helper()
	held := make(chan struct{}, 1)
	mux := worker.NewMux()
	mux.HandleKind("hold", func(context.Context, *queue.Job[queue.Raw]) error { <-held; return nil })
	w, err := worker.New(open(t, url), mux, worker.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		close(held)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return func() { held <- struct{}{} }
}

func TestExitWhenEmptyWaitsForOthers(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := open(t, srv.URL())
	release := holding(t, srv.URL())
	enqueue(t, client, "hold", `{}`)
	runs(t, client, 1)
	p := start(t, nil, workerPath, "run", "--redis", srv.URL(), "--exit-when-empty")
	p.says(&p.err, "worker started")
	p.staysFor(moment)
	release()
	p.wantCode(0) // how soon: worker.TestExitWhenEmpty
	runs(t, client, 0)
}

// A queue that cannot be served must not hold up the end of a run that waits for the queues to be empty: its fault is
// the run's.
func TestExitWhenEmptyBesideABrokenQueue(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := open(t, srv.URL())
	if err := client.Redis().Set(context.Background(), "tm:{broken}:jobs", "text", 0).Err(); err != nil {
		t.Fatal(err)
	}
	id := enqueue(t, client, "noop", `{}`, queue.Retain(time.Hour))
	p := run(t, []string{"REDIS_URL=" + srv.URL()}, workerPath, "run", "--queues", "broken,default", "--exit-when-empty")
	p.wantCode(1)
	p.says(&p.err, `queue "broken" is stopped: key "tm:{broken}:jobs" holds another type`)
	if got := get(t, client, id).State; got != queue.Succeeded {
		t.Errorf("the job of the other queue is %s", got)
	}
}

func TestTermDrains(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := open(t, srv.URL())
	enqueue(t, client, "sleep", `{"duration":"1s"}`)
	p := start(t, debug, workerPath, "run", "--redis", srv.URL())
	p.sleeps()
	p.signal(syscall.SIGTERM)
	p.wantCode(0)
	if n := counts(t, client, "default"); n.Succeeded != 1 || n.Ready+n.Running != 0 {
		t.Errorf("%+v", n)
	}
}

func TestSecondSignal(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		signal syscall.Signal
		code   int
	}{{syscall.SIGINT, 130}, {syscall.SIGTERM, 143}} {
		t.Run(tt.signal.String(), func(t *testing.T) {
			t.Parallel()
			srv := redistest.Server(t)
			client := open(t, srv.URL())
			id := enqueue(t, client, "sleep", `{"duration":"1m"}`)
			p := start(t, debug, workerPath, "run", "--redis", srv.URL())
			p.sleeps()
			p.signal(tt.signal)
			p.says(&p.err, "worker stops")
			p.staysFor(moment)
			p.signal(tt.signal)
			p.wantCode(tt.code)
			if s := get(t, client, id); s.State != queue.Ready || s.Attempts != 0 {
				t.Errorf("%s, %d attempts used", s.State, s.Attempts)
			}
		})
	}
}

func TestDrainTimeout(t *testing.T) {
	t.Parallel()
	for _, drain := range []string{"0", "200ms"} {
		t.Run(drain, func(t *testing.T) {
			t.Parallel()
			srv := redistest.Server(t)
			client := open(t, srv.URL())
			id := enqueue(t, client, "sleep", `{"duration":"1m"}`)
			p := start(t, debug, workerPath, "run", "--redis", srv.URL(), "--drain", drain)
			p.sleeps()
			p.signal(syscall.SIGTERM)
			p.wantCode(75)
			if s := get(t, client, id); s.State != queue.Ready || s.Attempts != 0 {
				t.Errorf("%s, %d attempts used", s.State, s.Attempts)
			}
			if !strings.Contains(p.err.String(), "worker: drain timed out, unfinished jobs were released") {
				t.Error("it does not say why")
			}
		})
	}
}
