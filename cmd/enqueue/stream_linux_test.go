package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

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
	started := call{url: srv.URL(), args: []string{"--file", path, "--rejects", rejects}}.start(t)
	peak := started.peakMemory()
	r := started.wait()
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
	if rss := peak(); rss > limit || rss == 0 {
		t.Errorf("it took %d KB of memory, want at most %d KB", rss, limit)
	} else {
		t.Logf("%d KB of memory at most", rss)
	}
}

// peakMemory watches how much memory a program takes, in KB, until it ends. What the kernel says in the end (ru_maxrss)
// counts the memory of whoever started it, too.
func (r *running) peakMemory() (peak func() int64) {
	var most int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.cmd.Process.Pid))
			if err != nil {
				return
			}
			_, rest, found := strings.Cut(string(text), "VmHWM:")
			if !found { // it has ended
				return
			}
			if n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64); err == nil {
				most = n
			}
			<-tick.C
		}
	}()
	return func() int64 { <-done; return most }
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
	peak := r.peakMemory()
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
	if rss := peak(); (rss > 400<<10 || rss == 0) && !raceEnabled {
		t.Errorf("it took %d KB of memory", rss)
	} else {
		t.Logf("%d KB of memory at most", rss)
	}
}
