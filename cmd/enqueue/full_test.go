package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

const fullTold = "redis is full: waiting until there is room\n"

// fatLines are more than a Redis of 8 MB holds.
func fatLines(n int) string {
	var b strings.Builder
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, `{"kind":"noop","args":{"n":%d,"fill":"%s"}}`+"\n", i, strings.Repeat("x", 300))
	}
	return b.String()
}

// With --when-full wait the stream goes on when there is room, whoever makes it, and no line is lost or comes twice.
func TestWaitForRoom(t *testing.T) {
	t.Parallel()
	for _, kept := range []bool{false, true} {
		t.Run(fmt.Sprintf("offset file %v", kept), func(t *testing.T) {
			t.Parallel()
			const total = 40_000
			srv := redistest.Server(t, redistest.WithConfig("maxmemory 8mb"))
			file := tempFile(t, "jobs.jsonl", fatLines(total))
			args := []string{"--file", file, "--when-full", "wait", "--json"}
			if kept {
				args = append(args, "--offset-file", filepath.Join(t.TempDir(), "offset"))
			}
			r := call{url: srv.URL(), args: args}.start(t)
			redistest.WaitFor(t, time.Minute, func() bool { return r.stderr.String() == fullTold }, "the message")
			client := openQueue(t, srv.URL())
			if n := ready(t, client, "default"); n < 1000 || n >= total {
				t.Errorf("%d jobs are in", n)
			}
			c := &census{seen: make([]atomic.Int32, total+1)}
			serve(t, srv.URL(), c.mux(), worker.Config{Concurrency: 20})
			got := r.wait()
			if want := fullTold + "enqueued 40000, duplicates 0, rejected 0\n"; got.code != 0 || got.stderr != want || !strings.Contains(got.stdout, `,"waited_ms":`) {
				t.Errorf("exit code %d\n%s\n%s", got.code, got.stderr, got.stdout)
			}
			redistest.WaitFor(t, time.Minute, func() bool { return c.sum.Load() >= total }, "the jobs to be done")
			for i := 1; i <= total; i++ {
				if n := c.seen[i].Load(); n != 1 {
					t.Fatalf("line %d had its effect %d times", i, n)
				}
			}
		})
	}
}

// Ctrl-C ends the waiting at once, and what is not in is for the resume.
func TestInterruptWhileFull(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t, redistest.WithConfig("maxmemory 8mb"))
	file, offsets := tempFile(t, "jobs.jsonl", fatLines(40_000)), filepath.Join(t.TempDir(), "offset")
	args := []string{"--file", file, "--offset-file", offsets, "--when-full", "wait"}
	r := call{url: srv.URL(), args: args}.start(t)
	redistest.WaitFor(t, time.Minute, func() bool { return r.stderr.String() == fullTold }, "the message")
	r.signal(os.Interrupt)
	got := r.wait()
	client, rdb := openQueue(t, srv.URL()), redistest.Client(t, srv)
	in := ready(t, client, "default")
	got.want(t, 130, fmt.Sprintf(fullTold+"enqueued %d, duplicates 0, rejected 0\nenqueue: interrupted; the same command goes on at line %d\n", in, in+1))
	if o := readOffsets(t, offsets); o.State != stopped || o.Line != in+1 {
		t.Errorf("%+v", o)
	}
	rdb.ConfigSet(t.Context(), "maxmemory", "0")
	call{url: srv.URL(), args: args}.run(t).want(t, 0, fmt.Sprintf("enqueued %d, duplicates 0, rejected 0; in all enqueued 40000, duplicates 0, rejected 0\n", 40_000-in))
	if n := ready(t, client, "default"); n != 40_000 {
		t.Errorf("%d jobs are ready", n)
	}
}

// With an offset file, too, a full Redis rejects lines unless told otherwise; those refused in a row are for the resume.
func TestFullRedisWithOffsetFile(t *testing.T) {
	t.Parallel()
	const total = 40_000
	srv := redistest.Server(t, redistest.WithConfig("maxmemory 8mb"))
	client, rdb := openQueue(t, srv.URL()), redistest.Client(t, srv)
	dir := t.TempDir()
	offsets, rejects := filepath.Join(dir, "offset"), filepath.Join(dir, "rejects")
	args := []string{"--file", tempFile(t, "jobs.jsonl", fatLines(total)), "--offset-file", offsets, "--rejects", rejects}
	wait := fullForGood(t, client, rdb)
	r := call{url: srv.URL(), args: args}.run(t)
	wait()
	in, refused := ready(t, client, "default"), readRejects(t, rejects)
	resume := refused[len(refused)-10_000].Line
	r.want(t, 1, fmt.Sprintf("enqueued %d, duplicates 0, rejected %d\n"+
		"enqueue: redis full: 10000 lines in a row were refused; once that is mended, the same command goes on at line %d\n", in, len(refused), resume))
	rdb.ConfigSet(t.Context(), "maxmemory", "0")
	if got := (call{url: srv.URL(), args: args}).run(t); got.code != 0 {
		t.Errorf("exit code %d, %s", got.code, got.stderr)
	}
	if n := ready(t, client, "default"); n != total-(len(refused)-10_000) {
		t.Errorf("%d of %d are in after the resume", n, total)
	}
	if n := len(readRejects(t, rejects)); n != len(refused) {
		t.Errorf("%d rejects after the resume, %d before", n, len(refused))
	}
	// A queue that cannot be begun: nothing was enqueued, and the file stays as sure as it was.
	rdb.ConfigSet(t.Context(), "maxmemory", "1")
	call{url: srv.URL(), args: args}.run(t).want(t, 1, "enqueue: redis full: nothing was enqueued\n")
	if o := readOffsets(t, offsets); o.State != finished || o.Line != total+1 {
		t.Errorf("%+v", o)
	}
	rdb.ConfigSet(t.Context(), "maxmemory", "0")
	if s, err := client.Counts(t.Context(), queue.DefaultQueue); err != nil || int(s.Enqueued) != total-(len(refused)-10_000) {
		t.Errorf("%+v, %v", s, err)
	}
}

// fullForGood has a server that is filled stay full: of one that is full by a hair a later line may find room, in what another
// connection has let go. What it answers waits until it has been seen to.
func fullForGood(t *testing.T, client *queue.Client, rdb *redis.Client) (wait func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for t.Context().Err() == nil {
			if n, err := client.Counts(t.Context(), queue.DefaultQueue); err == nil && n.Ready >= 1000 {
				rdb.ConfigSet(t.Context(), "maxmemory", "1")
				return
			}
		}
	}()
	return func() { <-done }
}
