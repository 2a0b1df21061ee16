package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// census counts how often each line had its effect.
type census struct {
	seen []atomic.Int32
	sum  atomic.Int64
}

func (c *census) mux() *worker.Mux {
	mux := worker.NewMux()
	mux.HandleKind("noop", func(_ context.Context, job *queue.Job[queue.Raw]) error {
		var args struct{ N int }
		if err := json.Unmarshal(job.Args.Payload, &args); err != nil {
			return queue.Dead(err)
		}
		c.seen[args.N].Add(1)
		c.sum.Add(1)
		return nil
	})
	return mux
}

// Killed -9 three times on the way, while a worker drains: each line has its effect exactly once, and each bad line is
// rejected exactly once. Jobs are done and gone long before their lines are sent again: nothing but the place that Redis
// keeps tells that they were there.
func TestKilledOnTheWay(t *testing.T) {
	t.Parallel()
	total := 200_000
	if raceEnabled {
		total = 60_000
	}
	srv := redistest.Server(t)
	client := openQueue(t, srv.URL())
	c := &census{seen: make([]atomic.Int32, total+1)}
	serve(t, srv.URL(), c.mux(), worker.Config{Concurrency: 20, Queues: []worker.Queue{{Name: "default"}, {Name: "a"}, {Name: "b"}}})
	var input strings.Builder
	bad := 0
	for i := 1; i <= total; i++ {
		if i%1000 == 7 {
			bad++
			fmt.Fprintf(&input, "line %d is bad\n", i)
			continue
		}
		fmt.Fprintf(&input, `{"kind":"noop","queue":%q,"args":{"n":%d}}`+"\n", []string{"default", "a", "b"}[i/100%3], i)
	}
	file, dir := tempFile(t, "jobs.jsonl", input.String()), t.TempDir()
	offsets, rejects := filepath.Join(dir, "offset"), filepath.Join(dir, "rejects")
	run := call{url: srv.URL(), args: []string{"--file", file, "--offset-file", offsets, "--rejects", rejects, "--json", "-q"}}
	enqueued := func() (n int64) {
		for _, name := range []string{"default", "a", "b"} {
			counts, err := client.Counts(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			n += counts.Enqueued
		}
		return n
	}
	for kill := range 3 {
		r := run.start(t)
		goal := int64(total * (kill + 1) / 4)
		redistest.WaitFor(t, time.Minute, func() bool { return enqueued() >= goal }, "lines to be in")
		r.signal(syscall.SIGKILL)
		if got := r.wait(); got.code != -1 {
			t.Fatalf("it ended before it was killed: %+v", got)
		}
		if o := readOffsets(t, offsets); o.State != underWay || o.Line >= total || o.Run != kill+1 {
			t.Errorf("after kill %d: %+v", kill, o)
		}
	}
	r := run.run(t)
	var got struct {
		Enqueued  int
		AlreadyIn int      `json:"already_in"`
		All       *allRuns `json:"all_runs"`
	}
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil || got.All == nil {
		t.Fatalf("%v in %q", err, r.stdout)
	}
	if good := total - bad; got.All.Enqueued != good || got.All.Rejected != bad || got.All.Duplicates != 0 || enqueued() != int64(good) {
		t.Errorf("in all %+v, %d jobs were ever created, want %d and %d rejects", *got.All, enqueued(), good, bad)
	}
	redistest.WaitFor(t, 60*time.Second, func() bool { return c.sum.Load() >= int64(total-bad) }, "the jobs to be done")
	for i := 1; i <= total; i++ {
		want := int32(1)
		if i%1000 == 7 {
			want = 0
		}
		if n := c.seen[i].Load(); n != want {
			t.Fatalf("line %d had its effect %d times", i, n)
		}
	}
	lines := make(map[int]int)
	for _, reject := range readRejects(t, rejects) {
		if lines[reject.Line]++; lines[reject.Line] > 1 {
			t.Errorf("line %d is rejected twice", reject.Line)
		}
	}
	if len(lines) != bad {
		t.Errorf("%d rejects, want %d", len(lines), bad)
	}
	o := readOffsets(t, offsets)
	if o.State != finished || o.Line != total+1 || o.Offset != int64(input.Len()) || o.Run != 4 || o.Enqueued != total-bad {
		t.Errorf("at the end: %+v", o)
	}
	t.Logf("the last run passed %d lines by that were in", got.AlreadyIn)
	// Once more: there is nothing left to do.
	r = run.run(t)
	r.want(t, 0, "")
	if enqueued() != int64(total-bad) || !strings.HasPrefix(r.stdout, `{"enqueued":0,"duplicates":0,"rejected":0,"all_runs":`) {
		t.Errorf("%d jobs were ever created; %s", enqueued(), r.stdout)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 2 {
		t.Errorf("left behind: %q", left)
	}
}

// A call that Redis has, and whose answer the killed process never read.
func TestKilledWithACallUnderWay(t *testing.T) {
	t.Parallel()
	for _, arrives := range []string{"before", "between", "never"} {
		t.Run(arrives, func(t *testing.T) {
			t.Parallel()
			srv := redistest.Server(t)
			client := openQueue(t, srv.URL())
			proxy := redistest.NewProxy(t, srv.Addr())
			file, offsets := tempFile(t, "jobs.jsonl", lines(1, 3000)), filepath.Join(t.TempDir(), "offset")
			args := []string{"--file", file, "--offset-file", offsets}
			var mu sync.Mutex
			scripts := 0
			// The first call begins the run in its queue, the others bring lines.
			release := proxy.HoldRequest(func(cmd string, _ []string) bool {
				mu.Lock()
				defer mu.Unlock()
				if cmd == "EVALSHA" || cmd == "EVAL" {
					scripts++
				}
				return scripts > 2
			})
			r := call{url: "redis://" + proxy.Addr(), args: args}.start(t)
			redistest.WaitFor(t, time.Minute, func() bool { return proxy.Held() == 1 }, "the call under way")
			before := ready(t, client, "default")
			if arrives == "before" {
				release()
				redistest.WaitFor(t, time.Minute, func() bool { return ready(t, client, "default") > before }, "the call to arrive")
			}
			r.signal(syscall.SIGKILL)
			r.wait()
			if arrives == "never" {
				proxy.Cut()
			}
			again := call{url: srv.URL(), args: args}.run(t)
			if arrives == "between" {
				release()
			}
			if again.code != 0 || !strings.HasSuffix(again.stderr, "; in all enqueued 3000, duplicates 0, rejected 0\n") {
				t.Errorf("exit code %d, %s", again.code, again.stderr)
			}
			if n := ready(t, client, "default"); n != 3000 {
				t.Errorf("%d jobs are ready", n)
			}
		})
	}
}
