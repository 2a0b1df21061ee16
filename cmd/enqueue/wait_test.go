package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// serve runs a worker in this process until the test ends.
func serve(t *testing.T, url string, mux *worker.Mux, config worker.Config) {
	t.Helper()
	w, err := worker.New(openQueue(t, url), mux, config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("worker: %v", err)
		}
	})
}

// fates serves kinds that end in each way.
func fates() *worker.Mux {
	mux := worker.NewMux()
	mux.HandleKind("echo", func(_ context.Context, job *queue.Job[queue.Raw]) error { return job.SetResult(job.Args.Payload) })
	mux.HandleKind("bytes", func(_ context.Context, job *queue.Job[queue.Raw]) error { return job.SetResult([]byte("a\xff\n\x00")) })
	mux.HandleKind("text", func(_ context.Context, job *queue.Job[queue.Raw]) error { return job.SetResult([]byte("plain\n")) })
	mux.HandleKind("silent", func(context.Context, *queue.Job[queue.Raw]) error { return nil })
	mux.HandleKind("fails", func(context.Context, *queue.Job[queue.Raw]) error {
		return queue.WithOutput(errors.New("no \x1b[31mluck"), "first\nlast \x07words\n")
	})
	mux.HandleKind("hangs", func(ctx context.Context, _ *queue.Job[queue.Raw]) error { <-ctx.Done(); return context.Cause(ctx) })
	return mux
}

