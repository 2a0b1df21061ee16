package pubsub

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/tidemill/tidemill/internal/wire"
)

// Member is this process in a group of a durable topic's consumers. Use one of All, Next, C and Handle. A message is the
// member's until it is acknowledged, given back, or the member is gone: however long that takes, nobody else gets it.
//
// What All, Next and C bring is to be settled by Message.Ack or Message.Nack, in any order; beyond 65,536 messages that are
// not, no more come. Both note the outcome at once and tell Redis within a ms or so, together with others; Close waits for
// that. They go on while Redis is away, and where it is full.
//
// Messages come in the order of the topic, save those that are delivered again. What retention drops before the group had it
// is told as a *Gap, to one member, within 2 s. A member that was out of touch for longer than its TTL loses its messages to
// others and goes on with a new session (ErrSessionLost). Safe for concurrent use.
type Member[T any] struct {
	m     *member
	codec Codec

	mu  sync.Mutex
	out chan Event[T] // of C
}

// All yields messages until ctx ends or the member does. The error is a *DecodeError, of a message that is dead by that, or
// a *Gap, after both of which it goes on, or what ended the member (ErrNotPermitted, *KeyTypeError, ErrClosed of the
// connection), as the last. The end of ctx and Close end it silently. Leaving the loop leaves the member in the group.
func (m *Member[T]) All(ctx context.Context) iter.Seq2[*Message[T], error] {
	return func(yield func(*Message[T], error) bool) {
		for first := true; ; first = false {
			msg, _, state, err := m.next(ctx, first)
			if state == quiet || !yield(msg, err) || state == broken {
				return
			}
		}
	}
}

// Next waits for one message: it answers what All yields, and at the end what ended ctx, or ErrClosed after Close.
func (m *Member[T]) Next(ctx context.Context) (*Message[T], error) {
	msg, _, _, err := m.next(ctx, false)
	return msg, err
}

// next takes a message and decodes it. One that cannot be is dead. First is take's.
func (m *Member[T]) next(ctx context.Context, first bool) (*Message[T], *delivery, state, error) {
	d, state, err := m.m.take(ctx, first)
	if d == nil {
		return nil, nil, state, err
	}
	msg, err := decodeEntry[T](m.codec, m.m.topic.Name(), d.entry.Position, d.entry.Data)
	if err != nil {
		m.m.client.counts.undecodable.Add(1)
		_ = d.nack(ctx, "", Dead(err))
		return nil, nil, state, err
	}
	msg.Attempt, msg.settler = d.entry.Deliveries, d
	return msg, d, state, nil
}

// decodeEntry makes a message of an entry of a stream; the error is a *DecodeError.
func decodeEntry[T any](codec Codec, topic, position string, data []byte) (*Message[T], error) {
	envelope := wire.DecodeMessage(data)
	m := &Message[T]{ID: envelope.ID, Topic: topic, Meta: envelope.Meta, Position: position}
	if envelope.Time != 0 {
		m.Time = time.UnixMicro(envelope.Time)
	}
	if err := decodeSafely(codec, envelope.Data, &m.Data); err != nil {
		return nil, &DecodeError{Topic: topic, Data: envelope.Data, Err: err}
	}
	return m, nil
}

// C is All as a channel, always the same, which is closed at the end of the member. One message is held for its reader.
func (m *Member[T]) C() <-chan Event[T] {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.out == nil {
		m.out = make(chan Event[T])
		go m.feed(m.out)
	}
	return m.out
}

// feed is C's goroutine.
func (m *Member[T]) feed(out chan<- Event[T]) {
	defer close(out)
	for msg, err := range m.All(context.Background()) {
		select {
		case out <- Event[T]{msg, err}:
		case <-m.m.life.Done():
			return
		}
	}
}

// Err is what ended the member; nil while it is one, and after Close.
func (m *Member[T]) Err() error {
	m.m.mu.Lock()
	defer m.m.mu.Unlock()
	return m.m.err
}

// Close leaves the group: what was settled is told to Redis, and what is not goes to other members at once, without
// counting as an attempt. It waits up to 5 s for Redis at each of both; if Redis does not hear of it, others get the messages
// when the member's TTL is over. The contexts of handlers end with ErrClosed. Closing twice is fine.
func (m *Member[T]) Close() { m.m.close(nil) }
