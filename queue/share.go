package queue

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/tidemill/tidemill/internal/broker"
)

const (
	// maxFlying is how many shared calls of a queue travel at a time, where they are large: one in Redis while the next gathers.
	maxFlying = 2
	// worthFlying is how many jobs wait before another call joins the one under way: fewer do better to travel together.
	worthFlying = 32
)

// Bounds of a shared call; one item always fits.
const (
	shareItems = 500
	shareBytes = chunkBytes
)

// waiter is one Enqueue that waits for a shared call.
type waiter struct {
	item broker.Item
	done chan error // room for one
}

// sharedCall is one call of several single enqueues.
type sharedCall struct {
	waiters []*waiter
	items   []broker.Item
	lane    *lane
	stamp   broker.Stamp
	start   time.Time
}

// load takes the waiters' jobs, and a lane.
func (call *sharedCall) load(l *lanes) {
	call.items = call.items[:0]
	for _, w := range call.waiters {
		call.items = append(call.items, w.item)
	}
	call.lane = l.take()
	call.stamp = l.stamp(call.lane)
}

// tell ends a call: those who wait for it learn what became of their jobs.
func (l *lanes) tell(s *sharing, call *sharedCall, outcomes []broker.Outcome, confirmed broker.Confirmed, err error) {
	l.give(call.lane, call.items, err)
	if l.tells && err == nil { // before its callers know, who may close the client then
		l.created(call.items, outcomes)
	}
	for i, w := range call.waiters {
		if err == nil {
			w.done <- s.durable.confirmed(outcomes[i], call.items[i].ID, confirmed)
		} else {
			w.done <- err
		}
	}
	if errors.Is(err, ErrUnavailable) {
		l.turnAway(s, err)
	}
	clear(call.waiters)
	clear(call.items)
}

// share sends the item with whatever else of its Durability is waiting: group commit. The caller's context ends its waiting,
// never a call that others share.
func (l *lanes) share(ctx context.Context, item broker.Item, d Durability) error {
	l.mu.Lock()
	s := l.sharingLocked(d)
	start := s.flying == 0 || !s.convoy && s.flying < maxFlying && len(s.waiting) >= worthFlying
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
		l.doubts.add(item)
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
	var call sharedCall
	for {
		if s.durable.none() && l.client.express.Take() && l.convoy(s) {
			return
		}
		l.mu.Lock()
		call.start = time.Now()
		if call.waiters = s.pickLocked(call.waiters[:0], shareItems); len(call.waiters) == 0 {
			l.landLocked(s)
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		call.load(l)
		many := len(call.waiters) > 1
		outcomes, confirmed, err := l.send(&call, s.durable)
		l.tell(s, &call, outcomes, confirmed, err)
		if many {
			runtime.Gosched() // those who were answered first: their next jobs travel together
		}
	}
}

// landLocked takes note that one call less is under way.
func (l *lanes) landLocked(s *sharing) {
	if s.flying--; s.flying == 0 && s != &l.plain {
		delete(l.durable, s.durable)
	}
}

// pickLocked takes from the front of those who wait what fits into one call of so many.
func (s *sharing) pickLocked(batch []*waiter, room int) []*waiter {
	bytes := 0
	for n, w := range s.waiting {
		bytes += len(w.item.Envelope)
		if n == room || n > 0 && bytes > shareBytes {
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
	if s.convoy { // which is served
		return
	}
	for _, w := range s.waiting {
		w.done <- fmt.Errorf("%w: not sent, as the call before it failed: %v", kind, err)
	}
	clear(s.waiting)
	s.waiting = s.waiting[:0]
}

// send makes a shared call and resends it until it is answered, and what it waits for told.
func (l *lanes) send(call *sharedCall, d Durability) (outcomes []broker.Outcome, told broker.Confirmed, err error) {
	if d.none() {
		outcomes, err = l.carry(l.client.life, call.start, nil, call.stamp, call.items)
		return outcomes, told, err
	}
	f := newFlight(l.client, 1)
	f.want = d.wait()
	f.add(l, call.stamp, call.items)
	err = f.result(0, f.carry(l.client.life))
	return f.answers[0].Outcomes, f.answers[0].Confirmed, err
}

// carry makes a call the usual way and resends it until it is answered. failed is what became of a first try, at start;
// nil = there was none, or it surely was not carried out.
func (l *lanes) carry(ctx context.Context, start time.Time, failed error, stamp broker.Stamp, items []broker.Item) (outcomes []broker.Outcome, err error) {
	err = l.client.resendAfter(ctx, start, failed, func(ctx context.Context) error {
		err := l.list(ctx)
		if err == nil {
			outcomes, err = l.client.broker.Enqueue(ctx, l.keys, stamp, items)
		}
		return err
	})
	return outcomes, err
}
