package pubsubtest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/pubsub"
)

// soon is how long given back messages wait in the cases.
const soon = 10 * time.Millisecond

// durableOf makes a durable topic, which is deleted with the case.
func durableOf(c *trial, client *pubsub.Client, last string, options ...pubsub.TopicOption) *pubsub.Durable[tick] {
	c.Helper()
	topic, err := pubsub.NewDurable[tick](client, c.name(last), options...)
	c.must(err)
	c.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := client.Streams().Delete(ctx, topic.Name()); err != nil && !errors.Is(err, pubsub.ErrClosed) {
			c.Errorf("the stream of %s is left behind: %v", topic.Name(), err)
		}
	})
	return topic
}

func join(c *trial, topic *pubsub.Durable[tick], group string, options ...pubsub.GroupOption) *pubsub.Member[tick] {
	c.Helper()
	m, err := topic.Subscribe(c.ctx, group, options...)
	c.must(err)
	c.Cleanup(m.Close) // a topic with members is not deleted
	return m
}

// keep publishes numbers from..to-1.
func keep(c *trial, topic *pubsub.Durable[tick], from, to int) []uuid.UUID {
	c.Helper()
	ids, err := topic.PublishMany(c.ctx, ticks(from, to))
	c.must(err)
	return ids
}

// Each group gets everything, also what was published before it was there; its members share.
func durableGroups(c *trial) {
	const n = 200
	one := durableOf(c, c.Client(), "groups")
	two, err := pubsub.NewDurable[tick](c.Client(), one.Name())
	c.must(err)
	ids := keep(c, one, 0, n/2)
	late := join(c, one, "late", pubsub.From(pubsub.FromNow))
	members := []*pubsub.Member[tick]{join(c, one, "mail"), join(c, two, "mail")}
	alone := join(c, two, "audit")
	ids = append(ids, keep(c, one, n/2, n)...)

	var mu sync.Mutex
	got := make(map[uuid.UUID]int)
	ctx, stop := context.WithCancel(c.ctx)
	var all sync.WaitGroup
	for _, m := range members {
		all.Go(func() {
			err := m.Handle(ctx, func(_ context.Context, m *pubsub.Message[tick]) error {
				mu.Lock()
				defer mu.Unlock()
				got[m.ID]++
				return nil
			}, pubsub.Concurrency(2))
			if err != nil {
				c.Errorf("Handle: %v", err)
			}
		})
	}
	for i, m := range take(c, alone, n) {
		if m.ID != ids[i] || m.Attempt != 1 || m.Position == "" || m.Time.IsZero() {
			c.Fatalf("audit: message %d is %+v, want id %v, attempt 1 and a position", i, m, ids[i])
		}
		c.must(m.Ack(c.ctx))
	}
	wantTicks(c, take(c, late, n/2), n/2)
	c.waitFor(func() bool { mu.Lock(); defer mu.Unlock(); return len(got) == n }, "the two members to get all messages")
	stop()
	all.Wait()
	for id, times := range got {
		if times != 1 || !slices.Contains(ids, id) {
			c.Errorf("mail got %v %d times", id, times)
		}
	}
}

// Live subscribers of the same name get the same messages.
func durableLive(c *trial) {
	topic := durableOf(c, c.Client(), "live")
	s := subscribe(c, topicOf[tick](c, c.Client(), topic.Name()))
	id, err := topic.Publish(c.ctx, tick{N: 0}, pubsub.Meta("user", "ann"))
	c.must(err)
	keep(c, topic, 1, 5)
	got := take(c, s, 5)
	wantTicks(c, got, 0)
	if got[0].ID != id || got[0].Meta["user"] != "ann" || got[0].Topic != topic.Name() {
		c.Errorf("%+v", got[0])
	}
	m := take(c, join(c, topic, "g"), 1)[0]
	if m.ID != id || m.Meta["user"] != "ann" || m.Topic != topic.Name() || !m.Time.Equal(got[0].Time) {
		c.Errorf("kept: %+v, live: %+v", m, got[0])
	}
}

