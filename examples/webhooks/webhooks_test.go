package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
)

// TestRun runs run.sh with the real binaries, without and with a kill -9 half way.
func TestRun(t *testing.T) {
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", bin+"/", "../../cmd/enqueue", "../../cmd/worker", ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, args := range map[string][]string{"whole": {"-n", "400", "-r", "120"}, "killed": {"-n", "400", "-r", "120", "-k"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := redistest.Server(t)
			cmd := exec.Command("./run.sh", args...)
			cmd.Env = append(os.Environ(), "REDIS_URL="+srv.URL(), "BIN="+bin)
			raw, err := cmd.CombinedOutput()
			out := string(raw)
			if err != nil || !strings.Contains(out, "all 400 hooks are delivered, the work of each was done exactly once") {
				t.Fatalf("%v\n%s", err, out)
			}
			if killed := strings.Contains(out, "killed the worker with -9"); killed != (name == "killed") {
				t.Errorf("killed is %v:\n%s", killed, out)
			}
			// What makes it worth showing: the receiver was no easy one.
			for _, row := range []string{"failed", "repeated", "lost", "limited"} {
				if count(t, out, row) == 0 {
					t.Errorf("nothing was %s:\n%s", row, out)
				}
			}
			if count(t, out, "done") != 400 || count(t, out, "refused") != 0 {
				t.Errorf("the table does not add up:\n%s", out)
			}
		})
	}
}

// count is a number of the receiver's table.
func count(t *testing.T, table, row string) int {
	t.Helper()
	for line := range strings.Lines(table) {
		n := 0
		if _, err := fmt.Sscanf(line, row+" %d", &n); err == nil {
			return n
		}
	}
	t.Fatalf("no row %s in\n%s", row, table)
	return 0
}

func TestBucket(t *testing.T) {
	start := time.Now()
	b := &bucket{rate: 10, left: 10, at: start}
	taken := func(at time.Duration, tries int) (n int) {
		for range tries {
			if b.take(start.Add(at)) {
				n++
			}
		}
		return n
	}
	for _, c := range []struct {
		at          time.Duration
		tries, want int
	}{{0, 30, 10}, {50 * time.Millisecond, 5, 0}, {250 * time.Millisecond, 5, 2}, {time.Hour, 30, 10}} {
		if got := taken(c.at, c.tries); got != c.want {
			t.Errorf("after %v: %d of %d, want %d", c.at, got, c.tries, c.want)
		}
	}
}

// TestEffects: a key's work is done once, also by the next process.
func TestEffects(t *testing.T) {
	path := t.TempDir() + "/effects"
	for _, want := range []bool{true, false} {
		e, err := openEffects(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, again := range []bool{want, false} {
			if first, err := e.once("k", `{"order": 1}`); err != nil || first != again {
				t.Errorf("first is %v, %v; want %v", first, err, again)
			}
		}
		e.Close()
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "k {\"order\": 1}\n" {
		t.Errorf("%q, %v", text, err)
	}
}
