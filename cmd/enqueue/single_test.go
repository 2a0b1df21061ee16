package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/internal/wire"
	"github.com/tidemill/tidemill/queue"
)

func TestOneJob(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := openQueue(t, srv.URL())
	for _, c := range []struct {
		name  string
		args  []string
		stdin string
		want  string
	}{
		{"no args", []string{"log"}, "", `{}`},
		{"args as they are", []string{"log", ` {"b": 1,  "a": 1.50, "u":"\u00e4"} `}, "", `{"b": 1,  "a": 1.50, "u":"\u00e4"}`},
		{"null", []string{"log", "null"}, "", `null`},
		{"stdin", []string{"log", "-"}, "[1,\n 2]\n", "[1,\n 2]"},
		{"stdin of a Windows editor", []string{"log", "-"}, "\xef\xbb\xbf{\"a\":1}\r\n", `{"a":1}`},
		{"quiet", []string{"log", "1", "-q"}, "", `1`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := call{url: srv.URL(), args: c.args, stdin: strings.NewReader(c.stdin)}.run(t)
			r.want(t, 0, "")
			id := strings.TrimSuffix(r.stdout, "\n")
			if _, err := uuid.Parse(id); err != nil || len(id) != 36 {
				t.Fatalf("stdout %q", r.stdout)
			}
			job, err := client.Get(t.Context(), "default", id)
			if err != nil || string(job.Payload) != c.want || job.Kind != "log" || job.State != queue.Ready {
				t.Errorf("%+v, %v", job, err)
			}
		})
	}
}

// Every option arrives, by flag, by line, and by flag for lines that leave it out.
func TestEveryOption(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := openQueue(t, srv.URL())
	flags := []string{"--queue", "mail", "--at", "2100-01-31T08:00:00.123Z", "--priority", "7", "--max-attempts", "3", "--timeout", "1500ms",
		"--deadline", "4102444800", "--expire-at", "4102444800500", "--retain", "1h", "--meta", "a=1,2=3", "--meta", "b="}
	const fields = `"queue":"mail","at":"2100-01-31T08:00:00.123Z","priority":7,"max_attempts":3,"timeout":1500,"deadline":4102444800,` +
		`"expire_at":4102444800500,"retain":"1h","meta":{"a":"1,2=3","b":""}`
	check := func(t *testing.T, id string) {
		t.Helper()
		job, err := client.Get(t.Context(), "mail", id)
		if err != nil {
			t.Fatal(err)
		}
		due := time.Date(2100, 1, 31, 8, 0, 0, 123e6, time.UTC)
		if job.State != queue.Scheduled || !job.DueAt.Equal(due) || job.Priority != 7 || job.MaxAttempts != 3 ||
			job.Timeout != 1500*time.Millisecond || job.Deadline.Unix() != 4102444800 || job.ExpiresAt.UnixMilli() != 4102444800500 ||
			job.Retention != time.Hour || len(job.Meta) != 2 || job.Meta["a"] != "1,2=3" || job.Key != id || string(job.Payload) != `[1]` {
			t.Errorf("%+v", job)
		}
	}
	stream := func(t *testing.T, line string, args ...string) {
		t.Helper()
		call{url: srv.URL(), args: append(args, "--file", "-"), stdin: strings.NewReader(line)}.run(t).
			want(t, 0, "enqueued 1, duplicates 0, rejected 0\n")
	}
	call{url: srv.URL(), args: append([]string{"mail.send", "[1]", "--id", "one"}, flags...)}.run(t).want(t, 0, "")
	check(t, "one")
	stream(t, `{"kind":"mail.send","args":[1],"id":"two",`+fields+`}`)
	check(t, "two")
	stream(t, `{"kind":"mail.send","args":[1],"id":"three","priority":null}`, flags...)
	check(t, "three")
	// A line wins over a flag.
	stream(t, `{"kind":"mail.send","args":[1],"id":"four",`+fields+`}`, "--queue", "other", "--in", "5s", "--priority", "1",
		"--expire-in", "1s", "--meta", "a=0")
	check(t, "four")

	before := time.Now()
	call{url: srv.URL(), args: []string{"log", "--id", "in", "--in", "1h0m0.0015s", "--expire-in", "2h"}}.run(t).want(t, 0, "")
	stream(t, `{"kind":"log","id":"in2","in":3600002,"expire_in":"2h"}`)
	for _, id := range []string{"in", "in2"} {
		job, err := client.Get(t.Context(), "default", id)
		if err != nil {
			t.Fatal(err)
		}
		in, expires := job.DueAt.Sub(before), job.ExpiresAt.Sub(before)
		if in < time.Hour || in > time.Hour+time.Minute || expires < 2*time.Hour-time.Millisecond || expires > 2*time.Hour+time.Minute {
			t.Errorf("%s: due in %v, expires in %v", id, in, expires)
		}
	}
}