// What is given back comes again, with its attempts counted; what is acknowledged does not.
func durableRedelivers(c *trial) {
	topic := durableOf(c, c.Client(), "again")
	member := join(c, topic, "g", pubsub.Backoff(soon, soon))
	keep(c, topic, 0, 2)
	first := take(c, member, 2)
	wantTicks(c, first, 0)
	c.must(first[1].Ack(c.ctx))
	for attempt := 1; attempt <= 3; attempt++ {
		if first[0].Attempt != attempt || first[0].Data.N != 0 {
			c.Fatalf("%+v, want number 0 at attempt %d", first[0], attempt)
		}
		c.must(first[0].Nack(c.ctx, errors.New("no")))
		first = take(c, member, 1)
	}
	c.must(first[0].Ack(c.ctx))
	c.waitFor(func() bool { return groupOf(c, topic, "g").Pending == 0 }, "nothing to be pending")
	if got := groupOf(c, topic, "g"); got.Lag != 0 || got.Dead != 0 {
		c.Errorf("%+v", got)
	}
}

// What a member had not acknowledged when it left goes to others.
func durableLeave(c *trial) {
	topic := durableOf(c, c.Client(), "leave")
	other, err := pubsub.NewDurable[tick](c.Client(), topic.Name())
	c.must(err)
	keep(c, topic, 0, 10)
	leaves := join(c, topic, "g")
	for _, m := range take(c, leaves, 10)[:5] {
		c.must(m.Ack(c.ctx))
	}
	leaves.Close()
	stays := join(c, other, "g")
	numbers := make(map[int]bool)
	for _, m := range take(c, stays, 5) {
		numbers[m.Data.N] = true
		c.must(m.Ack(c.ctx))
	}
	for n := 5; n < 10; n++ {
		if !numbers[n] {
			c.Errorf("number %d did not go to the other member, which got %v", n, numbers)
		}
	}
}

// What somebody else adds to the stream is found without a hint, and given to groups like the rest.
func durableForeign(c *trial) {
	topic := durableOf(c, c.Client(), "foreign")
	member := join(c, topic, "g")
	entry := &redis.XAddArgs{Stream: "tm:topic:{" + topic.Name() + "}:stream", Values: []string{"data", `{"n":7}`}}
	c.must(c.Redis().XAdd(c.ctx, entry).Err())
	m := take(c, member, 1)[0]
	if m.Data.N != 7 || m.ID != uuid.Nil || m.Position == "" || m.Attempt != 1 {
		c.Errorf("%+v", m)
	}
	c.must(m.Ack(c.ctx))
}

// While connections break every message is delivered, at least once.
func durableCut(c *trial) {
	const n = 100
	topic := durableOf(c, c.Client(), "cut")
	var mu sync.Mutex
	got := make(map[uuid.UUID]bool)
	ctx, stop := context.WithCancel(c.ctx)
	var all sync.WaitGroup
	for range 2 {
		member, err := pubsub.NewDurable[tick](c.Client(), topic.Name())
		c.must(err)
		one := join(c, member, "g")
		all.Go(func() {
			if err := one.Handle(ctx, func(_ context.Context, m *pubsub.Message[tick]) error {
				mu.Lock()
				defer mu.Unlock()
				got[m.ID] = true
				return nil
			}); err != nil {
				c.Errorf("Handle: %v", err)
			}
		})
	}
	var ids []uuid.UUID
	for i := range n {
		if i%20 == 10 {
			c.Cut()
		}
		id := uuid.New()
		c.waitFor(func() bool { // sent again where the answer was lost
			_, err := topic.Publish(c.ctx, tick{N: i}, pubsub.MessageID(id))
			return err == nil
		}, "a message to be published")
		ids = append(ids, id)
	}
	c.waitFor(func() bool {
		mu.Lock()
		defer mu.Unlock()
		return !slices.ContainsFunc(ids, func(id uuid.UUID) bool { return !got[id] })
	}, "every message to be delivered")
	stop()
	all.Wait()
}
