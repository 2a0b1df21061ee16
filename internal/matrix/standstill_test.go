package matrix

import (
	"sync"
	"time"
)

// standstills notes when this process asked for the processor and did not get it: what is promised in seconds is promised
// of a machine that runs.
var standstills struct {
	mu  sync.Mutex
	all []standstill
}

type standstill struct{ from, to time.Time }

// watchStandstills runs as long as the tests.
func watchStandstills() {
	const step = 10 * time.Millisecond
	for due := time.Now().Add(step); ; due = time.Now().Add(step) {
		<-time.After(step)
		if now := time.Now(); now.Sub(due) > 2*time.Millisecond {
			standstills.mu.Lock()
			standstills.all = append(standstills.all, standstill{due, now})
			standstills.mu.Unlock()
		}
	}
}

// slack is what tests add to the bounds that are promised in seconds: they run on loaded machines. It is 2 s, and the
// standstills since a time.
func slack(since time.Time) time.Duration {
	sum := 2 * time.Second
	standstills.mu.Lock()
	defer standstills.mu.Unlock()
	for _, s := range standstills.all {
		if s.from.Before(since) {
			s.from = since
		}
		sum += max(s.to.Sub(s.from), 0)
	}
	return sum
}
