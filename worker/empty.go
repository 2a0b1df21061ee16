package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tidemill/tidemill/internal/loop"
)

// emptyEvery is how often an idle worker with ExitWhenEmpty counts: within 100 ms of the end it must know.
const emptyEvery = 40 * time.Millisecond

// awaitEmpty calls stop once nothing is ready, scheduled or running in any of the queues. What another worker runs
// counts until it ends or is taken back. A queue that cannot be served does not hold the end up: the rest done, it is
// told as the worker's failure.
func (w *Worker) awaitEmpty(ctx context.Context, stop func()) error {
	for loop.Sleep(ctx, emptyEvery) == nil {
		if w.busy() {
			continue
		}
		empty, err := w.empty(ctx)
		if err != nil && ctx.Err() == nil {
			w.outage.Event(w.log.Warn()).Err(err).Msg("counting jobs failed; trying again")
		}
		if empty && !w.busy() {
			w.log.Info().Msg("the queues are empty")
			stop()
			return nil
		}
	}
	return nil
}

// unserved is why queues could not be served, nil when all can.
func (w *Worker) unserved() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var faults []error
	for _, c := range w.consumers {
		if c.broken != nil {
			faults = append(faults, fmt.Errorf("queue %q is stopped: %w", c.name, c.broken))
		}
	}
	return errors.Join(faults...)
}

// busy tells whether this process has something of its own under way.
func (w *Worker) busy() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.consumers {
		if !c.active && c.broken == nil {
			return true
		}
	}
	return w.running+len(w.buffer)+w.wanted+w.unackedLocked()+w.unpaidLocked() > 0
}

func (w *Worker) empty(ctx context.Context) (bool, error) {
	for _, c := range w.consumers {
		w.mu.Lock()
		broken := c.broken != nil
		w.mu.Unlock()
		if broken {
			continue
		}
		n, err := w.broker.Counts(ctx, c.keys)
		if err != nil {
			return false, err
		}
		if n.Ready+n.Scheduled+n.Running > 0 {
			return false, nil
		}
	}
	return true, nil
}
