package main

import (
	"fmt"
	"sync"
	"time"
)

// tally is what became of the lines so far. It is read while the sender works only by whoever abandons it.
type tally struct {
	mu sync.Mutex
	counts
}

// counts is a tally at one moment.
type counts struct {
	Enqueued    int `json:"enqueued"`
	Duplicates  int `json:"duplicates"`
	Rejected    int `json:"rejected"`
	Unconfirmed int `json:"not_confirmed,omitempty"` // of those that are in, by --replicas and --fsync
	AlreadyIn   int `json:"already_in,omitempty"`    // put in by a run before that was cut off

	place                  // the line to resume at: what became of all before it is known
	flightTo int           // the last line that is under way, 0 when none is
	unsure   int           // lines from place on of which nobody knows
	beyond   int           // lines behind place that are in all the same
	passed   int           // lines that a run before rejected, and did not count
	waited   time.Duration // for a full Redis

	beyondDuplicates int // of beyond
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

// lines is how many lines are done with.
func (c counts) lines() int { return c.in() + c.Rejected + c.AlreadyIn }

func (c counts) String() string {
	text := fmt.Sprintf("enqueued %d, duplicates %d, rejected %d", c.Enqueued, c.Duplicates, c.Rejected)
	if c.Unconfirmed > 0 {
		text += fmt.Sprintf(", in but not confirmed %d", c.Unconfirmed)
	}
	if c.AlreadyIn > 0 {
		text += fmt.Sprintf(", already in %d", c.AlreadyIn)
	}
	return text
}
