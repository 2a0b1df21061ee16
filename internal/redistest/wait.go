package redistest

import (
	"testing"
	"time"
)

const pollEvery = 2 * time.Millisecond

// WaitFor polls cond every 2 ms and returns when it is true; when timeout has
// passed first, the test fails with what, which should read well after "waiting
// for". It works inside and outside synctest bubbles, and must be called from
// the test's own goroutine, which is also where cond runs.
func WaitFor(t testing.TB, timeout time.Duration, cond func() bool, what string) {
	t.Helper()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	start := time.Now()
	for !cond() {
		if waited := time.Since(start); waited >= timeout {
			t.Fatalf("gave up after %v waiting for %s", waited.Round(time.Millisecond), what)
		}
		<-tick.C
	}
}
