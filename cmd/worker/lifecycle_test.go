package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/internal/wire"
	"github.com/tidemill/tidemill/queue"
)

// listen answers a function that waits for the next event on a topic.
func listen(t *testing.T, addr, topic string) (next func() queue.Event) {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	sub := rdb.Subscribe(t.Context(), topic)
	t.Cleanup(func() { _, _ = sub.Close(), rdb.Close() })
	if _, err := sub.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	return func() queue.Event {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), soon)
		defer cancel()
		m, err := sub.ReceiveMessage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var e queue.Event
		if err := json.Unmarshal(wire.DecodeMessage([]byte(m.Payload)).Data, &e); err != nil {
			t.Fatalf("%q: %v", m.Payload, err)
		}
		return e
	}
}

// A queue whose line says so is told of, others are not; operators' commands tell with a flag.
func TestLifecycleByFile(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := open(t, srv.URL())
	next := listen(t, srv.Addr(), "jobs.loud")
	path := write(t, t.TempDir(), "redis: "+srv.URL()+"\nqueues: {loud: {lifecycle: true}, still: }\nhandlers: {fail: {builtin: fail}}\n")
	o := operate(t, srv.URL())
	for _, name := range []string{"still", "loud"} {
		enqueue(t, client, "fail", `{"error":"out of luck"}`, queue.Queue(name), queue.ID("a-"+name), queue.MaxAttempts(1))
		enqueue(t, client, "fail", `{}`, queue.Queue(name), queue.ID("b-"+name))
	}
	o.says("jobs cancel loud b-loud --lifecycle")
	o.says("jobs cancel still b-still")
	run(t, nil, workerPath, "run", "-c", path, "--queues", "still,loud", "--exit-when-empty").wantCode(0)
	o.says("jobs redrive loud a-loud --lifecycle")
	var got []string
	for range 5 {
		e := next()
		got = append(got, fmt.Sprintf("%s %s %s %s", e.Event, e.Key, e.Kind, e.Error))
	}
	want := []string{"cancelled b-loud fail ", "started a-loud fail ", "failed a-loud fail out of luck", "dead a-loud fail out of luck", "redriven a-loud fail "}
	if !slices.Equal(got, want) {
		t.Errorf("told: %q", got)
	}
	p := run(t, nil, workerPath, "check", "-c", path)
	if !strings.Contains(p.out.String(), "loud (weight 1, tells jobs.loud), still (weight 1)") {
		t.Errorf("check says: %s", p.out.String())
	}
}
