package pubsub

import (
	"errors"
	"fmt"

	"github.com/tidemill/tidemill/internal/bus"
	"github.com/tidemill/tidemill/internal/conn"
)

var (
	// ErrFull: Redis is at its memory limit and stored nothing. Members go on, and their acknowledgements too.
	ErrFull = conn.ErrFull
	// ErrNotFound: there is no such durable topic, or the topic has no such group.
	ErrNotFound = errors.New("pubsub: not found")
	// ErrInUse: the group, or a group of the topic, has members; nothing was deleted.
	ErrInUse = errors.New("pubsub: in use")
	// ErrSessionLost: the member was out of touch for longer than its TTL, and others have its messages by now. It is the
	// cause with which the contexts of its handlers end; the member itself begins a new session and goes on. An Ack after
	// that still counts, a Nack does not.
	ErrSessionLost = errors.New("pubsub: session lost")
)

// KeyTypeError names a key that holds another type than Tidemill's. Nothing was changed; the topic cannot be used until the
// key is renamed or deleted.
type KeyTypeError = bus.KeyTypeError

// aboutTopic makes an error of inspection one for callers.
func aboutTopic(topic, group string, err error) error {
	if err == nil {
		return nil
	}
	what := fmt.Sprintf("topic %q", topic)
	if group != "" {
		what = fmt.Sprintf("group %q of topic %q", group, topic)
	}
	var busy *bus.BusyError
	switch {
	case errors.Is(err, bus.ErrNoGroup):
		return fmt.Errorf("%s: %w", what, ErrNotFound)
	case errors.As(err, &busy):
		return fmt.Errorf("%s: %w: %w", what, ErrInUse, err)
	}
	return fmt.Errorf("%s: %w", what, outward(err))
}
