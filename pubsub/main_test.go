package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/pubsub"
)

// soon bounds the waits for what takes milliseconds on a machine that is not overloaded.
const soon = time.Minute

// TestMain fails the run when a goroutine outlives the tests.
func TestMain(m *testing.M) {
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// price is what most tests send.
type price struct {
	Symbol string `json:"symbol"`
	Cents  int    `json:"cents"`
}

// open opens a client by URL, closed with the test.
func open(t testing.TB, url string, config ...pubsub.Config) *pubsub.Client {
	t.Helper()
	c, err := pubsub.Open(t.Context(), url, config...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// around makes a client around one that the test has.
func around(t testing.TB, rdb redis.UniversalClient, config ...pubsub.Config) *pubsub.Client {
	t.Helper()
	c, err := pubsub.New(rdb, config...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// bubble runs a test on the embedded server under fake time.
func bubble(t *testing.T, run func(t *testing.T, b *redistest.Bubble, c *pubsub.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := redistest.NewBubble(t)
		run(t, b, around(t, b.Client()))
	})
}

// everywhere runs a test on real servers and on the embedded one under fake time.
func everywhere(t *testing.T, run func(t *testing.T, c *pubsub.Client)) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) { run(t, open(t, srv.URL())) })
	t.Run("embedded", func(t *testing.T) {
		bubble(t, func(t *testing.T, _ *redistest.Bubble, c *pubsub.Client) { run(t, c) })
	})
}

func topic[T any](t testing.TB, c *pubsub.Client, name string, options ...pubsub.TopicOption) *pubsub.Topic[T] {
	t.Helper()
	topic, err := pubsub.NewTopic[T](c, name, options...)
	if err != nil {
		t.Fatal(err)
	}
	return topic
}

// source is what can be subscribed to.
type source[T any] interface {
	Subscribe(ctx context.Context, options ...pubsub.SubscribeOption) (*pubsub.Subscription[T], error)
}

func subscribe[T any](t testing.TB, to source[T], options ...pubsub.SubscribeOption) *pubsub.Subscription[T] {
	t.Helper()
	s, err := to.Subscribe(t.Context(), options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func publish[T any](t testing.TB, to *pubsub.Topic[T], data T, options ...pubsub.PublishOption) uuid.UUID {
	t.Helper()
	id, err := to.Publish(t.Context(), data, options...)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// next answers the message that comes next; anything else fails the test.
func next[T any](t testing.TB, s *pubsub.Subscription[T]) *pubsub.Message[T] {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	m, err := s.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// odd answers the error that comes next.
func odd[T any](t testing.TB, s *pubsub.Subscription[T]) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	m, err := s.Next(ctx)
	if err == nil {
		t.Fatalf("%+v came instead of an error", m)
	}
	return err
}

// gap answers the gap that comes next.
func gap[T any](t testing.TB, s *pubsub.Subscription[T]) *pubsub.Gap {
	t.Helper()
	var g *pubsub.Gap
	if err := odd(t, s); !errors.As(err, &g) {
		t.Fatalf("%v came instead of a gap", err)
	}
	return g
}
