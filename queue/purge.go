package queue

import (
	"context"
	"fmt"
	"strings"

	"github.com/tidemill/tidemill/internal/broker"
)

// Purge forgets every job of one state: Ready (suspects too), Scheduled, DeadState or Finished, and answers how many. It is
// DeleteMany without looking at the jobs, and quicker. Those that come to the state meanwhile go too: it ends when none is
// left, or, where they come as quickly as they go, when it has forgotten 10,000 more than twice as many as there were.
// Progress, if not nil, is called after each bite with the number so far.
//
// When Redis is away it tries again for some seconds; where an answer was lost, the number is too low. Errors: ErrInvalid,
// ErrUnavailable, or the end of ctx.
func (c *Client) Purge(ctx context.Context, queue string, state State, progress func(gone int64)) (int64, error) {
	l, err := c.queue(queue)
	if err != nil {
		return 0, err
	}
	if state != Ready && state != Scheduled && state != DeadState && state != Finished {
		return 0, invalid("state", fmt.Sprintf("%q", string(state)), "to purge "+join(Ready, Scheduled, DeadState, Finished))
	}
	n, err := c.broker.Counts(ctx, l.keys)
	if err != nil {
		return 0, outward(err)
	}
	// Newcomers may stand before what was there, so that many do not make it all; and producers may be quicker than this.
	there := map[State]int64{Ready: n.Ready, Scheduled: n.Scheduled, DeadState: n.Dead, Finished: n.Finished}[state]
	total := int64(0)
	for more := true; more && total < 2*there+purgeMore; {
		gone := 0
		err := patiently(ctx, bulkAgain, func(ctx context.Context) (err error) {
			gone, more, err = c.broker.Purge(ctx, l.keys, string(state))
			return outward(err)
		})
		if err != nil {
			return total, err
		}
		if total += int64(gone); progress != nil {
			progress(total)
		}
	}
	return total, nil
}

// purgeMore is how many newcomers a purge takes along beside as many as were there.
const purgeMore = 10_000

// DeleteQueue forgets a queue: its name, counters and settings. It must hold no job in any state, and no worker may serve
// it: else ErrWrongState says what is there, and nothing is done. A queue that was never used, or is gone already, is no
// error. It comes back with its next use.
func (c *Client) DeleteQueue(ctx context.Context, queue string) error {
	l, err := c.queue(queue)
	if err != nil {
		return err
	}
	ok, alive, err := c.broker.Drop(ctx, l.keys)
	if err != nil {
		return uncertain(err, c.retries)
	}
	if !ok {
		n, err := c.broker.Counts(ctx, l.keys)
		if err != nil {
			return outward(err)
		}
		return &stateError{fmt.Sprintf("delete queue %q: it is in use: %s", queue, holdings(n, alive))}
	}
	l.listed.Store(0)
	return uncertain(c.broker.RemoveQueue(ctx, l.keys), c.retries)
}

// holdings says in words what a queue holds.
func holdings(n broker.Counts, alive int) string {
	var parts []string
	for _, part := range []struct {
		n    int64
		what string
	}{{n.Ready, "ready"}, {n.Scheduled, "scheduled"}, {n.Running, "running"}, {n.Dead, "dead"}, {n.Finished, "finished"}} {
		if part.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", part.n, part.what))
		}
	}
	text := "no jobs"
	if len(parts) > 0 {
		text = "jobs: " + strings.Join(parts, ", ")
	}
	if alive > 0 {
		text += fmt.Sprintf("; workers that serve it: %d", alive)
	}
	return text
}

// stateError is an ErrWrongState of something that is no job.
type stateError struct{ text string }

func (e *stateError) Error() string { return e.text }

// Is makes errors.Is(err, ErrWrongState) hold.
func (e *stateError) Is(target error) bool { return target == ErrWrongState }
