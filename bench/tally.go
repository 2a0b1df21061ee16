package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// tally counts handler starts, for jobs numbered 0 to n-1.
type tally struct {
	began    time.Time
	starts   []atomic.Int64 // since began, of each job's first handler; 0 is not yet
	distinct atomic.Int64
	repeats  atomic.Int64
	strays   atomic.Int64
	first    atomic.Int64 // since began, of the first handler of all
	all      chan struct{}
}

// newTally starts the clock.
func newTally(n int) *tally {
	return &tally{began: time.Now(), starts: make([]atomic.Int64, n), all: make(chan struct{})}
}

// handle is the job handler: it notes the time at which it starts.
func (t *tally) handle(p payload) {
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

// started is the moment at which job i began, once it has.
func (t *tally) started(i int) time.Time {
	return t.began.Add(time.Duration(t.starts[i].Load()))
}

// await waits until every job has begun, for at most limit.
func (t *tally) await(ctx context.Context, limit time.Duration) error {
	select {
	case <-t.all:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(limit):
		return fmt.Errorf("only %d of %d jobs began within %v", t.distinct.Load(), len(t.starts), limit)
	}
}

// check reports jobs that ran twice or were never ours.
func (t *tally) check() error {
	if r, s := t.repeats.Load(), t.strays.Load(); r+s > 0 {
		return fmt.Errorf("%d jobs ran more than once, %d unknown jobs ran", r, s)
	}
	return nil
}
