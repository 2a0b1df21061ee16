package rig

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// Tally counts handler starts, for jobs or messages numbered 0 to n-1.
type Tally struct {
	began    time.Time
	starts   []atomic.Int64 // since began, of each one's first handler; 0 is not yet
	distinct atomic.Int64
	repeats  atomic.Int64
	strays   atomic.Int64
	first    atomic.Int64 // since began, of the first handler of all
	all      chan struct{}
}

// NewTally starts the clock.
func NewTally(n int) *Tally {
	return &Tally{began: time.Now(), starts: make([]atomic.Int64, n), all: make(chan struct{})}
}

// Handle is the handler: it notes the time at which it starts.
func (t *Tally) Handle(p Payload) {
	now := max(1, int64(time.Since(t.began)))
	switch {
	case p.UserID < 0 || p.UserID >= int64(len(t.starts)):
		t.strays.Add(1)
		return
	case !t.starts[p.UserID].CompareAndSwap(0, now):
		t.repeats.Add(1)
		return
	}
	if t.first.Load() == 0 {
		t.first.CompareAndSwap(0, now)
	}
	if t.distinct.Add(1) == int64(len(t.starts)) {
		close(t.all)
	}
}

// Started is the moment at which number i began, once it has.
func (t *Tally) Started(i int) time.Time {
	return t.began.Add(time.Duration(t.starts[i].Load()))
}

// ToFirst is how long after NewTally the first of all began.
func (t *Tally) ToFirst() time.Duration { return time.Duration(t.first.Load()) }

// SinceFirst is how long ago that was.
func (t *Tally) SinceFirst() time.Duration { return time.Since(t.began) - t.ToFirst() }

// SinceBegan is how long ago NewTally was.
func (t *Tally) SinceBegan() time.Duration { return time.Since(t.began) }

// Distinct is how many have begun.
func (t *Tally) Distinct() int { return int(t.distinct.Load()) }

// Await waits until every one has begun, for at most limit.
func (t *Tally) Await(ctx context.Context, limit time.Duration) error {
	select {
	case <-t.all:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(limit):
		return fmt.Errorf("only %d of %d began within %v", t.distinct.Load(), len(t.starts), limit)
	}
}

// Check reports those that ran twice or were never ours.
func (t *Tally) Check() error {
	if r, s := t.repeats.Load(), t.strays.Load(); r+s > 0 {
		return fmt.Errorf("%d ran more than once, %d unknown ones ran", r, s)
	}
	return nil
}