var anID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`)

func TestWaitFates(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	serve(t, srv.URL(), fates(), worker.Config{})
	if _, err := openQueue(t, srv.URL()).Pause(t.Context(), "stopped"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		args   []string
		code   int
		stdout string
		stderr string // ID stands for the job's
	}{
		{"succeeded", []string{"echo", `{"a": 1}`}, 0, `{"a": 1}`, ""},
		{"bytes", []string{"bytes"}, 0, "a\xff\n\x00", ""},
		{"nothing to tell", []string{"silent"}, 0, "", ""},
		{"with a limit", []string{"echo", "2", "--wait=1m"}, 0, "2", ""},
		{"dead", []string{"fails", "--max-attempts", "1"}, 1, "", "enqueue: job ID is dead after 1 attempt: no \\x1b[31mluck; its output ended with:\n  first\n  last \\x07words\n"},
		{"dead and quiet", []string{"fails", "--max-attempts", "1", "-q"}, 1, "", ""},
		{"expired", []string{"echo", "--expire-in", "1ms", "--in", "20ms"}, 5, "", "enqueue: job ID expired before it was started\n"},
		{"timed out", []string{"hangs", "--timeout", "10ms", "--max-attempts", "1"}, 1, "", "enqueue: job ID is dead after 1 attempt: job timed out: context deadline exceeded\n"},
		{"not in time", []string{"hangs", "--wait=50ms", "--queue", "nobody"}, 124, "", "enqueue: timed out after 50ms: job ID goes on; it is ready, and no worker has taken it (queue \"nobody\")\n"},
		{"paused", []string{"echo", "--wait=50ms", "--queue", "stopped"}, 124, "", "enqueue: timed out after 50ms: job ID goes on; it is ready, and queue \"stopped\" is paused\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := call{url: srv.URL(), args: append([]string{"--wait"}, c.args...)}.run(t)
			r.stderr = anID.ReplaceAllString(r.stderr, "ID")
			r.want(t, c.code, c.stderr)
			if r.stdout != c.stdout {
				t.Errorf("stdout %q, want %q", r.stdout, c.stdout)
			}
		})
	}
}

func TestWaitJSON(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	serve(t, srv.URL(), fates(), worker.Config{})
	for name, c := range map[string]struct {
		args []string
		code int
		want string // with ID and TIME
	}{
		"succeeded": {[]string{"echo", `{"a": 1}`, "--id", "one"}, 0, `{"id":"ID","kind":"echo","queue":"default","duplicate":false,"state":"succeeded",` +
			`"result":{"a":1},"attempts":1,"created_at":"TIME","started_at":"TIME","ended_at":"TIME"}`},
		"text": {[]string{"text"}, 0, `{"id":"ID","kind":"text","queue":"default","duplicate":false,"state":"succeeded",` +
			`"result_text":"plain\n","attempts":1,"created_at":"TIME","started_at":"TIME","ended_at":"TIME"}`},
		"bytes": {[]string{"bytes"}, 0, `{"id":"ID","kind":"bytes","queue":"default","duplicate":false,"state":"succeeded",` +
			`"result_base64":"Yf8KAA==","attempts":1,"created_at":"TIME","started_at":"TIME","ended_at":"TIME"}`},
		"dead": {[]string{"fails", "--max-attempts", "1"}, 1, `{"id":"ID","kind":"fails","queue":"default","duplicate":false,"state":"dead",` +
			`"error":"no \u001b[31mluck","output":"first\nlast \u0007words\n","attempts":1,"created_at":"TIME","started_at":"TIME","ended_at":"TIME"}`},
		"not in time": {[]string{"hangs", "--wait=50ms", "--queue", "nobody"}, 124, `{"id":"ID","kind":"hangs","queue":"nobody","duplicate":false,"state":"ready",` +
			`"attempts":0,"created_at":"TIME"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := call{url: srv.URL(), args: append([]string{"--wait", "--json", "-q"}, c.args...)}.run(t)
			r.want(t, c.code, "")
			got := regexp.MustCompile(`20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z`).ReplaceAllString(anID.ReplaceAllString(r.stdout, "ID"), "TIME")
			if got != c.want+"\n" {
				t.Errorf("stdout\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// A job that is there already is waited for, not refused: the script that was run again gets the same answer.
func TestWaitForDuplicate(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	serve(t, srv.URL(), fates(), worker.Config{})
	one := call{url: srv.URL(), args: []string{"echo", "1", "--id", "one", "--wait"}}
	two := call{url: srv.URL(), args: []string{"echo", "2", "--id", "one", "--wait", "--json"}}
	one.run(t).want(t, 0, "")
	r := two.run(t)
	r.want(t, 0, "")
	var got fateView
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil || !got.Duplicate || string(got.Result) != "1" || got.State != queue.Succeeded {
		t.Errorf("%+v, %v", got, err)
	}
	client := openQueue(t, srv.URL())
	if s, err := client.Get(t.Context(), "default", "one"); err != nil || s.Retention != 10*time.Minute {
		t.Errorf("kept for %v, %v", s.Retention, err)
	}
	call{url: srv.URL(), args: []string{"echo", "3", "--wait", "--retain", "1h", "--id", "kept"}}.run(t).want(t, 0, "")
	if s, err := client.Get(t.Context(), "default", "kept"); err != nil || s.Retention != time.Hour {
		t.Errorf("kept for %v, %v", s.Retention, err)
	}
}

// What operators do to the job meanwhile, and what ends the waiting.
func TestWaitAndOperators(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		act    func(client *queue.Client, id string, r *running) error
		code   int
		stderr string
	}{
		"cancelled": {func(client *queue.Client, id string, _ *running) error {
			_, err := client.Cancel(t.Context(), "idle", id)
			return err
		}, 4, "enqueue: job cancelled (ID) was cancelled\n"},
		"deleted": {func(client *queue.Client, id string, _ *running) error { return client.Delete(t.Context(), "idle", id) }, 6,
			"enqueue: job deleted (ID) is gone and left nothing behind: it was deleted, or was there before and is not kept (--retain)\n"},
		"interrupted": {func(_ *queue.Client, _ string, r *running) error { r.signal(os.Interrupt); return nil }, 130,
			"enqueue: interrupted: job interrupted (ID) goes on; it is ready, and no worker has taken it (queue \"idle\")\n"},
		"fails": {func(client *queue.Client, id string, r *running) error {
			redistest.WaitFor(t, time.Minute, func() bool {
				s, err := client.Get(t.Context(), "idle", id)
				return err == nil && s.State == queue.Scheduled && len(s.Errors) > 0
			}, "the failure")
			r.signal(os.Interrupt)
			return nil
		}, 130, "enqueue: interrupted: job fails (ID) goes on; it is scheduled, after 1 attempt; last error: no \\x1b[31mluck\n"},
		"noone.here": {func(client *queue.Client, id string, r *running) error {
			redistest.WaitFor(t, time.Minute, func() bool {
				s, err := client.Get(t.Context(), "idle", id)
				return err == nil && !s.UnknownSince.IsZero()
			}, "a worker to come by")
			r.signal(os.Interrupt)
			return nil
		}, 130, "enqueue: interrupted: job noone.here (ID) goes on; it is scheduled: no worker serves kind \"noone.here\" (queue \"idle\")\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := redistest.Server(t)
			client := openQueue(t, srv.URL())
			if name == "fails" || name == "noone.here" {
				serve(t, srv.URL(), fates(), worker.Config{Queues: []worker.Queue{{Name: "idle"}},
					Retry: worker.Backoff{Base: time.Hour, Cap: time.Hour, Factor: 1}})
			}
			r := call{url: srv.URL(), args: []string{name, "--wait", "--queue", "idle", "--id", name, "--in", "0s"}}.start(t)
			var id string
			redistest.WaitFor(t, time.Minute, func() bool {
				s, err := client.Get(t.Context(), "idle", name)
				if err == nil {
					id = s.ID.String()
				}
				return err == nil
			}, "the job")
			rdb := redistest.Client(t, srv)
			redistest.WaitFor(t, time.Minute, func() bool { return len(rdb.PubSubChannels(t.Context(), "tm:ended:*").Val()) > 0 }, "the subscription")
			if err := c.act(client, id, r); err != nil {
				t.Fatal(err)
			}
			got := r.wait()
			got.stderr = strings.ReplaceAll(got.stderr, id, "ID")
			got.want(t, c.code, c.stderr)
		})
	}
}
