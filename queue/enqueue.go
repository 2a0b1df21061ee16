package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
)

// maxFlying is how many shared calls a queue has under way: one in Redis while the next gathers.
const maxFlying = 2

// Bounds of a shared call; one item always fits.
const (
	shareItems = 500
	shareBytes = chunkBytes
)

// Enqueue adds one job and answers its id. Calls that come at the same time share one call to Redis; one that comes
// alone is sent at once. While Redis is away it is tried again: up to 5 s where no connection can be made or Redis says
// that it does not serve (ErrUnavailable), up to 60 s where the outcome is unknown (ErrOutcomeUnknown), or until ctx ends.
//
// Errors: ErrInvalid, ErrDuplicate (with the id of the job that is there), ErrPayloadTooLarge, ErrRedisFull,
// ErrUnavailable, ErrOutcomeUnknown, ErrClosed.
func (c *Client) Enqueue(ctx context.Context, args Args, options ...Option) (uuid.UUID, error) {
	l, item, err := c.build(args, nil, options)
	if err != nil {
		return uuid.Nil, err
	}
	if err := ctx.Err(); err != nil {
		return uuid.Nil, context.Cause(ctx)
	}
	if err := l.share(ctx, item); err != nil {
		return item.ID, fmt.Errorf("enqueue %s: %w", args.Kind(), err)
	}
	return item.ID, nil
}

// waiter is one Enqueue that waits for a shared call.
type waiter struct {
	item broker.Item
	done chan error // room for one
}

// share sends the item with whatever else is waiting: group commit. The caller's context ends its waiting, never a call
// that others share.
func (l *lanes) share(ctx context.Context, item broker.Item) error {
	w, _ := l.client.waiters.Get().(*waiter)
	if w == nil {
		w = &waiter{done: make(chan error, 1)}
	}
	w.item = item
	l.mu.Lock()
	l.waiting = append(l.waiting, w)
	start := l.flying < maxFlying
	if start {
		l.flying++
	}
	l.mu.Unlock()
	if start {
		go l.fly()
	}
	select {
	case err := <-w.done:
		w.item = broker.Item{}
		l.client.waiters.Put(w)
		return err
	case <-ctx.Done():
		if l.withdraw(w) {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%w: %w", ErrOutcomeUnknown, context.Cause(ctx))
	}
}

// withdraw takes back an item that no call has picked up yet.
func (l *lanes) withdraw(w *waiter) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.waiting {
		if l.waiting[i] == w {
			l.waiting = append(l.waiting[:i], l.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// fly sends what waits, until nothing does.
func (l *lanes) fly() {
	var items []broker.Item
	var batch []*waiter
	for {
		l.mu.Lock()
		if batch = l.pickLocked(batch[:0]); len(batch) == 0 {
			l.flying--
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		items = items[:0]
		for _, w := range batch {
			items = append(items, w.item)
		}
		outcomes, err := l.send(l.client.life, items)
		for i, w := range batch {
			id := items[i].ID
			if err == nil {
				w.done <- outcome(outcomes[i], id)
			} else {
				w.done <- err
			}
		}
		clear(batch)
		if errors.Is(err, ErrUnavailable) {
			l.turnAway(err)
		}
	}
}

// pickLocked takes from the front of those who wait what fits into one call.
func (l *lanes) pickLocked(batch []*waiter) []*waiter {
	bytes := 0
	for n, w := range l.waiting {
		bytes += len(w.item.Envelope)
		if n == shareItems || n > 0 && bytes > shareBytes {
			break
		}
		batch = append(batch, w)
	}
	l.waiting = slices.Delete(l.waiting, 0, len(batch))
	return batch
}

// turnAway answers those who waited behind a call for which Redis was away too long: each trying for as long in its turn
// would keep the last of them many times that.
func (l *lanes) turnAway(err error) {
	kind := l.client.closed()
	if kind == nil {
		kind = ErrUnavailable
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.waiting {
		w.done <- fmt.Errorf("%w: not sent, as the call before it failed: %v", kind, err)
	}
	clear(l.waiting)
	l.waiting = l.waiting[:0]
}

// send makes one stamped enqueue call on a lane and resends it until it is answered.
func (l *lanes) send(ctx context.Context, items []broker.Item) (outcomes []broker.Outcome, err error) {
	one := l.take()
	stamp := l.stamp(one)
	err = l.client.resend(ctx, func(ctx context.Context) error {
		err := l.list(ctx)
		if err == nil {
			outcomes, err = l.client.broker.Enqueue(ctx, l.keys, stamp, items)
		}
		return err
	})
	l.give(one, err)
	return outcomes, err
}
