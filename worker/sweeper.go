package worker

import (
	"context"
	"time"

	"github.com/tidemill/tidemill/internal/loop"
)

// sweepSoon hands a queue whose retention has work to the sweeper; when it is busy the next heartbeat says so again.
func (w *Worker) sweepSoon(c *consumer) {
	select {
	case w.sweeps <- c:
	default:
	}
}

// sweepEvery is how often the records of silent producers are looked through.
const sweepEvery = 2 * time.Minute

// sweep forgets finished and dead jobs whose time is over, until ctx ends.
func (w *Worker) sweep(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	cursors := make(map[*consumer]string)
	for {
		select {
		case <-ctx.Done():
			return nil
		case c := <-w.sweeps:
			// Spread over the workers: all of them hear of it at about the same time.
			if loop.Sleep(ctx, jitter(200*time.Millisecond)) != nil {
				return nil
			}
			w.sweepQueue(ctx, c, cursors)
		case <-tick.C:
			for _, c := range w.consumers {
				w.sweepQueue(ctx, c, cursors)
			}
		}
	}
}

func (w *Worker) sweepQueue(ctx context.Context, c *consumer, cursors map[*consumer]string) {
	for ctx.Err() == nil {
		cursor := cursors[c]
		if cursor == "" {
			cursor = "0"
		}
		finished, dead, next, err := w.broker.Sweep(ctx, c.keys, cursor)
		if err != nil {
			w.outage.Event(w.log.Warn()).Err(err).Str("queue", c.name).Msg("forgetting old jobs failed; trying again later")
			return
		}
		cursors[c] = next
		if finished+dead == 0 {
			return
		}
	}
}
