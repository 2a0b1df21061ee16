package queue

import (
	"context"
	"fmt"
	"time"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/wire"
)

// Edit is what to change of a job; a field that is nil leaves its part as it is.
type Edit struct {
	// Payload replaces the marshalled args: as the job's codec writes them (JSON unless it says otherwise). Empty and not
	// nil is no args.
	Payload []byte
	// RunAt or RunIn, not both, is when the job becomes ready; a time that is past, or 0, is now.
	RunAt *time.Time
	RunIn *time.Duration
	// Priority is 0 to 9.
	Priority *int
}

// Edit changes a job that does not run: one that is ready, scheduled, or dead (then redrive it). Everything else of it
// stays. A ready job that is given a time is scheduled; one that becomes ready, or another priority, goes to the end of
// its list.
//
// Errors: ErrInvalid, ErrPayloadTooLarge, ErrUnknownJob; ErrWrongState for a job that runs or is finished, for the time of
// a dead one, and for one that was moved 254 times while its queue stood still; ErrConflict when it changed meanwhile;
// ErrRedisFull; ErrUnavailable and ErrOutcomeUnknown as of Cancel.
func (c *Client) Edit(ctx context.Context, queue, id string, e Edit) error {
	q, uid, err := c.find(queue, id)
	if err != nil {
		return err
	}
	due, err := e.check(c.config.MaxPayload)
	if err != nil {
		return err
	}
	found, err := c.broker.Get(ctx, q, uid)
	if err != nil {
		return outward(err)
	}
	if found.State == broker.StateUnknown {
		return c.wrongState("edit", queue, id, found.State)
	}
	var envelope []byte
	if e.Payload != nil || e.Priority != nil {
		priority := -1
		if e.Priority != nil {
			priority = *e.Priority
		}
		if envelope, err = wire.Edited(found.Envelope, e.Payload, priority); err != nil {
			return fmt.Errorf("edit %s in queue %q: %w: %w", id, queue, ErrWrongState, err)
		}
	}
	state, err := c.broker.Edit(ctx, q, uid, found.Envelope, envelope, due)
	if err != nil {
		return uncertain(err, c.retries)
	}
	switch state {
	case broker.StateEdited:
		return nil
	case broker.StateConflict:
		return fmt.Errorf("edit %s in queue %q: %w: it changed meanwhile", id, queue, ErrConflict)
	case broker.StateMoved:
		return fmt.Errorf("edit %s in queue %q: %w: it was moved too often while it waited; it must run first", id, queue, ErrWrongState)
	case broker.StateDead:
		return fmt.Errorf("edit %s in queue %q: %w: it is dead and has no time to run; redrive it", id, queue, ErrWrongState)
	}
	return c.wrongState("edit", queue, id, state)
}

// RunNow makes a scheduled job ready at once, at the end of its list; for a ready one there is nothing to do. Errors:
// as of Edit.
func (c *Client) RunNow(ctx context.Context, queue, id string) error {
	now := time.Duration(0)
	return c.Edit(ctx, queue, id, Edit{RunIn: &now})
}

// check answers the new due time, nil = as it is.
func (e *Edit) check(maxPayload int) (*broker.Due, error) {
	var s spec
	switch {
	case e.Payload == nil && e.RunAt == nil && e.RunIn == nil && e.Priority == nil:
		return nil, invalid("edit", "nothing to change", "a payload, a time or a priority")
	case e.RunAt != nil && e.RunIn != nil:
		return nil, invalid("edit", "RunAt and RunIn", "one of them")
	case len(e.Payload) > maxPayload:
		return nil, fmt.Errorf("%w: %d bytes; allowed: %d (Config.MaxPayload)", ErrPayloadTooLarge, len(e.Payload), maxPayload)
	}
	if e.Priority != nil {
		if err := Priority(*e.Priority)(&s); err != nil {
			return nil, err
		}
	}
	var err error
	switch {
	case e.RunAt != nil:
		err = At(*e.RunAt)(&s)
	case e.RunIn != nil:
		err = In(*e.RunIn)(&s)
	default:
		return nil, nil
	}
	return &s.due, err
}