func TestDuplicate(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := openQueue(t, srv.URL())
	run := func(args ...string) result { return call{url: srv.URL(), args: args}.run(t) }
	first := run("log", `1`, "--id", "x")
	first.want(t, 0, "")
	id := strings.TrimSpace(first.stdout)
	again := run("log", `2`, "--id", "x")
	again.want(t, 1, "enqueue: duplicate: a job of this id exists: x ("+id+")\n")
	if again.stdout != first.stdout {
		t.Errorf("stdout %q, want the id %q", again.stdout, id)
	}
	run("log", `2`, "--id", "x", "-q").want(t, 1, "")
	r := run("log", `2`, "--id", "x", "-q", "--json")
	var out struct {
		ID, Kind, Queue string
		Duplicate       bool
	}
	if err := json.Unmarshal([]byte(r.stdout), &out); err != nil || out.ID != id || out.Kind != "log" || out.Queue != "default" || !out.Duplicate {
		t.Errorf("stdout %q: %+v, %v", r.stdout, out, err)
	}
	if _, err := client.Cancel(t.Context(), "default", "x"); err != nil {
		t.Fatal(err)
	}
	run("log", `3`, "--id", "x").want(t, 1,
		"enqueue: duplicate: the job of this id was cancelled, and the id is free again once a worker passed its place: x ("+id+")\n")
}

// Flag, then environment, then default; NAMESPACE likewise.
func TestPrecedence(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	rdb := redistest.Client(t, srv)
	call{url: "redis://127.0.0.1:1", args: []string{"log", "--redis", srv.URL()}}.run(t).want(t, 0, "")
	call{url: srv.URL(), args: []string{"log"}, env: []string{"TIDEMILL_NAMESPACE=env"}}.run(t).want(t, 0, "")
	call{url: srv.URL(), args: []string{"log", "--namespace", "flag"}, env: []string{"TIDEMILL_NAMESPACE=env"}}.run(t).want(t, 0, "")
	for _, name := range []string{"tm", "env", "flag"} {
		if n := rdb.HLen(t.Context(), name+":{default}:jobs").Val(); n != 1 {
			t.Errorf("%d jobs in namespace %s", n, name)
		}
	}
}

// With --lifecycle whoever listens hears of what was created, also of a single job and of what a file holds.
func TestLifecycle(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	rdb := redis.NewClient(&redis.Options{Addr: srv.Addr()})
	sub := rdb.Subscribe(t.Context(), queue.EventTopic("mail"))
	t.Cleanup(func() { _, _ = sub.Close(), rdb.Close() })
	if _, err := sub.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"log", "--queue", "mail", "--id", "untold"}, {"log", "--queue", "mail", "--id", "a", "--lifecycle"},
		{"--file", "-", "--queue", "mail", "--lifecycle", "-q"}} {
		r := call{url: srv.URL(), args: args, stdin: strings.NewReader(`{"kind":"log","id":"b"}` + "\n" + `{"kind":"log","id":"a"}` + "\n" + `{"kind":"log","id":"c"}`)}.run(t)
		if r.code != 0 && args[0] == "log" {
			t.Fatalf("%+v", r)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), endWithin)
	defer cancel()
	for _, want := range []string{"a", "b", "c"} {
		m, err := sub.ReceiveMessage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var e queue.Event
		if err := json.Unmarshal(wire.DecodeMessage([]byte(m.Payload)).Data, &e); err != nil || e.Event != queue.EventCreated || e.Key != want || e.Kind != "log" {
			t.Errorf("%+v, %v; want created %s", e, err, want)
		}
	}
}
