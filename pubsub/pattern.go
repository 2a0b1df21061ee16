package pubsub

import (
	"context"
	"fmt"

	"github.com/tidemill/tidemill/internal/bus"
)

// Pattern is all live topics whose names match a glob of Redis: * is any text, ? any character, [ab] and [a-z] one of
// some, [^a] none of them, and \ takes the next as it is. Safe for concurrent use.
type Pattern[T any] struct {
	client  *Client
	pattern string
	codec   Codec
}

// NewPattern makes a pattern over topics of data of type T: 1 to 255 bytes of UTF-8 without control characters. A
// message's Topic says which one it came by. Nothing is sent. Errors: ErrInvalid; ErrPatternSharded for Sharded.
func NewPattern[T any](c *Client, pattern string, options ...TopicOption) (*Pattern[T], error) {
	o, err := c.live("pattern", pattern, options)
	if err != nil {
		return nil, err
	}
	if o.sharded {
		return nil, fmt.Errorf("pattern %q: %w", pattern, ErrPatternSharded)
	}
	return &Pattern[T]{client: c, pattern: pattern, codec: o.codec}, nil
}

// Name is the pattern.
func (p *Pattern[T]) Name() string { return p.pattern }

// Subscribe is Topic.Subscribe for all topics that match. A topic that two patterns match comes by each of them.
func (p *Pattern[T]) Subscribe(ctx context.Context, options ...SubscribeOption) (*Subscription[T], error) {
	return subscribe[T](ctx, p.client, bus.Pattern, p.pattern, p.codec, options)
}
