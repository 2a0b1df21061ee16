package queue

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/bus"
	"github.com/tidemill/tidemill/internal/keys"
)

// Cancel ends a job: a ready or scheduled one at once, a running one by ending its handler's context with ErrCancelled;
// then it ends as cancelled when the handler returns an error, or as succeeded when it returns nil. The answer is
// Cancelled or Running (marked). Errors: ErrUnknownJob, ErrWrongState for a dead or finished one.
//
// Like every verb it is void when it reaches Redis more than 5 s late (ErrUnavailable), so that it can't undo a later
// one, and it is not sent again when its reply was lost (ErrOutcomeUnknown).
func (c *Client) Cancel(ctx context.Context, queue, id string) (State, error) {
	q, uid, err := c.find(queue, id)
	if err != nil {
		return "", err
	}
	tell := c.before(ctx, queue, id)
	states, err := c.broker.Cancel(ctx, q, []uuid.UUID{uid})
	if err != nil {
		return "", uncertain(err, c.retries)
	}
	switch states[0] {
	case broker.StateCancelled:
		tell(EventCancelled)
		return Cancelled, nil
	case broker.StateRunning:
		// A hint, so that the worker need not wait for its next heartbeat. The mark in Redis is the truth.
		_ = bus.Publish(ctx, c.conn.Shared(), c.space.Control(), "cancel "+queue+" "+uid.String())
		return Running, nil
	}
	return "", c.wrongState("cancel", queue, id, states[0])
}

// Delete forgets a job that does not run, with its history and result. Errors: ErrUnknownJob, ErrWrongState for a
// running one (cancel it first).
func (c *Client) Delete(ctx context.Context, queue, id string) error {
	q, uid, err := c.find(queue, id)
	if err != nil {
		return err
	}
	states, err := c.broker.Delete(ctx, q, []uuid.UUID{uid})
	if err != nil {
		return uncertain(err, c.retries)
	}
	if states[0] != broker.StateDeleted {
		return c.wrongState("delete", queue, id, states[0])
	}
	return nil
}

// Redrive makes a dead job ready again with all its attempts; its error history stays. Errors: ErrUnknownJob,
// ErrWrongState for one that is not dead.
func (c *Client) Redrive(ctx context.Context, queue, id string) error {
	q, uid, err := c.find(queue, id)
	if err != nil {
		return err
	}
	tell := c.before(ctx, queue, id)
	out, err := c.broker.Redrive(ctx, q, []uuid.UUID{uid})
	if err != nil {
		return uncertain(err, c.retries)
	}
	switch out[0] {
	case broker.RedriveDone:
		tell(EventRedriven)
		return nil
	case broker.RedriveUnknown:
		return c.wrongState("redrive", queue, id, broker.StateUnknown)
	}
	return fmt.Errorf("redrive %s in queue %q: %w: it is not dead", id, queue, ErrWrongState)
}

func (c *Client) wrongState(verb, queue, id string, state broker.State) error {
	if state == broker.StateUnknown {
		return fmt.Errorf("%s: %w: %s in queue %q", verb, ErrUnknownJob, id, queue)
	}
	return fmt.Errorf("%s %s in queue %q: %w: it is %s", verb, id, queue, ErrWrongState, strings.ToLower(string(state)))
}

// Pause stops claiming from a queue: what runs goes on, what workers fetched ahead goes back. Changed is false when it
// was paused already.
//
// Errors: ErrInvalid, ErrUnavailable, ErrClosed; ErrOutcomeUnknown where the answer was lost: calling again does no harm,
// but Changed may then be false.
func (c *Client) Pause(ctx context.Context, queue string) (changed bool, err error) {
	return c.pause(ctx, queue, true)
}

// Resume undoes Pause, with the same errors.
func (c *Client) Resume(ctx context.Context, queue string) (changed bool, err error) {
	return c.pause(ctx, queue, false)
}

func (c *Client) pause(ctx context.Context, queue string, pause bool) (bool, error) {
	l, err := c.queue(queue)
	if err != nil {
		return false, err
	}
	if err := l.list(ctx); err != nil { // a queue may be paused before its first job
		return false, outward(err)
	}
	changed, err := c.broker.Pause(ctx, l.keys, pause)
	if err != nil {
		return false, uncertain(err, c.retries)
	}
	c.hint(ctx, l.keys)
	return changed, nil
}

// Bounds of the session TTL.
const (
	MinSessionTTL = 2 * time.Second
	MaxSessionTTL = time.Hour
)

// SessionTTL is how long a worker of the namespace may be out of touch before its jobs are taken back; 0 while no worker
// has set it.
func (c *Client) SessionTTL(ctx context.Context) (time.Duration, error) {
	ttl, err := c.broker.TTL(ctx)
	return ttl, outward(err)
}

// SetSessionTTL changes it, 2 s to 1 h. Workers adopt it when they start, so restart them all: until then those that run
// go by the old one.
func (c *Client) SetSessionTTL(ctx context.Context, ttl time.Duration) error {
	if ttl < MinSessionTTL || ttl > MaxSessionTTL {
		return invalid("session TTL", ttl.String(), MinSessionTTL.String()+" to "+MaxSessionTTL.String())
	}
	return outward(c.broker.SetTTL(ctx, ttl))
}

// hint tells workers to look at a queue now.
func (c *Client) hint(ctx context.Context, q *keys.Queue) {
	_ = bus.Publish(ctx, c.conn.Shared(), c.space.Control(), "look "+q.Name())
}
