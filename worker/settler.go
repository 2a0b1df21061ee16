package worker

import (
	"context"
	"errors"
	"time"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/conn"
	"github.com/tidemill/tidemill/internal/loop"
)

// settleBatch bounds a settler's call.
const settleBatch = 100

// settle tells Redis of a queue's claims that end other than in success, in order, until its context ends. A call that
// is not answered is sent again unchanged.
func (w *Worker) settle(ctx context.Context, c *consumer) error {
	for ctx.Err() == nil {
		w.mu.Lock()
		n := min(len(c.fails), settleBatch)
		if n == 0 || !c.active || c.broken != nil {
			w.mu.Unlock()
			select {
			case <-c.unpaid.C():
			case <-ctx.Done():
			}
			continue
		}
		batch := append([]failure(nil), c.fails[:n]...)
		session, epoch := c.session, c.epoch
		c.failed++
		seq := c.failed
		c.telling = time.Now()
		w.mu.Unlock()
		items := make([]broker.Settle, n)
		for i := range batch {
			items[i] = batch[i].Settle
		}
		w.send(ctx, c, session, epoch, seq, batch, items)
	}
	return nil
}

// send makes one settling call until it is answered or its session is lost.
func (w *Worker) send(ctx context.Context, c *consumer, session string, epoch, seq uint64, batch []failure, items []broker.Settle) {
	for attempt := 1; ; attempt++ {
		outcomes, err := w.broker.Fail(ctx, c.keys, session, 0, seq, items)
		w.mu.Lock()
		if c.epoch != epoch { // its failures were dropped with the session
			w.mu.Unlock()
			return
		}
		switch {
		case err == nil:
			c.telling = time.Time{}
			w.paidLocked(c, batch, outcomes)
			w.mu.Unlock()
			return
		case errors.Is(err, broker.ErrLost) || errors.Is(err, broker.ErrStale):
			w.lostLocked(c, err)
			w.mu.Unlock()
			return
		case !conn.Retryable(err) && ctx.Err() == nil:
			if c.broken == nil {
				w.log.Error().Err(err).Str("queue", c.name).Msg("queue stopped: redis refuses its calls")
			}
			c.broken, c.telling = err, time.Time{}
			w.mu.Unlock()
			return
		}
		w.mu.Unlock()
		w.outage.Event(w.log.Warn()).Err(err).Msg("redis does not answer; going on as soon as it does")
		if loop.Sleep(ctx, outagePolicy.Delay(attempt, nil)) != nil {
			return
		}
	}
}

func (w *Worker) paidLocked(c *consumer, batch []failure, outcomes []broker.Settled) {
	c.fails = append(c.fails[:0], c.fails[len(batch):]...)
	for i, f := range batch {
		if f.run != nil {
			f.run.settled()
			w.settledLocked(f.run, f.Verdict, outcomes[i])
		}
		switch outcomes[i] {
		case broker.SettledRefused:
			c.tally.Refused++
			if f.run != nil {
				w.log.Warn().Str("queue", c.name).Stringer("job_id", f.ID).Msg("a late outcome was refused: the claim was lost")
			}
		case broker.SettledCancelled:
			w.log.Info().Str("queue", c.name).Stringer("job_id", f.ID).Msg("job cancelled")
		}
	}
}

// unpaidLocked counts the failures that are not settled yet.
func (w *Worker) unpaidLocked() int {
	n := 0
	for _, c := range w.consumers {
		if c.broken == nil {
			n += len(c.fails)
		}
	}
	return n
}
