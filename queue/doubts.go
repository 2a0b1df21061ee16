package queue

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/loop"
)

// doubts are ids of jobs whose outcome is unknown to somebody, who may enqueue them again under these ids: a direct call that
// arrives late would not see that they are there. Safe for concurrent use; the zero value has none.
type doubts struct {
	some atomic.Bool

	mu   sync.Mutex
	last time.Time               // when the last of them is settled
	when map[uuid.UUID]time.Time // when each is
}

// add notes the jobs of a call that was sent, or may have been, by now.
func (d *doubts) add(items ...broker.Item) {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sweepLocked(now)
	for i := range items {
		if items[i].Made { // a direct call has no other
			if d.when == nil {
				d.when = make(map[uuid.UUID]time.Time)
			}
			d.last = now.Add(broker.DirectFor)
			d.when[items[i].ID] = d.last
			d.some.Store(true)
		}
	}
}

// sweepLocked forgets all once the last one is settled.
func (d *doubts) sweepLocked(now time.Time) {
	if d.some.Load() && !now.Before(d.last) {
		d.when = nil
		d.some.Store(false)
	}
}

// settled waits until no direct call can store the job any more, or for the end of ctx.
func (d *doubts) settled(ctx context.Context, item *broker.Item) error {
	if item.Made || !d.some.Load() {
		return nil
	}
	now := time.Now()
	d.mu.Lock()
	d.sweepLocked(now)
	when, doubted := d.when[item.ID]
	d.mu.Unlock()
	if !doubted {
		return nil
	}
	if err := loop.Sleep(ctx, when.Sub(now)); err != nil {
		return context.Cause(ctx)
	}
	return nil
}
