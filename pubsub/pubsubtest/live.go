package pubsubtest

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/pubsub"
)

// source is a subscription or a member of a group.
type source[T any] interface {
	Next(ctx context.Context) (*pubsub.Message[T], error)
}

// take reads n messages, and nothing else may come between.
func take[T any](c *trial, from source[T], n int) []*pubsub.Message[T] {
	c.Helper()
	all := make([]*pubsub.Message[T], 0, n)
	for len(all) < n {
		m, err := from.Next(c.ctx)
		if err != nil {
			c.Fatalf("after %d of %d messages: %v", len(all), n, err)
		}
		all = append(all, m)
	}
	return all
}

// wantTicks holds messages against those numbered first, first+1, ...
func wantTicks(c *trial, got []*pubsub.Message[tick], first int) {
	c.Helper()
	for i, m := range got {
		if m.Data.N != first+i {
			c.Fatalf("message %d is number %d, want %d", i, m.Data.N, first+i)
		}
	}
}

func topicOf[T any](c *trial, client *pubsub.Client, name string, options ...pubsub.TopicOption) *pubsub.Topic[T] {
	c.Helper()
	topic, err := pubsub.NewTopic[T](client, name, options...)
	c.must(err)
	return topic
}

func subscribe[T any](c *trial, topic *pubsub.Topic[T], options ...pubsub.SubscribeOption) *pubsub.Subscription[T] {
	c.Helper()
	s, err := topic.Subscribe(c.ctx, options...)
	c.must(err)
	return s
}

// publish sends numbers from..to-1 one after the other.
func publish(c *trial, topic *pubsub.Topic[tick], from, to int) {
	c.Helper()
	for n := from; n < to; n++ {
		_, err := topic.Publish(c.ctx, tick{N: n})
		c.must(err)
	}
}

// What one publisher sends arrives in that order, by Publish and by PublishMany, with ids, time and topic.
func order(c *trial) {
	here := topicOf[tick](c, c.Client(), c.name("order"))
	s := subscribe(c, topicOf[tick](c, c.Client(), c.name("order")))
	var ids []uuid.UUID
	for n := range 100 {
		id, err := here.Publish(c.ctx, tick{N: n})
		c.must(err)
		ids = append(ids, id)
	}
	many, err := here.PublishMany(c.ctx, ticks(100, 400))
	c.must(err)
	ids = append(ids, many...)
	got := take(c, s, 400)
	wantTicks(c, got, 0)
	seen := make(map[uuid.UUID]bool)
	for i, m := range got {
		if m.ID != ids[i] || m.ID == uuid.Nil || seen[m.ID] {
			c.Fatalf("message %d has the id %v, want %v, and none twice", i, m.ID, ids[i])
		}
		seen[m.ID] = true
		if m.Topic != here.Name() || m.Time.IsZero() || m.Attempt != 0 || m.Position != "" {
			c.Fatalf("message %d: topic %q, time %v, attempt %d, position %q", i, m.Topic, m.Time, m.Attempt, m.Position)
		}
		c.must(m.Ack(c.ctx)) // so that one handler serves both kinds of topics
	}
}

// Each subscription gets everything; those of one process share a connection.
func fanOut(c *trial) {
	const processes, each, n = 2, 25, 20
	var all []*pubsub.Subscription[tick]
	var clients []*pubsub.Client
	for range processes {
		client := c.Client()
		clients = append(clients, client)
		for range each {
			all = append(all, subscribe(c, topicOf[tick](c, client, c.name("fan"))))
		}
		if got := client.Stats().Subscriptions; got != each {
			c.Errorf("%d subscriptions are open, want %d", got, each)
		}
	}
	raw := subscribe(c, topicOf[pubsub.Raw](c, clients[0], c.name("fan")))
	for _, client := range clients {
		if got := client.Stats().Connections; got != 1 {
			c.Errorf("%d subscription connections, want 1", got)
		}
	}
	here := topicOf[tick](c, c.Client(), c.name("fan"))
	publish(c, here, 0, n)
	for _, s := range all {
		wantTicks(c, take(c, s, n), 0)
	}
	for i, m := range take(c, raw, n) {
		if want := `{"n":` + strconv.Itoa(i) + `}`; string(m.Data) != want {
			c.Errorf("raw data %q, want %q", m.Data, want)
		}
	}
	all[0].Close() // the others do not notice
	publish(c, here, n, n+1)
	for _, s := range all[1:] {
		wantTicks(c, take(c, s, 1), n)
	}
}

// A pattern brings what its topics get, and says by which it came.
func pattern(c *trial) {
	client := c.Client()
	p, err := pubsub.NewPattern[tick](client, c.name("prices.*"))
	c.must(err)
	byPattern, err := p.Subscribe(c.ctx)
	c.must(err)
	eur := topicOf[tick](c, client, c.name("prices.eur"))
	byName := subscribe(c, eur)
	usd, other := topicOf[tick](c, client, c.name("prices.usd")), topicOf[tick](c, client, c.name("other"))
	for n, topic := range []*pubsub.Topic[tick]{eur, other, usd, eur} {
		publish(c, topic, n, n+1)
		if topic == other {
			continue
		}
		// One at a time: in a Cluster messages of several topics may overtake one another.
		if m := take(c, byPattern, 1)[0]; m.Data.N != n || m.Topic != topic.Name() {
			c.Errorf("by the pattern: %d of %s, want %d of %s", m.Data.N, m.Topic, n, topic.Name())
		}
	}
	if got := take(c, byName, 2); got[0].Data.N != 0 || got[1].Data.N != 3 {
		c.Errorf("by the name: %d and %d, want 0 and 3", got[0].Data.N, got[1].Data.N)
	}
}

