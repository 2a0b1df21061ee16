package worker

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/bus"
	"github.com/tidemill/tidemill/queue"
)

const (
	// maxUntold bounds the hints that wait to be sent. Those beyond are dropped: who waits looks for itself too.
	maxUntold = 100_000
	// maxNotify is the longest name of a channel that an envelope may ask for.
	maxNotify = 64
	// hintBytes is about how much one message carries.
	hintBytes = 8 << 10
	// hintsWithin bounds one round of hints, and what the end of the worker waits for the last that there is to tell.
	hintsWithin = 300 * time.Millisecond
)

// teller tells what became of jobs, once Redis has confirmed it: hints for those who wait for the end of a job
// (queue.Notify), and the events of queues with Lifecycle. Both are sent in the background: what acknowledges jobs never
// waits for them.
type teller struct {
	w      *Worker
	hints  *bus.Outbox[ending]
	events *bus.Outbox[queue.Event] // the client's
}

// ending is one job that ended, and who asked to be told.
type ending struct {
	token, queue string
	id           uuid.UUID
}

func newTeller(w *Worker) *teller {
	t := &teller{w: w, events: w.client.Engine().Outbox}
	t.hints = bus.NewOutbox(bus.OutboxConfig[ending]{Client: w.conn.Shared(), Compose: t.compose, Limit: maxUntold, Round: maxUntold,
		Within: hintsWithin, Logger: w.log, Failure: "those who wait for jobs were not told that they ended; they find out within 2 s"})
	return t
}

// acknowledgedLocked tells of what an exchange acknowledged. Most jobs have no tale, which this one test finds out.
func (w *Worker) acknowledgedLocked(o *order, refused []int) {
	var events []queue.Event
	one := func(r *run, place int) {
		if r.tale.notify != "" { // also of refused ones: a hint does no harm
			w.teller.hints.Add(ending{r.tale.notify, r.c.name, r.claim.ID})
		}
		if r.tale.told && !slices.Contains(refused, place) {
			events = append(events, r.tale.as(queue.EventSucceeded))
		}
	}
	for i, r := range o.done {
		if r.tale != nil {
			one(r, i)
		}
	}
	for i := range o.kept {
		if r := o.kept[i].run; r.tale != nil {
			one(r, len(o.done)+i)
		}
	}
	if len(events) > 0 {
		w.teller.events.Add(events...)
	}
}

// settledLocked tells of a claim that was settled otherwise than by success.
func (w *Worker) settledLocked(r *run, v broker.Verdict, became broker.Settled) {
	// The handler of a lost one did not return, and still owns what is behind the lock otherwise.
	if r.lost || became == broker.SettledRefused {
		return
	}
	if became == broker.SettledCancelled {
		v = broker.Cancelled
	}
	if r.tale == nil { // it was not started
		if v != broker.Cancelled || !r.c.tells.Load() {
			return
		}
		r.tale = w.untried(r)
	}
	ends := v == broker.Dead || v == broker.Cancelled || v == broker.Expired
	if ends && r.tale.notify != "" {
		w.teller.hints.Add(ending{r.tale.notify, r.c.name, r.claim.ID})
	}
	if r.tale.told {
		w.teller.events.Add(r.tale.end(v)...)
	}
}

// Run waits for the end of ctx, and then until what is left was told.
func (t *teller) Run(ctx context.Context) error {
	<-ctx.Done()
	last, cancel := context.WithTimeout(t.w.base, hintsWithin)
	defer cancel()
	t.hints.Flush(last)
	t.events.Flush(last)
	return nil
}

// compose gathers the hints for each who waits.
func (t *teller) compose(untold []ending) []bus.Message {
	var messages []bus.Message
	texts := make(map[string]*strings.Builder)
	space := t.w.broker.Space()
	flush := func(token string, text *strings.Builder) {
		messages = append(messages, bus.Message{Channel: space.Ended(token), Payload: strings.TrimSuffix(text.String(), "\n")})
		text.Reset()
	}
	for _, e := range untold {
		text := texts[e.token]
		if text == nil {
			text = &strings.Builder{}
			texts[e.token] = text
		}
		text.WriteString(e.queue + " " + e.id.String() + "\n")
		if text.Len() >= hintBytes {
			flush(e.token, text)
		}
	}
	for token, text := range texts {
		if text.Len() > 0 {
			flush(token, text)
		}
	}
	return messages
}
