package pubsub

import (
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// TopicOption is a choice for a topic: Sharded, WithCodec, KeepCount, KeepFor.
type TopicOption func(*topicOptions) error

type topicOptions struct {
	codec     Codec         // nil: the client's
	sharded   bool          // live
	keepCount int64         // durable; 0 = without bound
	keepFor   time.Duration // durable; 0 = without bound
}

// WithCodec chooses how the topic's data becomes bytes (default: the client's Codec). All who publish and subscribe must
// use the same.
func WithCodec(c Codec) TopicOption {
	return func(o *topicOptions) error {
		if err := checkCodec("codec", c); err != nil {
			return err
		}
		o.codec = c
		return nil
	}
}

// PublishOption is a choice for one publish: MessageID, Meta.
type PublishOption func(*publishOptions) error

type publishOptions struct {
	id   uuid.UUID // Nil: a new one
	meta map[string]string
	size int // of the metadata
}

// maxMeta bounds a message's metadata, keys and values together, in bytes.
const maxMeta = 8 << 10

// MessageID gives the message an id of the caller's, so that whoever gets it twice can tell; for one message only. Default:
// a new UUIDv7. A live topic delivers what it is given, whatever the id.
func MessageID(id uuid.UUID) PublishOption {
	return func(o *publishOptions) error {
		if id == uuid.Nil {
			return invalid("message id", id.String(), "any UUID but the nil one, which stands for a message of no Tidemill client")
		}
		o.id = id
		return nil
	}
}

// Meta attaches a word beside the data, such as traceparent: at most 8 KiB a message in all.
func Meta(key, value string) PublishOption {
	return func(o *publishOptions) error {
		if key == "" {
			return invalid("metadata", "an empty key", "a name")
		}
		if !utf8.ValidString(key) || !utf8.ValidString(value) {
			return invalid("metadata", fmt.Sprintf("%.140q", key+"="+value), "UTF-8 text")
		}
		if o.meta == nil {
			o.meta = make(map[string]string)
		}
		if old, there := o.meta[key]; there {
			o.size -= len(key) + len(old)
		}
		if o.size += len(key) + len(value); o.size > maxMeta {
			return invalid("metadata", fmt.Sprintf("%d bytes", o.size), fmt.Sprintf("%d bytes", maxMeta))
		}
		o.meta[key] = value
		return nil
	}
}

// gather applies options to what they are about.
func gather[O any, F ~func(*O) error](o *O, options []F) error {
	for i, option := range options {
		if option == nil {
			return invalid("option", fmt.Sprintf("number %d is nil", i+1), "an option of this package")
		}
		if err := option(o); err != nil {
			return err
		}
	}
	return nil
}
