package queue

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/wire"
)

// everyQueue stands for all queues in Config.Lifecycle.
const everyQueue = "*"

// checkLifecycle tells what is wrong with the names, or nil.
func checkLifecycle(names []string, space keys.Space) error {
	for _, name := range names {
		if _, err := space.Queue(name); err != nil && name != everyQueue {
			return invalid("Lifecycle", fmt.Sprintf("%.140q", name), `names of queues, or "*" for all`)
		}
	}
	return nil
}

// tells tells whether events of a queue's jobs are published.
func (c *Client) tells(queue string) bool {
	return slices.Contains(c.config.Lifecycle, queue) || slices.Contains(c.config.Lifecycle, everyQueue)
}

// EventCounts answers how many messages about the lives of jobs this client and its workers sent, and how many they
// dropped: because 100,000 waited already, or Redis did not take them.
func (c *Client) EventCounts() (sent, dropped uint64) { return c.outbox.Counts() }

// event is one of this queue's.
func (l *lanes) event(name EventName, id uuid.UUID) Event {
	return Event{Event: name, ID: id, Queue: l.keys.Name(), Namespace: l.client.space.Name(), Time: time.Now().UTC().Truncate(time.Microsecond)}
}

// created tells of the jobs of a call that were.
func (l *lanes) created(items []broker.Item, outcomes []broker.Outcome) {
	events := make([]Event, 0, len(items))
	last := "" // jobs that travel together are mostly of one kind
	for i := range items {
		if outcomes[i] != broker.Created {
			continue
		}
		e := l.event(EventCreated, items[i].ID)
		kind, key := wire.Names(items[i].Envelope)
		if last != string(kind) {
			last = string(kind)
		}
		e.Kind, e.Key = last, string(key)
		switch due := items[i].Due; {
		case due.In > 0:
			e.Due = e.Time.Add(time.Duration(due.In) * time.Millisecond)
		case due.At > e.Time.UnixMilli():
			e.Due = time.UnixMilli(due.At).UTC()
		}
		events = append(events, e)
	}
	l.client.outbox.Add(events...)
}

// named is an event of a job of which more is known.
func (l *lanes) named(name EventName, info *Info) Event {
	e := l.event(name, info.ID)
	e.Kind, e.Key = info.Kind, info.Key
	return e
}

// tellPage tells what a verb did to a page of jobs.
func (l *lanes) tellPage(name EventName, jobs []*Snapshot, done func(i int) bool) {
	if !l.tells {
		return
	}
	var events []Event
	for i, s := range jobs {
		if done(i) {
			events = append(events, l.named(name, &s.Info))
		}
	}
	l.client.outbox.Add(events...)
}

// before reads what is to be told of a job before a verb ends it, where something is; who cannot be read has no name.
func (c *Client) before(ctx context.Context, queue, id string) func(name EventName) {
	l, err := c.queue(queue)
	if err != nil || !l.tells {
		return func(EventName) {}
	}
	_, uid, _ := c.find(queue, id)
	info := Info{ID: uid}
	if s, err := c.get(ctx, c.broker, queue, id); err == nil {
		info = s.Info
	}
	return func(name EventName) { c.outbox.Add(l.named(name, &info)) }
}

// flushEvents gives the last events a moment to be sent.
func (c *Client) flushEvents() {
	ctx, cancel := context.WithTimeout(context.Background(), eventsAtEnd)
	defer cancel()
	c.outbox.Flush(ctx)
}
