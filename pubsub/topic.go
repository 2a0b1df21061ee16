package pubsub

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/tidemill/tidemill/internal/bus"
)

// Topic is a live topic: its messages reach those who are subscribed when they are published, and are kept nowhere. Make
// one and keep it; it is safe for concurrent use and needs no closing.
type Topic[T any] struct {
	client  *Client
	name    string
	codec   Codec
	sharded bool
	outbox  *outbox      // the client's, or a durable topic's
	usual   atomic.Int64 // bytes of the last message's data, as a guess of the next one's
}

// NewTopic makes a topic of data of type T. Its Redis channel has the topic's name, as it is: 1 to 255 bytes of UTF-8
// without control characters. Other programs may publish there without Tidemill; what they send comes as foreign messages
// (without id and time), read by the same codec. Nothing is sent.
//
// Errors: ErrInvalid; ErrNoSharding for Sharded on a server that is known to have none.
func NewTopic[T any](c *Client, name string, options ...TopicOption) (*Topic[T], error) {
	o, err := c.live("topic", name, options)
	if err != nil {
		return nil, err
	}
	if o.sharded && c.server.Known() && (c.server.Embedded() || !c.server.AtLeast(7, 0)) {
		server := c.server.String()
		if c.server.Embedded() {
			server = "the embedded one"
		}
		return nil, fmt.Errorf("topic %q: %w: it is %s", name, ErrNoSharding, server)
	}
	return &Topic[T]{client: c, name: name, codec: o.codec, sharded: o.sharded, outbox: &c.outbox}, nil
}

// live checks a name and the options of a topic or pattern that keeps nothing.
func (c *Client) live(field, name string, options []TopicOption) (topicOptions, error) {
	o := topicOptions{codec: c.config.Codec}
	if err := checkName(field, name); err != nil {
		return o, err
	}
	if err := gather(&o, options); err != nil {
		return o, err
	}
	if o.keepCount != 0 || o.keepFor != 0 {
		return o, invalid("option", fmt.Sprintf("KeepCount or KeepFor for %s %q, which keeps nothing", field, name), "Sharded, WithCodec")
	}
	return o, nil
}

// Name is the topic's name.
func (t *Topic[T]) Name() string { return t.name }

// Subscribe begins a subscription, which the caller closes. It returns once Redis has confirmed it: what is published
// from then on comes. Subscriptions of a process to the same topic share the connection, the channel and the decoded
// messages.
//
// Errors: ErrInvalid, ErrNotPermitted, ErrNoSharding, ErrUnavailable, ErrClosed, and what ended ctx. After none of them is
// anything left behind.
func (t *Topic[T]) Subscribe(ctx context.Context, options ...SubscribeOption) (*Subscription[T], error) {
	kind := bus.Channel
	if t.sharded {
		kind = bus.Shard
	}
	return subscribe[T](ctx, t.client, kind, t.name, t.codec, options)
}
