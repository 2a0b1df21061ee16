package worker

import (
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/wire"
	"github.com/tidemill/tidemill/queue"
)

// tale is what is told of a job that somebody wants to hear of: who waits for its end, or whoever listens to its queue.
type tale struct {
	notify string      // the channel of who waits; may be empty
	told   bool        // its events are published
	failed bool        // the attempt used one up
	event  queue.Event // what is known of the job and, at its end, of the attempt
}

// begin notes whom the attempt is told to.
func (t *task) begin() {
	tale := &tale{told: t.r.c.tells.Load()}
	if len(t.e.Notify) <= maxNotify {
		tale.notify = t.e.Notify
	}
	if tale.told {
		tale.event = t.w.event(t.r.c, t.r.claim.ID, t.e.Kind, t.e.Key)
		tale.event.Attempt = t.number
	}
	t.r.tale = tale
}

// started tells that a handler is about to be called.
func (t *task) started() {
	if t.r.tale.told {
		t.w.teller.events.Add(t.r.tale.as(queue.EventStarted))
	}
}

// ending notes what an attempt came to, to be told once Redis has confirmed it.
func (t *task) ending(v verdict, err error) {
	tale := t.r.tale
	if tale == nil || !tale.told {
		return
	}
	e := &tale.event
	e.Time, tale.failed = t.w.serverTime(), v.failed
	if t.called {
		e.RunMS = float64(time.Since(t.began).Microseconds()) / 1000
	}
	if err != nil {
		e.Error = wire.ErrorText(err.Error())
	}
	if t.s.DueAt > 0 {
		e.Due = time.UnixMilli(t.s.DueAt).UTC()
	}
}

// tellEnded tells of the jobs that ended with the worker that ran them.
func (w *Worker) tellEnded(c *consumer, ended []broker.Ended) {
	for _, job := range ended {
		kind, key := wire.Names(job.Envelope)
		e := w.event(c, job.ID, string(kind), string(key))
		if e.Event = queue.EventCancelled; job.Dead {
			e.Event, e.Error = queue.EventDead, "crashed its worker, for the last time that it may"
		}
		w.teller.events.Add(e)
	}
}

// untried is the tale of a job that ended before it was started here.
func (w *Worker) untried(r *run) *tale {
	kind, key := wire.Names(r.envelope)
	return &tale{told: true, event: w.event(r.c, r.claim.ID, string(kind), string(key))}
}

func (w *Worker) event(c *consumer, id uuid.UUID, kind, key string) queue.Event {
	return queue.Event{ID: id, Key: key, Kind: kind, Queue: c.name, Namespace: w.client.Namespace(), Worker: w.instance,
		Time: w.serverTime()}
}

// serverTime is the server's time by its last answer.
func (w *Worker) serverTime() time.Time {
	return time.UnixMicro(time.Now().UnixMicro() + w.offset.Load()).UTC()
}

// as is the event under a name.
func (t *tale) as(name queue.EventName) queue.Event {
	e := t.event
	e.Event = name
	return e
}

// end is the events of an end other than in success.
func (t *tale) end(v broker.Verdict) []queue.Event {
	name := map[broker.Verdict]queue.EventName{broker.Retry: queue.EventRetried, broker.Dead: queue.EventDead,
		broker.Cancelled: queue.EventCancelled, broker.Expired: queue.EventExpired, broker.Snooze: queue.EventSnoozed,
		broker.Release: queue.EventReleased}[v]
	last := t.as(name)
	if v == broker.Cancelled { // also of one that was to be tried again
		last.Due = time.Time{}
	}
	if !t.failed || v == broker.Cancelled {
		return []queue.Event{last}
	}
	failed := t.as(queue.EventFailed)
	failed.Due = time.Time{}
	return []queue.Event{failed, last}
}
