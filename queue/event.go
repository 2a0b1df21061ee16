package queue

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/bus"
	"github.com/tidemill/tidemill/internal/wire"
)

// EventName is what happened to a job.
type EventName string

// Events of a job. Those of the first group are told by clients (Config.Lifecycle), the others by workers
// (worker.Queue.Lifecycle); cancelled by whoever ended it.
const (
	EventCreated  EventName = "created"  // Redis took it
	EventRedriven EventName = "redriven" // dead, and ready again

	EventStarted   EventName = "started"   // its handler is about to be called
	EventSucceeded EventName = "succeeded" // acknowledged
	EventFailed    EventName = "failed"    // an attempt of it did; retried or dead comes next
	EventRetried   EventName = "retried"   // to be tried again when Due
	EventDead      EventName = "dead"      // not to be tried again, or it crashed its workers
	EventCancelled EventName = "cancelled"
	EventExpired   EventName = "expired"  // not started in time
	EventSnoozed   EventName = "snoozed"  // to be started again when Due, at no cost of an attempt
	EventReleased  EventName = "released" // given back by a worker that stops
)

// Event is what happened in the life of a job, as it is published in JSON to the topic of its queue (EventTopic), by those
// clients and workers that are told to. Subscribe with pubsub.NewTopic[queue.Event](client, queue.EventTopic("emails")).
//
// Events are told after the fact: once Redis has confirmed it, except for started. None tells what was not, and some may
// be missing: messages are sent beside the work, not with it, and dropped where Redis does not take them or too many wait.
// What must not be missed is read from the queue. Those of one process arrive in order; a worker's started may come
// before a producer's created, and once more after a worker was lost.
type Event struct {
	Event     EventName `json:"event"`
	ID        uuid.UUID `json:"id"`
	Key       string    `json:"key,omitempty"` // the caller's own id, where it was text
	Kind      string    `json:"kind"`          // empty where it was not to be known, as of a job that is gone
	Queue     string    `json:"queue"`
	Namespace string    `json:"namespace"`
	Attempt   int       `json:"attempt,omitempty"` // from 1; 0 before the first
	Worker    string    `json:"worker,omitempty"`  // the instance, of a worker's events
	Time      time.Time `json:"time"`              // when it happened: by the server's clock of a worker's, else by the client's
	Due       time.Time `json:"due,omitzero"`      // when it is to be started, where that is delayed
	RunMS     float64   `json:"run_ms,omitempty"`  // how long the handler ran, in milliseconds
	Error     string    `json:"error,omitempty"`   // why, to 1 KiB
}

// EventTopic names the topic of a queue's events: "jobs." and the queue's name.
func EventTopic(queue string) string { return "jobs." + queue }

const (
	// maxEvents bounds the events that wait to be sent.
	maxEvents = 100_000
	// eventRound is how many events are encoded and sent together.
	eventRound = 256
	// eventsWithin bounds the sending of a round, and eventsAtEnd what the end of a client waits for the last ones.
	eventsWithin = time.Second
	eventsAtEnd  = 2 * time.Second
)

// newOutbox makes what sends a client's events, and those of its workers.
func newOutbox(c *Client) *bus.Outbox[Event] {
	return bus.NewOutbox(bus.OutboxConfig[Event]{Client: c.conn.Shared(), Compose: composeEvents, Limit: maxEvents, Round: eventRound,
		Within: eventsWithin, Logger: c.config.Logger, Failure: "messages about the lives of jobs were dropped; the jobs are as they were"})
}

func composeEvents(events []Event) []bus.Message {
	messages := make([]bus.Message, 0, len(events))
	now := time.Now()
	for i := range events {
		data, err := json.Marshal(&events[i])
		if err != nil { // a time that no year holds
			continue
		}
		m := wire.Message{ID: wire.NewMessageID(now), Time: now.UnixMicro(), Data: data}
		messages = append(messages, bus.Message{Channel: EventTopic(events[i].Queue), Payload: string(m.Append(nil))})
	}
	return messages
}
