package pubsub

import (
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/bus"
	"github.com/tidemill/tidemill/internal/conn"
)

// Errors that callers tell apart by errors.Is. They are wrapped with what they are about.
var (
	// ErrInvalid: an argument or option is not allowed; nothing was sent. The text names field, value and what is.
	ErrInvalid = errors.New("invalid")
	// ErrClosed: the client or the subscription is closed.
	ErrClosed = errors.New("pubsub: closed")
	// ErrUnavailable: Redis does not serve. Nothing was published, unless the error is ErrOutcomeUnknown too.
	ErrUnavailable = conn.ErrUnavailable
	// ErrOutcomeUnknown: the message may or may not have been published. To publish it again under the same id (MessageID)
	// lets subscribers tell.
	ErrOutcomeUnknown = bus.ErrMaybe
	// ErrSlowConsumer ended a subscription whose policy is CloseWhenSlow.
	ErrSlowConsumer = errors.New("slow consumer")
	// ErrNotPermitted: the Redis user may not use the channel or the command (ACL).
	ErrNotPermitted = conn.ErrPermission
	// ErrPatternSharded: Redis has no patterns over sharded channels.
	ErrPatternSharded = errors.New("there are no patterns over sharded topics")
	// ErrNoSharding: the server has no sharded pub/sub: it is older than Redis 7.0, or the embedded one.
	ErrNoSharding = bus.ErrNoSharding
	// ErrAuth: Redis refused the credentials.
	ErrAuth = conn.ErrAuth
	// ErrReadOnly: Redis is a read-only replica; connect to the primary.
	ErrReadOnly = conn.ErrReadOnly
	// ErrUnsupported: the server is too old, or none that can be used.
	ErrUnsupported = conn.ErrUnsupported
)

// Gap tells in-band that messages may have been missed: it comes where they would have. It is no reason to stop: what
// follows are messages again.
type Gap struct {
	// From and To are of this process's clock. Of a lost connection: what Redis had taken before From, and what is published
	// after To, is not missing. Of a slow consumer: when the first and the last message was dropped.
	From, To time.Time
	Reason   string // such as "connection lost: EOF", or "slow consumer" where the subscription's buffer was full
	Missed   uint64 // how many, where that is known (slow consumer); else 0
}

// Error makes a Gap an error, as which All, Next and C bring it.
func (g *Gap) Error() string {
	if g.Missed > 0 {
		return fmt.Sprintf("pubsub: %d messages missed (%s)", g.Missed, g.Reason)
	}
	return fmt.Sprintf("pubsub: messages of %v may be missed (%s)", g.To.Sub(g.From).Round(time.Millisecond), g.Reason)
}

// DecodeError is a message that could not be decoded into the topic's type. It comes in its place; what follows is not
// touched by it. It is shared as messages are.
type DecodeError struct {
	Topic string
	Data  []byte // as it was sent
	Err   error  // of the codec
}

func (e *DecodeError) Error() string {
	return fmt.Sprintf("pubsub: a message of topic %q cannot be decoded: %v", e.Topic, e.Err)
}

// Unwrap answers the codec's error.
func (e *DecodeError) Unwrap() error { return e.Err }

// BatchError says how many messages of a PublishMany were surely not published, and of how many that is unknown; the rest
// were. Unwrap answers the first error.
type BatchError struct {
	Failed, Unknown, Of int
	First               error
}

func (e *BatchError) Error() string {
	text := fmt.Sprintf("%d of %d messages were not published", e.Failed, e.Of)
	if e.Unknown > 0 {
		text += fmt.Sprintf(" (and %d may have been)", e.Unknown)
	}
	return fmt.Sprintf("%s, the first because: %v", text, e.First)
}

// Unwrap answers the first error.
func (e *BatchError) Unwrap() error { return e.First }

// invalid is an ErrInvalid that names what was given and what is allowed.
func invalid(field, value, allowed string) error {
	return fmt.Errorf("%w %s: %s; allowed: %s", ErrInvalid, field, value, allowed)
}

// closedBelow is an ErrClosed of the client's, in the words of this package alone.
type closedBelow struct{ err error }

func (closedBelow) Error() string     { return ErrClosed.Error() }
func (c closedBelow) Unwrap() []error { return []error{ErrClosed, c.err} }

// outward makes an error of the floors below one that callers can tell apart.
func outward(err error) error {
	switch {
	case err == nil, errors.Is(err, ErrUnavailable), errors.Is(err, ErrClosed), errors.Is(err, ErrInvalid):
		return err
	case errors.Is(err, redis.ErrClosed):
		return closedBelow{err}
	case errors.Is(err, conn.ErrConfig):
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return conn.Classify(err)
}
