package pubsubtest

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/pubsub"
)

// Memory is a Redis in memory, without a socket. It has no sharded pub/sub. Inside a testing/synctest bubble its clock is
// the bubble's. It is a Server.
type Memory struct {
	t      testing.TB
	bubble *redistest.Bubble
}

// NewMemory starts one that ends with the test. In a synctest bubble call it inside, with the bubble's t.
func NewMemory(t testing.TB) *Memory {
	t.Helper()
	if inBubble() {
		t.Cleanup(func() { time.Sleep(goodbye) }) // a bubble must not end before its goroutines, and time stands still then
	}
	return &Memory{t: t, bubble: redistest.NewBubble(t)}
}

// Client makes a client of a Redis in memory of its own: NewMemory(t).Client(config...).
func Client(t testing.TB, config ...pubsub.Config) *pubsub.Client {
	t.Helper()
	return NewMemory(t).Client(config...)
}

// Client makes a client, closed with the test, with connections of its own, such as another process has.
func (m *Memory) Client(config ...pubsub.Config) *pubsub.Client {
	m.t.Helper()
	return newClient(m.t, m.bubble.Client(), config)
}

// Redis makes a client for what other programs do, closed with the test. It can also be handed to queue.New, where a test
// is about messages and jobs.
func (m *Memory) Redis() redis.UniversalClient {
	m.t.Helper()
	return m.bubble.Client()
}

// Cut breaks every connection, as its client sees it. What was sent is still carried out.
func (m *Memory) Cut() { m.bubble.Cut() }

// Refuse makes new connections fail from now on, as if nobody listened, or succeed again. With Cut after it Redis is away.
func (m *Memory) Refuse(refuse bool) { m.bubble.Refuse(refuse) }

// Embedded is the Redis in memory as Run's target, each case in a testing/synctest bubble.
func Embedded() Target {
	return Target{Connect: func(t testing.TB) Server { return NewMemory(t) }, Bubble: true, Durable: true, Patterns: true, Cut: true}
}

// inBubble tells a synctest bubble by its clock, which begins with the year 2000.
func inBubble() bool { return time.Now().Year() < 2020 }

func newClient(t testing.TB, rdb redis.UniversalClient, config []pubsub.Config) *pubsub.Client {
	t.Helper()
	client, err := pubsub.New(rdb, config...)
	if err != nil {
		t.Fatalf("pubsubtest: %v", err)
	}
	t.Cleanup(func() { _ = client.Close() }) // the test may have closed it
	return client
}
