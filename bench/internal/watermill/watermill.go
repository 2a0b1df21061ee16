// Package watermill publishes to and consumes from Watermill's Redis streams, for the benchmarks of jobs and of messages.
package watermill

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/tidemill/tidemill/bench/internal/rig"
)

// Module is the Go module path, from which the version is read.
const Module = "github.com/ThreeDotsLabs/watermill-redisstream"

// group is the one consumer group there is.
const group = "workers"

// Publisher publishes. It is safe for concurrent use.
type Publisher struct {
	rdb *redis.Client
	pub *redisstream.Publisher
}

// Open makes a publisher on a Redis.
func Open(b rig.Broker) (*Publisher, error) {
	rdb := redis.NewClient(&redis.Options{Addr: b.Addr})
	pub, err := redisstream.NewPublisher(redisstream.PublisherConfig{Client: rdb}, watermill.NopLogger{})
	return &Publisher{rdb, pub}, err
}

// Publish publishes in one call, which makes a round trip of each.
func (p *Publisher) Publish(topic string, ps ...rig.Payload) error {
	batch := make([]*message.Message, len(ps))
	for i := range ps {
		data, err := json.Marshal(ps[i])
		if err != nil {
			return err
		}
		batch[i] = message.NewMessage(watermill.NewUUID(), data)
	}
	return p.pub.Publish(topic, batch...)
}

// Backlog is how many the group has not read (all, where no group is yet), and how many of those it has read are not
// acknowledged. Acknowledged ones stay in the stream.
func (p *Publisher) Backlog(ctx context.Context, topic string) (unread, pending int64, err error) {
	groups, err := p.rdb.XInfoGroups(ctx, topic).Result()
	if err != nil && !strings.Contains(err.Error(), "no such key") {
		return 0, 0, err
	}
	for _, g := range groups {
		if g.Name == group {
			return g.Lag, g.Pending, nil
		}
	}
	unread, err = p.rdb.XLen(ctx, topic).Result()
	return unread, 0, err
}

// Close closes the Redis client with the publisher.
func (p *Publisher) Close() error { return p.pub.Close() }

// Consume handles the messages of topics until ctx ends, with as many subscribers on each as concurrency says: a
// subscriber reads its next message once the last is acknowledged.
func Consume(ctx context.Context, b rig.Broker, topics []string, concurrency int, handle func(rig.Payload)) error {
	// A subscriber holds a connection while it waits: the pool has one for each, and some for the acknowledgements.
	rdb := redis.NewClient(&redis.Options{Addr: b.Addr, PoolSize: concurrency*len(topics) + 20})
	defer rdb.Close()
	var all errgroup.Group
	for _, topic := range topics {
		for range concurrency {
			sub, err := redisstream.NewSubscriber(redisstream.SubscriberConfig{Client: rdb, ConsumerGroup: group}, watermill.NopLogger{})
			if err != nil {
				return err
			}
			messages, err := sub.Subscribe(ctx, topic)
			if ctx.Err() != nil {
				break // stopped while it started
			}
			if err != nil {
				return err
			}
			all.Go(func() error { return handleAll(messages, handle) })
		}
	}
	return all.Wait()
}

// handleAll is one subscriber's loop.
func handleAll(messages <-chan *message.Message, handle func(rig.Payload)) error {
	for m := range messages {
		var p rig.Payload
		if err := json.Unmarshal(m.Payload, &p); err != nil {
			return errors.Join(errors.New("a message that is not ours"), err)
		}
		handle(p)
		m.Ack()
	}
	return nil
}
