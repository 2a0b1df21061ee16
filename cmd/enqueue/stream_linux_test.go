package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tidemill/tidemill/internal/redistest"
)

// A hundred thousand lines of 1 KB, some of them bad: all is accounted for, in memory that has nothing to do with the
// size of the file.
func TestLongStream(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := openQueue(t, srv.URL())
	const total = 100_000
	path, bad, duplicates, queued := longFile(t, total)
	rejects := filepath.Join(t.TempDir(), "rejects.jsonl")
	r := call{url: srv.URL(), args: []string{"--file", path, "--rejects", rejects}}.run(t)
	r.want(t, 1, fmt.Sprintf("enqueued %d, duplicates %d, rejected %d\n", total-len(bad)-duplicates, duplicates, len(bad)))
	got := readRejects(t, rejects)
	for i := range min(len(got), len(bad)) {
		if got[i].Line != bad[i] || got[i].Reason != `unknown field "qeue", did you mean "queue"?` {
			t.Fatalf("reject %d: %+v, want line %d", i, got[i], bad[i])
		}
	}
	if len(got) != len(bad) {
		t.Errorf("%d rejects, want %d", len(got), len(bad))
	}
	for name, n := range queued {
		if got := ready(t, client, name); got != n {
			t.Errorf("%d jobs in queue %s, want %d", got, name, n)
		}
	}
	limit := int64(64 << 10) // KB; the file is 100 MB. Seen: 35 MB
	if raceEnabled {
		limit = 320 << 10 // the detector's own memory included
	}
	if rss := r.state.SysUsage().(*syscall.Rusage).Maxrss; rss > limit {
		t.Errorf("it took %d KB of memory, want at most %d KB", rss, limit)
	} else {
		t.Logf("%d KB of memory at most", rss)
	}
}

// longFile answers a file, its bad lines, how many are duplicates, and how many good ones go to each queue.
func longFile(t *testing.T, total int) (path string, bad []int, duplicates int, queued map[string]int) {
	t.Helper()
	path, queued = filepath.Join(t.TempDir(), "jobs.jsonl"), make(map[string]int)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	fill := strings.Repeat("x", 1000)
	if raceEnabled {
		fill = fill[:200] // for the time it takes
	}
	for i := 1; i <= total; i++ {
		queue := []string{"default", "a", "b"}[i%3]
		switch {
		case i%997 == 0:
			bad = append(bad, i)
			fmt.Fprintf(w, `{"kind":"noop","qeue":%q}`+"\n", queue)
		case i%991 == 0:
			if i != 991 {
				duplicates++
			} else {
				queued["dup"]++
			}
			fmt.Fprintf(w, `{"kind":"noop","queue":"dup","id":"same"}`+"\n")
		default:
			queued[queue]++
			fmt.Fprintf(w, `{"kind":"noop","queue":%q,"args":{"n":%d,"fill":%q}}`+"\n", queue, i, fill)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path, bad, duplicates, queued
}

// A line that is too long costs no more than its limit, and those around it are enqueued.
func TestTooLongLine(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	rejects := filepath.Join(t.TempDir(), "rejects.jsonl")
	r := call{url: srv.URL(), args: []string{"--file", "-", "--rejects", rejects}}.start(t)
	r.write(lines(1, 2) + `{"kind":"`)
	block := strings.Repeat("x", 1<<20)
	for range 200 {
		r.write(block)
	}
	r.write("\n" + lines(4, 1))
	r.stdin.Close()
	got := r.wait()
	got.want(t, 1, "enqueued 3, duplicates 0, rejected 1\n")
	rejected := readRejects(t, rejects)
	if len(rejected) != 1 || rejected[0].Line != 3 || rejected[0].Reason != "longer than 67108864 bytes" ||
		*rejected[0].Text != `{"kind":"`+strings.Repeat("x", 4<<10-9) {
		t.Errorf("%d rejects: %.200v", len(rejected), rejected)
	}
	if rss := got.state.SysUsage().(*syscall.Rusage).Maxrss; rss > 400<<10 && !raceEnabled {
		t.Errorf("it took %d KB of memory", rss)
	} else {
		t.Logf("%d KB of memory at most", rss)
	}
}
