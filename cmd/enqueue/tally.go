package main

import (
	"fmt"
	"sync"
)

// tally is what became of the lines so far. It is read while the sender works only by whoever abandons it.
type tally struct {
	mu sync.Mutex
	counts
}

// counts is a tally at one moment.
type counts struct {
	Enqueued   int `json:"enqueued"`
	Duplicates int `json:"duplicates"`
	Rejected   int `json:"rejected"`

	next     int // the line to resume at: what became of all before it is known
	flightTo int // the last line that is under way, 0 when none is
	unsure   int // lines from next on of which nobody knows
	beyond   int // lines behind next that are in all the same
}

// update changes the counts.
func (t *tally) update(change func(*counts)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(&t.counts)
}

// read answers the counts.
func (t *tally) read() counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts
}

// in is how many lines are surely in Redis.
func (c counts) in() int { return c.Enqueued + c.Duplicates }

func (c counts) String() string {
	return fmt.Sprintf("enqueued %d, duplicates %d, rejected %d", c.Enqueued, c.Duplicates, c.Rejected)
}
