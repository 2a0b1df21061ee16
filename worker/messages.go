package worker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/backoff"
	"github.com/tidemill/tidemill/internal/loop"
	"github.com/tidemill/tidemill/internal/wire"
	"github.com/tidemill/tidemill/pubsub"
	"github.com/tidemill/tidemill/queue"
)

// MessageRetention is how long a job that EnqueueMessages made is kept after its end, unless an option says otherwise: so
// long its message is known, and makes no other job.
const MessageRetention = 5 * time.Minute

// MetaTopic is the metadata of a job that EnqueueMessages made which names the message's topic.
const MetaTopic = "topic"

// EnqueueMessages answers a handler for messages that makes a job of each: of the kind, with the message's data as payload,
// as it was sent, and its metadata, to which comes "topic". The options are those of every job.
//
// A message makes one job of a kind in a queue, however often and to however many processes it is delivered: the job's id
// is that of the message and the kind, "0197c1f0-5a3e-7cc3-98c4-dc0c0c07398f/mail.send", so that another try while the job
// exists is a duplicate, which counts as done. Retain says for how long that holds after the job's end; default
// MessageRetention. A foreign message (of plain PUBLISH or XADD) has no id: from a durable topic its place in the stream
// stands for it; from a live one each process that is subscribed makes a job of it.
//
// The handler returns nil, which acknowledges a durable message, only once Redis has the job. While Redis is away or full it
// tries again until its context ends. What can't become a job at all, such as a payload that is too large, is an error
// that pubsub.Dead marks. Errors: queue.ErrInvalid for the kind.
func EnqueueMessages(client *queue.Client, kind string, options ...queue.Option) (pubsub.Handler[pubsub.Raw], error) {
	if err := queue.CheckKind(kind); err != nil {
		return nil, err
	}
	limit := loop.NewLimiter(outageEvery)
	log := client.Engine().Logger
	return func(ctx context.Context, m *pubsub.Message[pubsub.Raw]) error {
		job := queue.Raw{Name: kind, Payload: m.Data}
		id := jobID(m, kind)
		all := jobOptions(m, id, options)
		return loop.Retry(ctx, messageAgain, func(ctx context.Context) error {
			_, err := client.Enqueue(ctx, job, all...)
			switch {
			case err == nil, errors.Is(err, queue.ErrNotConfirmed) && id == "": // which would make another job
				return nil
			case errors.Is(err, queue.ErrNotConfirmed): // under its id it waits anew
				return err
			case errors.Is(err, queue.ErrDuplicate):
				return nil
			case errors.Is(err, queue.ErrUnavailable), errors.Is(err, queue.ErrRedisFull), errors.Is(err, queue.ErrOutcomeUnknown):
				return err
			case errors.Is(err, queue.ErrInvalid), errors.Is(err, queue.ErrPayloadTooLarge):
				err = pubsub.Dead(err)
			}
			return loop.Permanent(err)
		}, func(err error, attempt int, _ time.Duration) {
			limit.Event(log.Warn()).Err(err).Str("topic", m.Topic).Str("kind", kind).Int("attempt", attempt).
				Msg("a message could not be made a job; trying again")
		})
	}, nil
}

// messageAgain paces the tries for a message. Each of them has tried for some seconds itself, where Redis is away.
var messageAgain = backoff.Policy{Base: 100 * time.Millisecond, Cap: 5 * time.Second, Factor: 2, Jitter: 0.5}

// jobOptions are those of a message's job: the caller's come after the defaults.
func jobOptions(m *pubsub.Message[pubsub.Raw], id string, options []queue.Option) []queue.Option {
	all := append(make([]queue.Option, 0, len(options)+len(m.Meta)+3), queue.Retain(MessageRetention))
	for key, value := range m.Meta {
		all = append(all, queue.Meta(key, value))
	}
	if m.Topic != "" { // it takes the place of a word of the publisher's
		all = append(all, queue.Meta(MetaTopic, m.Topic))
	}
	all = append(all, options...)
	if id != "" {
		all = append(all, queue.ID(id))
	}
	return all
}

// jobID names the job of a message; empty where the message has no name.
func jobID(m *pubsub.Message[pubsub.Raw], kind string) string {
	id := ""
	switch {
	case m.ID != uuid.Nil:
		id = m.ID.String() + "/" + kind
	case m.Position != "":
		id = m.Topic + "@" + m.Position + "/" + kind
	}
	if len(id) > wire.MaxKeyLen {
		sum := sha256.Sum256([]byte(id))
		id = hex.EncodeToString(sum[:])
	}
	return id
}
