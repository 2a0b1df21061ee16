package queue

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
)

const (
	// maxFlying is how many shared calls a queue has under way: one in Redis while the next gathers.
	maxFlying = 2
	// worthFlying is how many jobs wait before another call joins the one under way: fewer do better to travel together.
	worthFlying = 32
)

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
// ErrUnavailable, ErrOutcomeUnknown, ErrClosed; with a Durability also ErrNotConfirmed (the job is in the queue, and
// the id is answered) and ErrUnsupported.
func (c *Client) Enqueue(ctx context.Context, args Args, options ...Option) (uuid.UUID, error) {
	b, err := c.build(args, nil, options)
	if err != nil {
		return uuid.Nil, err
	}
	if err := ctx.Err(); err != nil {
		return uuid.Nil, context.Cause(ctx)
	}
	if err := b.lanes.share(ctx, b.item, b.durable); err != nil {
		return b.item.ID, fmt.Errorf("enqueue %s: %w", args.Kind(), err)
	}
	return b.item.ID, nil
}

// waiter is one Enqueue that waits for a shared call.
type waiter struct {
	item broker.Item
	done chan error // room for one
}

// share sends the item with whatever else of its Durability is waiting: group commit. The caller's context ends its waiting,
// never a call that others share.
func (l *lanes) share(ctx context.Context, item broker.Item, d Durability) error {
	l.mu.Lock()
	s := l.sharingLocked(d)
	start := s.flying == 0 || s.flying < maxFlying && len(s.waiting) >= worthFlying
	if start {
		s.flying++
	}
	if start && len(s.waiting) == 0 && d.none() { // it is alone, and in no need of anybody
		l.mu.Unlock()
		if l.client.express.Take() {
			return l.alone(ctx, s, item)
		}
		l.mu.Lock()
	}
	w, _ := l.client.waiters.Get().(*waiter)
	if w == nil {
		w = &waiter{done: make(chan error, 1)}
	}
	w.item = item
	s.waiting = append(s.waiting, w)
	l.mu.Unlock()
	if start {
		go l.fly(s)
	}
	select {
	case err := <-w.done:
		w.item = broker.Item{}
		l.client.waiters.Put(w)
		return err
	case <-ctx.Done():
		if l.withdraw(s, w) {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%w: %w", ErrOutcomeUnknown, context.Cause(ctx))
	}
}

// withdraw takes back an item that no call has picked up yet.
func (l *lanes) withdraw(s *sharing, w *waiter) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range s.waiting {
		if s.waiting[i] == w {
			s.waiting = append(s.waiting[:i], s.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// fly sends what waits, until nothing does.
func (l *lanes) fly(s *sharing) {
	var items []broker.Item
	var batch []*waiter
	for {
		l.mu.Lock()
		if batch = s.pickLocked(batch[:0]); len(batch) == 0 {
			l.landLocked(s)
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		items = items[:0]
		for _, w := range batch {
			items = append(items, w.item)
		}
		outcomes, confirmed, err := l.send(l.client.life, items, s.durable)
		if l.tells && err == nil { // before its callers know, who may close the client then
			l.created(items, outcomes)
		}
		for i, w := range batch {
			id := items[i].ID
			if err == nil {
				w.done <- s.durable.confirmed(outcomes[i], id, confirmed)
			} else {
				w.done <- err
			}
		}
		if errors.Is(err, ErrUnavailable) {
			l.turnAway(s, err)
		}
		if len(batch) > 1 {
			runtime.Gosched() // those who were answered first: their next jobs travel together
		}
		clear(batch)
	}
}

// landLocked takes note that one call less is under way.
func (l *lanes) landLocked(s *sharing) {
	if s.flying--; s.flying == 0 && s != &l.plain {
		delete(l.durable, s.durable)
	}
}

// pickLocked takes from the front of those who wait what fits into one call.
func (s *sharing) pickLocked(batch []*waiter) []*waiter {
	bytes := 0
	for n, w := range s.waiting {
		bytes += len(w.item.Envelope)
		if n == shareItems || n > 0 && bytes > shareBytes {
			break
		}
		batch = append(batch, w)
	}
	s.waiting = slices.Delete(s.waiting, 0, len(batch))
	return batch
}

// turnAway answers those who waited behind a call for which Redis was away too long: each trying for as long in its turn
// would keep the last of them many times that.
func (l *lanes) turnAway(s *sharing, err error) {
	kind := l.client.closed()
	if kind == nil {
		kind = ErrUnavailable
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range s.waiting {
		w.done <- fmt.Errorf("%w: not sent, as the call before it failed: %v", kind, err)
	}
	clear(s.waiting)
	s.waiting = s.waiting[:0]
}

// send makes one stamped enqueue call on a lane and resends it until it is answered, and what it waits for told.
func (l *lanes) send(ctx context.Context, items []broker.Item, d Durability) (outcomes []broker.Outcome, told broker.Confirmed, err error) {
	one := l.take()
	stamp := l.stamp(one)
	if d.none() {
		outcomes, err = l.plainly(ctx, stamp, items)
	} else {
		f := newFlight(l.client, 1)
		f.want = d.wait()
		f.add(l, stamp, items)
		err = f.result(0, f.carry(ctx))
		outcomes, told = f.answers[0].Outcomes, f.answers[0].Confirmed
	}
	l.give(one, err)
	return outcomes, told, err
}

// plainly is send of jobs that wait for nothing.
func (l *lanes) plainly(ctx context.Context, stamp broker.Stamp, items []broker.Item) (outcomes []broker.Outcome, err error) {
	start := time.Now()
	if x := l.client.express; ctx.Err() == nil && x.Take() {
		outcomes, err = l.express(ctx, stamp, items)
		x.Free()
		if err == nil && outcomes != nil {
			return outcomes, nil
		}
		if errors.Is(outward(err), ErrUnavailable) {
			l.client.conn.Refresh()
		}
	}
	err = l.client.resendAfter(ctx, start, err, func(ctx context.Context) error {
		err := l.list(ctx)
		if err == nil {
			outcomes, err = l.client.broker.Enqueue(ctx, l.keys, stamp, items)
		}
		return err
	})
	return outcomes, err
}
