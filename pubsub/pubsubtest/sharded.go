package pubsubtest

import (
	"errors"

	"github.com/tidemill/tidemill/pubsub"
)

// Sharded topics bring what is published to them, in order, and are none of the others.
func sharded(c *trial) {
	client := c.Client()
	here := topicOf[tick](c, c.Client(), c.name("shard"), pubsub.Sharded())
	s := subscribe(c, topicOf[tick](c, client, c.name("shard"), pubsub.Sharded()))
	plain := subscribe(c, topicOf[tick](c, client, c.name("shard")))
	var others []*pubsub.Subscription[tick]
	for _, last := range []string{"a", "b", "c", "d", "e"} { // of several shards
		others = append(others, subscribe(c, topicOf[tick](c, client, c.name(last), pubsub.Sharded())))
		publish(c, topicOf[tick](c, client, c.name(last), pubsub.Sharded()), len(others), len(others)+1)
	}
	publish(c, here, 0, 20)
	_, err := here.PublishMany(c.ctx, ticks(20, 40))
	c.must(err)
	wantTicks(c, take(c, s, 40), 0)
	for i, other := range others {
		wantTicks(c, take(c, other, 1), i+1)
	}
	publish(c, topicOf[tick](c, client, c.name("shard")), 99, 100)
	wantTicks(c, take(c, plain, 1), 99)
}

// Without sharded pub/sub a sharded topic says so: when it is made, where that is known, else at its use.
func notSharded(c *trial) {
	topic, err := pubsub.NewTopic[tick](c.Client(), c.name("shard"), pubsub.Sharded())
	if err != nil {
		wantNoSharding(c, "NewTopic", err)
		return
	}
	_, err = topic.Subscribe(c.ctx)
	wantNoSharding(c, "Subscribe", err)
	_, err = topic.Publish(c.ctx, tick{})
	wantNoSharding(c, "Publish", err)
}

func wantNoSharding(c *trial, what string, err error) {
	c.Helper()
	if !errors.Is(err, pubsub.ErrNoSharding) {
		c.Errorf("%s: %v, want ErrNoSharding", what, err)
	}
}

// Redis has no patterns over sharded channels.
func patternSharded(c *trial) {
	p, err := pubsub.NewPattern[tick](c.Client(), c.name("*"), pubsub.Sharded())
	if err == nil {
		_, err = p.Subscribe(c.ctx)
	}
	if !errors.Is(err, pubsub.ErrPatternSharded) {
		c.Errorf("got %v, want ErrPatternSharded", err)
	}
}
