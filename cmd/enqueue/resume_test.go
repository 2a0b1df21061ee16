package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
)

// readOffsets reads an offset file.
func readOffsets(t *testing.T, path string) (r offsetRecord) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Ctrl-C, and then the same command.
func TestInterruptedAndTakenUp(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := openQueue(t, srv.URL())
	proxy := redistest.NewProxy(t, srv.Addr())
	proxy.DelayReply(redistest.On("EVALSHA"), 20*time.Millisecond)
	file, offsets := tempFile(t, "jobs.jsonl", "x\n\n"+lines(3, 40_000)+"y\n"), filepath.Join(t.TempDir(), "offset")
	args := []string{"--file", file, "--offset-file", offsets}
	r := call{url: "redis://" + proxy.Addr(), args: args}.start(t)
	redistest.WaitFor(t, time.Minute, func() bool { return ready(t, client, "default") > 8000 }, "some lines")
	r.signal(os.Interrupt)
	got := r.wait()
	o := readOffsets(t, offsets)
	in := ready(t, client, "default")
	if got.code != 130 || o.State != stopped || o.Enqueued != in || o.Line != in+3 ||
		!strings.HasSuffix(got.stderr, fmt.Sprintf("enqueued %d, duplicates 0, rejected 1\nenqueue: interrupted; the same command goes on at line %d\n", in, o.Line)) {
		t.Errorf("exit code %d, %d in, offset file %+v\n%s", got.code, in, o, got.stderr)
	}
	// Nothing is unsure, so it goes on though Redis has forgotten the run.
	redistest.Client(t, srv).Del(t.Context(), "tm:{default}:producers")
	call{url: srv.URL(), args: args}.run(t).want(t, 1, fmt.Sprintf("line 40003: column 1: invalid character 'y' looking for beginning of value\n"+
		"enqueued %d, duplicates 0, rejected 1; in all enqueued 40000, duplicates 0, rejected 2\n", 40_000-in))
	if n := ready(t, client, "default"); n != 40_000 {
		t.Errorf("%d jobs are ready", n)
	}
}

// Redis goes away for longer than calls are sent again, and comes back with what it had.
func TestOutageAndTakenUp(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t, redistest.WithAOF("always"))
	client := openQueue(t, srv.URL())
	proxy := redistest.NewProxy(t, srv.Addr())
	proxy.DelayReply(redistest.On("EVALSHA"), 20*time.Millisecond)
	file, offsets := tempFile(t, "jobs.jsonl", lines(1, 40_000)), filepath.Join(t.TempDir(), "offset")
	args := []string{"--file", file, "--offset-file", offsets}
	r := call{url: "redis://" + proxy.Addr(), args: args}.start(t)
	redistest.WaitFor(t, time.Minute, func() bool { return ready(t, client, "default") > 8000 }, "some lines")
	proxy.Refuse(true)
	proxy.Cut()
	r.signal(os.Interrupt) // it would go on trying for a minute
	redistest.WaitFor(t, time.Minute, func() bool { return strings.Contains(r.stderr.String(), "under way") }, "the message")
	r.signal(os.Interrupt)
	if got := r.wait(); got.code != 130 || !strings.Contains(got.stderr, "under way, which may be in or not; the same command goes on at line ") ||
		!strings.HasSuffix(got.stderr, " (no line is enqueued twice)\n") {
		t.Errorf("exit code %d: %s", got.code, got.stderr)
	}
	if err := srv.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := call{url: srv.URL(), args: args}.run(t)
	if again.code != 0 || !strings.HasSuffix(again.stderr, "; in all enqueued 40000, duplicates 0, rejected 0\n") {
		t.Errorf("exit code %d, %s", again.code, again.stderr)
	}
	if n := ready(t, client, "default"); n != 40_000 {
		t.Errorf("%d jobs are ready", n)
	}
}

