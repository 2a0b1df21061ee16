package worker

import (
	"context"
)

// recovery names a session to recover.
type recovery struct {
	c       *consumer
	session string
}

// recoverSoon hands an expired session to the recoverer; when it is busy the next heartbeat names the session again.
func (w *Worker) recoverSoon(c *consumer, session string) {
	select {
	case w.recovery <- recovery{c, session}:
	default:
	}
}

// recover takes back what lost sessions were running, until ctx ends.
func (w *Worker) recover(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case r := <-w.recovery:
			w.recoverSession(ctx, r)
		}
	}
}

func (w *Worker) recoverSession(ctx context.Context, r recovery) {
	moved, suspects, dead := 0, 0, 0
	for ctx.Err() == nil {
		got, err := w.broker.Recover(ctx, r.c.keys, r.session, w.ttl, w.config.CrashLimit, r.c.tells.Load())
		if err != nil {
			w.outage.Event(w.log.Warn()).Err(err).Str("queue", r.c.name).Msg("taking back a lost session's jobs failed; the next heartbeat tries again")
			return
		}
		w.mu.Lock()
		r.c.tally.Recovered += uint64(got.Moved)
		w.mu.Unlock()
		w.tellEnded(r.c, got.Ended)
		moved, suspects, dead = moved+got.Moved, suspects+got.Suspects, dead+got.Dead
		if !got.More {
			break
		}
	}
	if moved > 0 {
		w.log.Warn().Str("queue", r.c.name).Str("session", r.session).Int("jobs", moved).Int("suspects", suspects).
			Int("dead", dead).Msg("a worker was lost; its jobs go on")
	}
}
