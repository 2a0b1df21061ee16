package pubsub

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
)

// Message is one message. It is decoded once and shared by all subscriptions of the process: read it, do not change it.
type Message[T any] struct {
	ID    uuid.UUID         // zero of a foreign message, which no Tidemill client published
	Topic string            // the topic's name, also where a pattern brought it
	Time  time.Time         // when it was published, by the publisher's clock, to the µs; zero of a foreign message
	Meta  map[string]string // such as traceparent; nil = none
	Data  T
	// Of durable topics:
	Position string // of the message in the stream, "1700000000000-0"
	Attempt  int    // 1 at the first delivery to the group

	settler settler // nil of a live one
}

// settler is the group's member that a durable message was delivered to.
type settler interface {
	ack(ctx context.Context, position string) error
	nack(ctx context.Context, position string, reason error) error
}

// Ack says that a durable message is done; Redis hears of it within a ms or so, and before Member.Close returns. It does not
// wait for that, and ctx does not matter. Errors: ErrClosed, ErrSessionLost (others may have the message; it is noted all the
// same), ErrInvalid where the message was given back before. Of a live topic's message, and of one that Replay brought, it
// does nothing.
func (m *Message[T]) Ack(ctx context.Context) error {
	if m.settler == nil {
		return nil
	}
	return m.settler.ack(ctx, m.Position)
}

// Nack gives a durable message back, to be delivered again after its group's backoff; err says why, and is kept where it
// was the last attempt. With Dead(err) there is no other attempt. Of a live topic's message, and of one that Replay
// brought, it does nothing.
func (m *Message[T]) Nack(ctx context.Context, err error) error {
	if m.settler == nil {
		return nil
	}
	return m.settler.nack(ctx, m.Position, err)
}

// Handler is called for each message. Of a durable topic nil acknowledges it, an error asks for another delivery, and
// Dead(err) puts it among the dead at once. Of a live topic an error is logged and counted (Stats.Failed). A panic is an
// error with a stack.
type Handler[T any] func(ctx context.Context, m *Message[T]) error

// Event is what a channel brings: a message, or an error such as *Gap.
type Event[T any] struct {
	Message *Message[T]
	Err     error
}

// Dead marks an error with which trying again cannot help. Dead(nil) is an error too.
func Dead(err error) error {
	if err == nil {
		err = errors.New("given up without a reason")
	}
	return &deadError{err}
}

type deadError struct{ err error }

func (e *deadError) Error() string { return e.err.Error() }
func (e *deadError) Unwrap() error { return e.err }

// isDead tells an error that Dead marked.
func isDead(err error) bool { return errors.As(err, new(*deadError)) }
