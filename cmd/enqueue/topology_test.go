package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/worker"
)

// What the stream and the waiting need of Redis is there in a Cluster too: queues of several slots, and hints that reach
// whoever is subscribed at any node.
func TestOnCluster(t *testing.T) {
	t.Parallel()
	url := redistest.NewCluster(t, 3, false).URL(t)
	serve(t, url, fates(), worker.Config{})
	began := time.Now()
	for range 5 {
		r := call{url: url, args: []string{"echo", "[1]", "--wait"}}.run(t)
		if r.code != 0 || r.stdout != "[1]" {
			t.Fatalf("exit code %d, %s, %s", r.code, r.stdout, r.stderr)
		}
	}
	t.Logf("five jobs in %v", time.Since(began)) // 1 s each without hints

	const total = 30_000
	names := []string{"a", "b", "c", "d"}
	var input strings.Builder
	for i := range total {
		fmt.Fprintf(&input, `{"kind":"noop","queue":%q}`+"\n", names[i%len(names)])
	}
	client := openQueue(t, url)
	in := func() (n int) {
		for _, name := range names {
			n += ready(t, client, name)
		}
		return n
	}
	args := []string{"--file", tempFile(t, "jobs.jsonl", input.String()), "--offset-file", filepath.Join(t.TempDir(), "offset")}
	r := call{url: url, args: args}.start(t)
	redistest.WaitFor(t, time.Minute, func() bool { return in() > total/4 }, "some lines")
	r.signal(syscall.SIGKILL)
	r.wait()
	got := call{url: url, args: args}.run(t)
	if got.code != 0 || !strings.HasSuffix(got.stderr, fmt.Sprintf("; in all enqueued %d, duplicates 0, rejected 0\n", total)) || in() != total {
		t.Errorf("exit code %d, %d jobs, %s", got.code, in(), got.stderr)
	}
}
