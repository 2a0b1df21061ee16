package worker

import (
	"context"
	"encoding/json"
	"os"
	"time"

	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/loop"
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

// announceEvery is how often a worker renews its line in the listing of workers.
const announceEvery = time.Minute

// announcement is that line.
type announcement struct {
	Host        string    `json:"host"`
	PID         int       `json:"pid"`
	Queues      []string  `json:"queues"`
	Concurrency int       `json:"concurrency"`
	Started     time.Time `json:"started"`
	Seen        time.Time `json:"seen"`
}

// announce keeps the worker's line in the listing and drops those of workers that left without a word.
func (w *Worker) announce(ctx context.Context) error {
	host, _ := os.Hostname()
	line := announcement{Host: host, PID: os.Getpid(), Queues: w.queueNames(), Concurrency: w.config.Concurrency, Started: time.Now()}
	for {
		line.Seen = time.Now()
		info, _ := json.Marshal(line)
		if err := w.broker.Announce(ctx, w.instance, info); err != nil && ctx.Err() == nil {
			w.outage.Event(w.log.Warn()).Err(err).Msg("announcing the worker failed")
		}
		w.dropSilent(ctx)
		if loop.Sleep(ctx, announceEvery+jitter(announceEvery/10)) != nil {
			return nil
		}
	}
}

func (w *Worker) dropSilent(ctx context.Context) {
	all, err := w.broker.Workers(ctx)
	if err != nil {
		return // it is for people only, and tried again in a minute
	}
	for instance, info := range all {
		var line announcement
		if json.Unmarshal([]byte(info), &line) != nil || time.Since(line.Seen) > 5*announceEvery {
			_ = w.broker.Withdraw(ctx, instance)
		}
	}
}
