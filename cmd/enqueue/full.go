package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tidemill/tidemill/internal/backoff"
	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/internal/loop"
	"github.com/tidemill/tidemill/queue"
)

// What --when-full may say.
const (
	whenFullReject = "reject"
	whenFullWait   = "wait"
)

// roomPolicy paces the looks whether a full Redis has room again.
var roomPolicy = backoff.Policy{Base: 100 * time.Millisecond, Cap: 2 * time.Second, Factor: 2, Jitter: 0.25}

// enqueue makes a call; where a full Redis is to be waited for, it goes on with what found no room until all is in or the
// first signal comes: what is left then keeps its error.
func (s *sender) enqueue(places []uint64, items []queue.Item) ([]queue.Result, error) {
	results, err := s.client.EnqueueMany(s.ctx, places, items, s.shared...)
	if !s.waits {
		return results, err
	}
	for attempt := 1; ; attempt++ {
		var left []int
		for i := range results {
			switch one := results[i].Err; {
			case errors.Is(one, queue.ErrOutcomeUnknown) && (s.places == nil || !errors.Is(one, queue.ErrRedisFull)):
				return results, err // only an input may send such a line again
			case errors.Is(one, queue.ErrRedisFull):
				left = append(left, i)
			}
		}
		if len(left) == 0 {
			return results, err
		}
		if !s.awaitRoom(attempt) {
			return results, err
		}
		somePlaces, someItems := make([]uint64, len(left)), make([]queue.Item, len(left))
		for j, i := range left {
			somePlaces[j], someItems[j] = places[i], items[i]
		}
		again, err := s.client.EnqueueMany(s.ctx, somePlaces, someItems, s.shared...)
		if again == nil {
			return nil, err
		}
		for j, i := range left {
			results[i] = again[j]
		}
	}
}

// awaitRoom waits until it is time to look again, false once the first signal came.
func (s *sender) awaitRoom(attempt int) bool {
	if attempt == 1 && !s.toldFull {
		s.toldFull = true
		s.tell("redis is full: waiting until there is room\n")
	}
	s.progress.wait("redis is full, waiting", s.tally.read().lines())
	began := time.Now()
	err := loop.Sleep(s.soft, roomPolicy.Delay(attempt, nil))
	s.tally.update(func(c *counts) { c.waited += time.Since(began) })
	return err == nil
}

// fullError is why a stream ended that waited for room: a signal. Of lines whose outcome is unknown it says so.
func (s *sender) fullError(err error) error {
	var signal *cli.SignalError
	unsure := errors.Is(err, queue.ErrOutcomeUnknown)
	if cause := context.Cause(s.soft); s.waits && errors.As(cause, &signal) {
		if !unsure {
			s.tally.update(func(c *counts) { c.flightTo = 0 })
		}
		return cause
	}
	if unsure {
		return &lostError{err}
	}
	return &lostError{fmt.Errorf("%w: it had no room", queue.ErrRedisFull)}
}
