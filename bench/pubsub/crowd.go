package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidemill/tidemill/bench/internal/rig"
	"github.com/tidemill/tidemill/pubsub"
)

// crowd is many subscriptions to the topic in this process, each with a goroutine that only counts.
type crowd struct {
	client  *pubsub.Client
	topic   *pubsub.Topic[rig.Payload]
	members []*member
	stop    context.CancelFunc
	ended   sync.WaitGroup
	failed  atomic.Pointer[error]
}

// member is one subscription.
type member struct {
	handled atomic.Int64
	missed  atomic.Int64 // as gaps told
	sub     *pubsub.Subscription[rig.Payload]
	_       [40]byte // a cache line each
}

// passed is how many messages it has handled or lost. It takes no lock that deliveries take.
func (m *member) passed() int64 { return m.handled.Load() + m.missed.Load() }

// newCrowd connects by a name, which CLIENT LIST shows.
func newCrowd(ctx context.Context, b rig.Broker, name string) (*crowd, error) {
	client, err := pubsub.Open(ctx, "redis://"+b.Addr+"?client_name="+name)
	if err != nil {
		return nil, err
	}
	t, err := pubsub.NewTopic[rig.Payload](client, topic)
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return &crowd{client: client, topic: t}, nil
}

// add subscribes n more, whose handler does then after it has counted.
func (c *crowd) add(ctx context.Context, n int, then func(), options ...pubsub.SubscribeOption) error {
	for range n {
		m := &member{}
		var err error
		if m.sub, err = c.topic.Subscribe(ctx, options...); err != nil {
			return err
		}
		c.members = append(c.members, m)
		c.ended.Go(func() {
			for _, err := range m.sub.All(ctx) {
				if gap := (*pubsub.Gap)(nil); errors.As(err, &gap) {
					m.missed.Add(int64(gap.Missed))
					continue
				}
				if err != nil {
					c.failed.CompareAndSwap(nil, &err)
					return
				}
				m.handled.Add(1)
				if then != nil {
					then()
				}
			}
		})
	}
	return nil
}

// follow says each interval how far the slowest of the first n members is, until all have passed the last message. It
// answers how long that took from the first.
func (c *crowd) follow(ctx context.Context, p progress, n, messages int, interval time.Duration) (time.Duration, error) {
	if err := p.at(0); err != nil {
		return 0, err
	}
	var first time.Time
	said := int64(0)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		least := int64(math.MaxInt64)
		for _, m := range c.members[:n] {
			least = min(least, m.passed())
		}
		switch {
		case first.IsZero() && c.client.Stats().Received > 0:
			first = time.Now()
		case least >= int64(messages):
			return time.Since(first), nil
		case least > said:
			if said = least; p.at(int(least)) != nil {
				return 0, errors.New("the publisher has ended")
			}
		}
		if err := c.failed.Load(); err != nil {
			return 0, fmt.Errorf("a subscription: %w", *err)
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-tick.C:
		}
	}
}

// sum adds up what the first n members handled and lost.
func (c *crowd) sum(n int) (handled, lost int64) {
	for _, m := range c.members[:n] {
		handled += m.handled.Load()
		lost += int64(m.sub.Dropped())
	}
	return handled, lost
}

// close ends every subscription and waits for their goroutines.
func (c *crowd) close() error {
	err := c.client.Close()
	c.ended.Wait()
	return err
}
