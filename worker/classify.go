package worker

import (
	"errors"
	"time"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/queue"
)

// verdict is what is to become of a claim. The zero value of kind means success.
type verdict struct {
	kind   broker.Verdict
	delay  time.Duration
	failed bool // an attempt was used and failed
	drop   bool // the claim is gone: nothing may be written for it
}

// classify decides what a handler's return means. It is pure: everything it depends on is passed in. Cause is why the
// handler's context ended, nil if it did not; attempt counts from 1.
func classify(err, cause error, attempt, maxAttempts int, policy Backoff, rnd func() float64) verdict {
	if errors.Is(cause, queue.ErrSessionLost) || errors.Is(cause, queue.ErrJobLost) {
		return verdict{drop: true}
	}
	if err == nil {
		return verdict{}
	}
	if errors.Is(cause, queue.ErrCancelled) {
		return verdict{kind: broker.Cancelled}
	}
	var snooze *queue.SnoozeError
	if errors.As(err, &snooze) {
		return verdict{kind: broker.Snooze, delay: snooze.After}
	}
	var dead *queue.DeadError
	if errors.As(err, &dead) {
		return verdict{kind: broker.Dead, failed: true}
	}
	// A handler that was told to stop and failed is taken to have stopped for that.
	if errors.Is(cause, queue.ErrDraining) {
		return verdict{kind: broker.Release}
	}
	if attempt >= maxAttempts {
		return verdict{kind: broker.Dead, failed: true}
	}
	var after *queue.RetryAfterError
	if errors.As(err, &after) {
		return verdict{kind: broker.Retry, delay: after.After, failed: true}
	}
	return verdict{kind: broker.Retry, delay: policy.Delay(attempt, rnd), failed: true}
}

// Unknown kinds wait for a worker that knows them, as in a rolling deploy.
const (
	unknownFirst = 30 * time.Second
	unknownCap   = 10 * time.Minute
	unknownDead  = 24 * time.Hour
)

// classifyUnknown decides about a job that this worker has no handler for, or cannot read yet: it was so for a time,
// over a number of snoozes.
func classifyUnknown(since time.Duration, snoozes int) verdict {
	if since >= unknownDead {
		return verdict{kind: broker.Dead, failed: true}
	}
	policy := Backoff{Base: unknownFirst, Cap: unknownCap, Factor: 2}
	return verdict{kind: broker.Snooze, delay: policy.Delay(snoozes+1, nil)}
}
