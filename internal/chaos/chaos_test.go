//go:build unix

package chaos

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

var (
	seeds    = flag.String("chaos.seed", "1", "plans of faults, separated by commas, one run each; 0 is a new one each time")
	jobs     = flag.Int("chaos.jobs", 20_000, "how many jobs to enqueue in a run")
	duration = flag.Duration("chaos.duration", 40*time.Second, "how long to take for it")
	faults   = flag.String("chaos.faults", join(Standalone), "kinds of faults, separated by commas")
)

func TestMain(m *testing.M) {
	Child()
	os.Exit(m.Run())
}

// Thousands of jobs while workers and producers are killed every 2 s, connections break, replies get lost, and the
// server is restarted: nothing acknowledged is lost, and where effects are fenced each job has one.
func TestChaos(t *testing.T) {
	t.Parallel()
	kinds, err := ParseKinds(*faults)
	if err != nil {
		t.Fatal(err)
	}
	if *jobs < 1 || *duration < time.Second {
		t.Fatalf("%d jobs in %v; allowed: 1 and more, 1s and more", *jobs, *duration)
	}
	for word := range strings.SplitSeq(*seeds, ",") {
		seed, err := strconv.ParseUint(word, 10, 32)
		if err != nil {
			t.Fatalf("seed %q; allowed: whole numbers from 0 on, separated by commas", word)
		}
		if seed == 0 {
			seed = uint64(time.Now().UnixNano() % 1e9)
		}
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { keepPromises(t, NewOptions(seed, *jobs, *duration, kinds)) })
	}
}

// A primary with a replica that takes over now and then: what Enqueue has confirmed on the replica is not lost.
func TestChaosFailover(t *testing.T) {
	t.Parallel()
	keepPromises(t, NewOptions(1, 5_000, 30*time.Second, WithReplica))
}

// keepPromises runs a plan and fails for each promise that was not kept.
func keepPromises(t *testing.T, o Options) {
	t.Helper()
	t.Logf("%s", o.Replay())
	r := Run(t, o)
	t.Logf("\n%s", r)
	if n := len(r.Violations); n > 0 {
		t.Errorf("%d promises were not kept", n)
	}
	for _, gap := range r.gaps() {
		t.Errorf("%s: this shows less than it should", gap)
	}
}
