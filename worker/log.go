package worker

import (
	"time"

	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/queue"
)

// jobLog is a logger with a job's fields, as handlers find it by zerolog.Ctx.
func (w *Worker) jobLog(info *queue.Info) zerolog.Context {
	log := w.log.With().Str("queue", info.Queue).Str("kind", info.Kind).Stringer("job_id", info.ID).Int("attempt", info.Attempt)
	if info.Key != "" {
		log = log.Str("key", info.Key)
	}
	return log
}

// event adds an attempt's fields to a log line; a line of a level that is off stays nil.
func (t *task) event(e *zerolog.Event, err error) *zerolog.Event {
	if e == nil {
		return nil
	}
	return e.Str("queue", t.r.c.name).Str("kind", t.e.Kind).Stringer("job_id", t.r.claim.ID).
		Int("attempt", t.number).Dur("duration", time.Since(t.began)).Err(err)
}

// tell logs what became of an attempt that did not succeed.
func (t *task) tell(v verdict, err error) {
	log := &t.w.log
	var e *zerolog.Event
	text := ""
	switch v.kind {
	case broker.Retry:
		e, text = log.Warn(), "job failed, retrying"
	case broker.Dead:
		e, text = log.Error(), "job is dead"
	case broker.Snooze:
		e, text = log.Debug(), "job snoozed"
	case broker.Cancelled:
		e, text = log.Info(), "job cancelled"
	case broker.Release:
		e, text = log.Info(), "job released"
	case broker.Expired:
		e, text = log.Info(), "job expired before it was started"
	}
	if e = t.event(e, err); v.delay > 0 {
		e = e.Dur("retry_in", v.delay)
	}
	e.Msg(text)
}

// tellUnknown logs a kind without a handler, once.
func (w *Worker) tellUnknown(kind, queueName string) {
	w.mu.Lock()
	_, told := w.unknown[kind]
	if !told && len(w.unknown) < 1000 {
		w.unknown[kind] = time.Now()
	}
	w.mu.Unlock()
	if !told {
		w.log.Warn().Str("kind", kind).Str("queue", queueName).
			Msg("no handler for this kind: its jobs wait for a worker that has one, up to 24 hours")
	}
}
