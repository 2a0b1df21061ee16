package queue

import (
	"context"
	"fmt"
	"sync"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
)

// maxFlying is how many shared calls a queue has under way: one in Redis while the next gathers.
const maxFlying = 2

// shareSize bounds a shared call.
const shareSize = 500

// Enqueue adds one job and answers its id. Calls that come at the same time share one call to Redis; one that comes
// alone is sent at once. While Redis is away it is tried again: up to 5 s where no connection can be made
// (ErrUnavailable), up to 60 s where the outcome is unknown (ErrOutcomeUnknown), or until ctx ends.
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

var waiters = sync.Pool{New: func() any { return &waiter{done: make(chan error, 1)} }}

// share sends the item with whatever else is waiting: group commit. The caller's context ends its waiting, never a call
// that others share.
func (l *lanes) share(ctx context.Context, item broker.Item) error {
	w := waiters.Get().(*waiter)
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
		waiters.Put(w)
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
		n := min(len(l.waiting), shareSize)
		if n == 0 {
			l.flying--
			l.mu.Unlock()
			return
		}
		batch = append(batch[:0], l.waiting[:n]...)
		rest := copy(l.waiting, l.waiting[n:])
		clear(l.waiting[rest:])
		l.waiting = l.waiting[:rest]
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
	}
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
