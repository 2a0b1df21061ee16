package main

import (
	"os"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/internal/redistest"
)

// What is stored and not confirmed is told so, by words, JSON and exit code, and is no reject.
func TestNotConfirmed(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	durable := []string{"--replicas", "1", "--durable-timeout", "100ms"}
	single := call{url: srv.URL(), args: append([]string{"log", "{}", "--id", "mine", "--json"}, durable...)}.run(t)
	const missing = " after 100ms: 0 of 1 replicas"
	if single.code != 7 || !strings.Contains(single.stdout, `"duplicate":false,"confirmed":false}`) ||
		!strings.HasPrefix(single.stderr, "enqueue: stored, replication not confirmed: job ") ||
		!strings.HasSuffix(single.stderr, missing+"; the job is in the queue: do not send it again\n") {
		t.Errorf("%d\n%s\n%s", single.code, single.stdout, single.stderr)
	}
	again := call{url: srv.URL(), args: append([]string{"log", "{}", "--id", "mine"}, durable...)}.run(t)
	if again.code != 1 || !strings.Contains(again.stderr, "duplicate: a job of this id exists: ") || !strings.HasSuffix(again.stderr, "its replication is not confirmed\n") {
		t.Errorf("%d %s", again.code, again.stderr)
	}
	rejects := tempFile(t, "rejects", "")
	stream := call{url: srv.URL(), args: append([]string{"--file", "-", "--json", "--rejects", rejects}, durable...), stdin: strings.NewReader(lines(1, 20))}.run(t)
	if stream.code != 7 || !strings.Contains(stream.stdout, `"enqueued":20,"duplicates":0,"rejected":0,"not_confirmed":20,`) ||
		stream.stderr != "enqueued 20, duplicates 0, rejected 0, in but not confirmed 20\n" {
		t.Errorf("%d\n%s\n%s", stream.code, stream.stdout, stream.stderr)
	}
	if text, err := os.ReadFile(rejects); err != nil || len(text) > 0 {
		t.Errorf("rejected %q, %v", text, err)
	}
	if n := ready(t, openQueue(t, srv.URL()), "default"); n != 21 {
		t.Errorf("%d jobs are in, want 21", n)
	}
	confirmed := redistest.NewReplicated(t, 1)[0]
	good := call{url: confirmed.URL(), args: []string{"log", "{}", "--json", "--replicas", "1", "--durable-timeout", "30s"}}.run(t)
	if good.code != 0 || !strings.Contains(good.stdout, `"confirmed":true`) {
		t.Errorf("%d\n%s\n%s", good.code, good.stdout, good.stderr)
	}
}

// A server that cannot is told before anything is enqueued.
func TestFsyncThatTheServerLacks(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t) // too old, or without an append-only file
	for _, args := range [][]string{{"log", "{}", "--fsync"}, {"--file", "-", "--fsync"}} {
		r := call{url: srv.URL(), args: args, stdin: strings.NewReader(lines(1, 3))}.run(t)
		if r.code != 3 || !strings.Contains(r.stderr, "Durability with Fsync needs WAITAOF") {
			t.Errorf("%q: %d %s", args, r.code, r.stderr)
		}
	}
	if n := ready(t, openQueue(t, srv.URL()), "default"); n != 0 {
		t.Errorf("%d jobs are in", n)
	}
}
