package pubsub

import (
	"context"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/bus"
)

// PublishAnywhere publishes data that is encoded already to all that a name stands for, in order: to live subscribers, and
// to the stream where the topic is durable, which it is from its first message or group on. Its retention is what was set last. Live
// subscribers of a sharded topic are not reached.
//
// Options, answer and errors are those of Topic.PublishMany; ErrFull too.
func (c *Client) PublishAnywhere(ctx context.Context, topic string, data [][]byte, options ...PublishOption) ([]uuid.UUID, error) {
	if err := checkName("topic", topic); err != nil {
		return nil, err
	}
	k, err := c.space.Topic(topic)
	if err != nil { // no name of a durable topic: it can only be a live one
		k = nil
	}
	live, err := NewTopic[Raw](c, topic)
	if err != nil {
		return nil, err
	}
	if k != nil {
		live.outbox = &outbox{client: c, send: func(ctx context.Context, posts []bus.Post) {
			_, _ = c.store(ctx, k, bus.Publication{Anywhere: true}, posts) // each post has its error
		}}
	}
	raw := make([]Raw, len(data))
	for i := range data {
		raw[i] = data[i]
	}
	return live.PublishMany(ctx, raw, options...)
}
