package pubsub

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/bus"
	"github.com/tidemill/tidemill/internal/keys"
)

// Durable is a topic whose messages are kept in a stream of Redis, as long as its retention says (KeepCount, KeepFor; by default
// until they are deleted). Groups of consumers take each message at least once; live subscribers of the same name get them too.
// Make one and keep it; it is safe for concurrent use and needs no closing.
type Durable[T any] struct {
	client  *Client
	topic   *Topic[T] // how its messages are encoded and sent
	keys    *keys.Topic
	options topicOptions
	outbox  outbox
	listed  atomic.Bool // it stands in the set of the namespace's topics
}

// NewDurable makes a durable topic of data of type T. Its name is 1 to 255 bytes of printable UTF-8 text without spaces, {
// and }. Nothing is sent: the stream comes to be with the first message or group.
//
// Errors: ErrInvalid; ErrNoSharding for Sharded (which is about the live subscribers) on a server that has none.
func NewDurable[T any](c *Client, name string, options ...TopicOption) (*Durable[T], error) {
	k, err := c.space.Topic(name)
	if err != nil {
		return nil, fmt.Errorf("%w %w", ErrInvalid, err)
	}
	o := topicOptions{codec: c.config.Codec}
	if err := gather(&o, options); err != nil {
		return nil, err
	}
	live := []TopicOption{WithCodec(o.codec)}
	if o.sharded {
		live = append(live, Sharded())
	}
	topic, err := NewTopic[T](c, name, live...)
	if err != nil {
		return nil, err
	}
	d := &Durable[T]{client: c, topic: topic, keys: k, options: o}
	d.outbox = outbox{client: c, send: d.send}
	topic.outbox = &d.outbox
	return d, nil
}

// Name is the topic's name.
func (d *Durable[T]) Name() string { return d.topic.name }

// Publish adds a message to the topic and answers its id once Redis has stored it. Calls that come at the same time share
// round trips. Messages of one goroutine keep their order. Nothing is sent again by itself.
//
// Errors: those of Topic.Publish, and ErrFull: Redis is at its memory limit, and neither stored the message nor sent it to
// anybody.
func (d *Durable[T]) Publish(ctx context.Context, data T, options ...PublishOption) (uuid.UUID, error) {
	return d.topic.Publish(ctx, data, options...)
}

// PublishMany adds messages in order, up to 512 a round trip, each of which stores all of its messages or none. Options,
// answer and errors are those of Topic.PublishMany; ErrFull too.
func (d *Durable[T]) PublishMany(ctx context.Context, data []T, options ...PublishOption) ([]uuid.UUID, error) {
	return d.topic.PublishMany(ctx, data, options...)
}

// send stores what the outbox or a batch hands over, in one call.
func (d *Durable[T]) send(ctx context.Context, posts []bus.Post) {
	d.list(ctx)
	var keep *bus.Retention // nil: as it was set last
	if d.options.keepCount > 0 || d.options.keepFor > 0 {
		keep = &bus.Retention{Count: d.options.keepCount, Age: d.options.keepFor}
	}
	made, err := d.client.store(ctx, d.keys, bus.Publication{Sharded: d.options.sharded, Keep: keep}, posts)
	if errors.Is(err, ErrOutcomeUnknown) {
		d.listed.Store(false)
	} else if made { // it may have been deleted, and its name with it, since that was noted
		d.listed.Store(false)
		d.list(ctx)
	}
}

// list names the topic in the set of topics, before its first key comes to be. Where that fails the next call tries again.
func (d *Durable[T]) list(ctx context.Context) {
	if d.listed.Load() {
		return
	}
	if err := d.client.streams.Add(ctx, d.keys); err != nil {
		d.client.trouble.Event(d.client.config.Logger.Warn()).Err(err).Str("topic", d.Name()).Msg("could not note the topic's name")
		return
	}
	d.listed.Store(true)
}

// store makes one call of posts that are not settled, and sets what became of each. Made says that there was no stream before.
func (c *Client) store(ctx context.Context, topic *keys.Topic, p bus.Publication, posts []bus.Post) (made bool, err error) {
	messages := make([][]byte, 0, len(posts))
	for i := range posts {
		messages = append(messages, posts[i].Payload)
	}
	made, err = c.streams.Publish(ctx, topic, p, messages)
	if err == nil {
		c.counts.published.Add(uint64(len(posts)))
	} else {
		if errors.Is(err, ErrUnavailable) {
			c.set.Refresh()
		}
		err = c.unsent(err)
	}
	for i := range posts {
		posts[i].Err = err
	}
	return made, err
}

// Subscribe makes this process a member of a group, which it makes where there is none, and returns once Redis knows it.
// Each message goes to one member of each group. The caller closes the member. The group's name is 1 to 128 of
// A-Z a-z 0-9 _ - . :
//
// Errors: ErrInvalid, ErrNotPermitted, ErrUnavailable, ErrClosed, *KeyTypeError, and what ended ctx. After none of them is
// anything left behind but, possibly, the group.
func (d *Durable[T]) Subscribe(ctx context.Context, group string, options ...GroupOption) (*Member[T], error) {
	if err := keys.CheckGroup(group); err != nil {
		return nil, fmt.Errorf("%w %w", ErrInvalid, err)
	}
	o := defaultGroup()
	if err := gather(&o, options); err != nil {
		return nil, err
	}
	if err := d.client.closed(); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	m, err := joinGroup(ctx, d.client, d.keys, group, o)
	if err != nil {
		return nil, fmt.Errorf("subscribe to %q as a member of %q: %w", d.Name(), group, outward(err))
	}
	return &Member[T]{m: m, codec: d.options.codec}, nil
}
