//go:build unix

package chaos

import (
	"flag"
	"testing"
)

var soakJobs = flag.Int("soak.jobs", 100_000, "how many jobs to put through")

const (
	// residentSlack and goroutineSlack are what a worker may have grown by: a heap that has seen more of its peaks,
	// connections and executors that are about to leave.
	residentSlack  = 32 << 20
	goroutineSlack = 50
)

// Many jobs, with failures, retries, deaths, deletes, ids of their own and crashes of a worker: when all is drained Redis
// and the worker take up what they did before.
func TestSoak(t *testing.T) {
	t.Parallel()
	before, after := Soak(t, *soakJobs)
	t.Logf("before: %v", before)
	t.Logf("after %d: %v", *soakJobs, after)
	if after.Lasting > before.Lasting || after.Redis > before.Redis+redisSlack {
		t.Error("Redis holds more than before")
	}
	if after.Resident > before.Resident+residentSlack || after.Goroutines > before.Goroutines+goroutineSlack {
		t.Error("the worker has grown")
	}
}