// A Redis that lost what it had taken, as one does that writes to disk once a second: what is missing is sent again.
func TestRedisLostLines(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client, rdb := openQueue(t, srv.URL()), redistest.Client(t, srv)
	file, offsets := tempFile(t, "jobs.jsonl", lines(1, 2000)), filepath.Join(t.TempDir(), "offset")
	args := []string{"--file", file, "--offset-file", offsets}
	call{url: srv.URL(), args: args}.run(t).want(t, 0, "enqueued 2000, duplicates 0, rejected 0\n")
	dump := rdb.Dump(t.Context(), "tm:{default}:producers").Val()
	if err := os.WriteFile(file, []byte(lines(1, 5000)), 0o600); err != nil {
		t.Fatal(err)
	}
	call{url: srv.URL(), args: args}.run(t).want(t, 0, "enqueued 3000, duplicates 0, rejected 0; in all enqueued 5000, duplicates 0, rejected 0\n")
	for _, key := range []string{"jobs", "ready:0"} {
		rdb.Del(t.Context(), "tm:{default}:"+key)
	}
	rdb.RestoreReplace(t.Context(), "tm:{default}:producers", 0, dump)
	call{url: srv.URL(), args: args}.run(t).want(t, 0, "redis has lost lines that it had taken: "+file+" is read again from its start, and what is in is passed by\n"+
		"enqueued 3000, duplicates 0, rejected 0, already in 2000; in all enqueued 5000, duplicates 0, rejected 0\n")
	if n := ready(t, client, "default"); n != 3000 {
		t.Errorf("%d jobs are ready", n)
	}
}

// Where it cannot be told what a killed run did, nothing is guessed.
func TestRunForgotten(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := openQueue(t, srv.URL())
	file, offsets := tempFile(t, "jobs.jsonl", lines(1, 100)), filepath.Join(t.TempDir(), "offset")
	args := []string{"--file", file, "--offset-file", offsets}
	call{url: srv.URL(), args: args}.run(t).want(t, 0, "enqueued 100, duplicates 0, rejected 0\n")
	text, err := os.ReadFile(offsets)
	if err != nil {
		t.Fatal(err)
	}
	o := readOffsets(t, offsets)
	cut := strings.Replace(string(text), `"state": "finished"`, `"state": "under way"`, 1)
	if err := os.WriteFile(offsets, []byte(cut), 0o600); err != nil {
		t.Fatal(err)
	}
	redistest.Client(t, srv).FlushAll(t.Context())
	for range 2 {
		call{url: srv.URL(), args: args}.run(t).want(t, 1, fmt.Sprintf("enqueue: queue \"default\" knows nothing of this input any more (it is kept 7 days; or this is another Redis, "+
			"or an emptied one): which lines from 101 on are in cannot be told since the run of %s was cut off; to go on all the same, remove %s and give --from-line 101\n",
			o.At.Local().Format("2006-01-02 15:04:05"), offsets))
		// In the time zone of the program; and the second time it says the same.
		if got := readOffsets(t, offsets); got.State != underWay || got.Line != 101 {
			t.Errorf("%+v", got)
		}
		o = readOffsets(t, offsets)
	}
	if n := ready(t, client, "default"); n != 0 {
		t.Errorf("%d jobs are ready", n)
	}
}

// A copy of the offset file is used elsewhere, where no lock shows: the run before is over then.
func TestTakenUpElsewhere(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := openQueue(t, srv.URL())
	proxy := redistest.NewProxy(t, srv.Addr())
	proxy.DelayReply(redistest.On("EVALSHA"), 20*time.Millisecond)
	file, offsets := tempFile(t, "jobs.jsonl", lines(1, 40_000)), filepath.Join(t.TempDir(), "offset")
	r := call{url: "redis://" + proxy.Addr(), args: []string{"--file", file, "--offset-file", offsets}}.start(t)
	redistest.WaitFor(t, time.Minute, func() bool { return ready(t, client, "default") > 8000 }, "some lines")
	in, err := client.Input(readOffsets(t, offsets).Input, 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	line, known, err := in.Resume(t.Context(), "default")
	if err != nil || !known || int(line) != ready(t, client, "default") {
		t.Errorf("it is at %d, known=%v, %v", line, known, err)
	}
	r.wait().want(t, 1, fmt.Sprintf("enqueued %d, duplicates 0, rejected 0\nenqueue: another enqueue has taken this input up; %d lines are surely in; "+
		"the same command goes on at line %d\n", line, line, line+1))
}