// A pattern that the ACL does not allow is an error of Subscribe, and leaves nothing behind.
func patternRefused(c *trial) {
	client := c.Client()
	p, err := pubsub.NewPattern[tick](client, c.name("prices.*"))
	c.must(err)
	if _, err := p.Subscribe(c.ctx); !errors.Is(err, pubsub.ErrNotPermitted) {
		c.Errorf("got %v, want ErrNotPermitted", err)
	}
	if n := client.Stats().Subscriptions; n != 0 {
		c.Errorf("%d subscriptions are left behind", n)
	}
}

// What somebody else publishes arrives too, without an id.
func foreign(c *trial) {
	s := subscribe(c, topicOf[tick](c, c.Client(), c.name("foreign")))
	c.must(c.Redis().Publish(c.ctx, c.name("foreign"), `{"n":7}`).Err())
	m := take(c, s, 1)[0]
	if m.Data.N != 7 || m.ID != uuid.Nil || !m.Time.IsZero() || len(m.Meta) != 0 || m.Topic != c.name("foreign") {
		c.Errorf("%+v", m)
	}
}

// What cannot be decoded is told, and is no end.
func undecodable(c *trial) {
	client := c.Client()
	topic := topicOf[tick](c, client, c.name("odd"))
	s, raw := subscribe(c, topic), subscribe(c, topicOf[pubsub.Raw](c, client, c.name("odd")))
	c.must(c.Redis().Publish(c.ctx, topic.Name(), "not JSON").Err())
	_, err := s.Next(c.ctx)
	var odd *pubsub.DecodeError
	if !errors.As(err, &odd) || odd.Topic != topic.Name() || string(odd.Data) != "not JSON" {
		c.Fatalf("got %v, want a DecodeError with topic and data", err)
	}
	publish(c, topic, 1, 2)
	wantTicks(c, take(c, s, 1), 1)
	if m := take(c, raw, 1)[0]; string(m.Data) != "not JSON" {
		c.Errorf("raw: %q", m.Data)
	}
}

// Ids of one's own and metadata travel along.
func metadata(c *trial) {
	topic := topicOf[tick](c, c.Client(), c.name("meta"))
	s, id := subscribe(c, topic), uuid.New()
	got, err := topic.Publish(c.ctx, tick{N: 1}, pubsub.MessageID(id), pubsub.Meta("traceparent", "00-1-2-01"), pubsub.Meta("user", "ann"))
	c.must(err)
	m := take(c, s, 1)[0]
	if got != id || m.ID != id || len(m.Meta) != 2 || m.Meta["traceparent"] != "00-1-2-01" || m.Meta["user"] != "ann" {
		c.Errorf("id %v, message %+v; want id %v", got, m, id)
	}
}

// A handler gets each message once, some at a time where it may, and its errors are no end.
func handle(c *trial) {
	topic := topicOf[tick](c, c.Client(), c.name("handle"))
	s := subscribe(c, topic)
	ctx, stop := context.WithCancel(c.ctx)
	defer stop()
	const n = 50
	var seen [n]atomic.Int32
	var handled atomic.Int32
	done := make(chan error, 1)
	go func() {
		done <- s.Handle(ctx, func(_ context.Context, m *pubsub.Message[tick]) error {
			seen[m.Data.N].Add(1)
			handled.Add(1)
			return errors.New("no")
		}, pubsub.Concurrency(4))
	}()
	publish(c, topic, 0, n)
	c.waitFor(func() bool { return handled.Load() >= n }, "the handler to have seen all messages")
	stop()
	if err := <-done; err != nil {
		c.Errorf("Handle ended with %v", err)
	}
	for i := range seen {
		if times := seen[i].Load(); times != 1 {
			c.Errorf("message %d was handled %d times", i, times)
		}
	}
}

// Each way to an end ends, and says what it was.
func closing(c *trial) {
	client := c.Client()
	topic := topicOf[tick](c, client, c.name("close"))
	s := subscribe(c, topic)
	cause := errors.New("enough")
	ctx, stop := context.WithCancelCause(c.ctx)
	stop(cause)
	if _, err := s.Next(ctx); !errors.Is(err, cause) {
		c.Errorf("Next with a context that has ended: %v, want its cause", err)
	}
	for m, err := range s.All(ctx) {
		c.Errorf("All with a context that has ended: %v, %v", m, err)
	}
	s.Close()
	s.Close()
	if _, err := s.Next(c.ctx); !errors.Is(err, pubsub.ErrClosed) || s.Err() != nil {
		c.Errorf("Next after Close: %v, Err %v", err, s.Err())
	}
	events := subscribe(c, topic).C()
	publish(c, topic, 1, 2)
	if e := <-events; e.Err != nil || e.Message.Data.N != 1 {
		c.Errorf("the channel brought %+v", e)
	}
	c.must(client.Close())
	for e := range events {
		c.Errorf("after Close the channel brought %+v", e)
	}
	if _, err := topic.Publish(c.ctx, tick{}); !errors.Is(err, pubsub.ErrClosed) {
		c.Errorf("Publish after Close: %v", err)
	}
	if _, err := topic.Subscribe(c.ctx); !errors.Is(err, pubsub.ErrClosed) {
		c.Errorf("Subscribe after Close: %v", err)
	}
}
