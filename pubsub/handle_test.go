package pubsub_test

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/pubsub"
)

// handling runs Handle; the function ends it and answers what it returned.
func handling[T any](t testing.TB, s *pubsub.Subscription[T], h pubsub.Handler[T], o ...pubsub.HandleOption) (end func() error) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Handle(ctx, h, o...) }()
	t.Cleanup(cancel)
	return func() error { cancel(); return <-done }
}

func TestHandleInOrder(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, _ *redistest.Bubble, c *pubsub.Client) {
		to := topic[int](t, c, "t")
		var got []int
		end := handling(t, subscribe(t, to), func(_ context.Context, m *pubsub.Message[int]) error {
			time.Sleep(time.Duration(m.Data%3) * time.Millisecond)
			got = append(got, m.Data)
			return nil
		})
		for i := range 30 {
			publish(t, to, i)
		}
		time.Sleep(time.Second)
		if err := end(); err != nil || len(got) != 30 {
			t.Fatalf("%d were handled, %v", len(got), err)
		}
		for i, n := range got {
			if i != n {
				t.Fatalf("%d is handled as number %d", n, i)
			}
		}
	})
}

func TestHandleConcurrently(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, _ *redistest.Bubble, c *pubsub.Client) {
		to := topic[int](t, c, "t")
		var running, most, handled atomic.Int64
		end := handling(t, subscribe(t, to), func(ctx context.Context, m *pubsub.Message[int]) error {
			n := running.Add(1)
			defer running.Add(-1)
			for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
			}
			time.Sleep(time.Second)
			if m.Data == 7 {
				runtime.Goexit()
			}
			handled.Add(1)
			return nil
		}, pubsub.Concurrency(10))
		for i := range 100 {
			publish(t, to, i)
		}
		before := time.Now()
		redistest.WaitFor(t, time.Minute, func() bool { return handled.Load() == 99 }, "all to be handled")
		if took := time.Since(before); took > 11*time.Second || most.Load() != 10 {
			t.Errorf("up to %d at once took %v for 100 of 1 s", most.Load(), took)
		}
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}

// TestHandlersThatFail: each is counted, and the log says why without being flooded.
func TestHandlersThatFail(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, b *redistest.Bubble, _ *pubsub.Client) {
		var log bytes.Buffer
		c := around(t, b.Client(), pubsub.Config{Logger: zerolog.New(&log)})
		to := topic[int](t, c, "t")
		end := handling(t, subscribe(t, to), func(_ context.Context, m *pubsub.Message[int]) error {
			if m.Data == 0 {
				panic("as told")
			}
			return pubsub.Dead(errors.New("no way"))
		})
		for i := range 20 {
			publish(t, to, i)
		}
		if err := c.Redis().Publish(t.Context(), "t", "no JSON").Err(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if err := end(); err != nil {
			t.Error(err)
		}
		text := log.String()
		if n := c.Stats(); n.Failed != 20 || n.Undecodable != 1 || strings.Count(text, "\n") != 2 || !strings.Contains(text, "as told") ||
			!strings.Contains(text, "handle_test.go") || !strings.Contains(text, "cannot be decoded") {
			t.Errorf("%d failed, %d undecodable, the log:\n%s", n.Failed, n.Undecodable, text)
		}
	})
}

// TestHandleGaps: they come in their place among the messages.
func TestHandleGaps(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, b *redistest.Bubble, _ *pubsub.Client) {
		var log bytes.Buffer
		c := around(t, b.Client(), pubsub.Config{Logger: zerolog.New(&log)})
		to := topic[int](t, c, "t")
		var got []string
		handler := func(_ context.Context, m *pubsub.Message[int]) error {
			got = append(got, strings.Repeat("m", m.Data))
			return nil
		}
		end := handling(t, subscribe(t, to), handler, pubsub.OnGap(func(_ context.Context, g *pubsub.Gap) { got = append(got, g.Reason[:4]) }))
		logs := handling(t, subscribe(t, to), func(context.Context, *pubsub.Message[int]) error { return nil })
		publish(t, to, 1)
		time.Sleep(time.Second)
		b.Cut()
		time.Sleep(5 * time.Second)
		publish(t, topic[int](t, around(t, b.Client()), "t"), 2)
		time.Sleep(time.Second)
		if err := errors.Join(end(), logs()); err != nil || strings.Join(got, " ") != "m conn mm" {
			t.Errorf("%q, %v", got, err)
		}
		if !strings.Contains(log.String(), "messages may have been missed") {
			t.Errorf("the log:\n%s", log.String())
		}
	})
}

func TestHandleEndsWithTheSubscription(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, _ *redistest.Bubble, c *pubsub.Client) {
		to := topic[int](t, c, "t")
		closed, slow := subscribe(t, to), subscribe(t, to, pubsub.Buffer(1), pubsub.WhenFull(pubsub.CloseWhenSlow))
		results := make(chan error, 2)
		go func() {
			results <- closed.Handle(t.Context(), func(context.Context, *pubsub.Message[int]) error { return nil }, pubsub.Concurrency(3))
		}()
		time.Sleep(time.Second)
		closed.Close()
		if err := <-results; err != nil {
			t.Errorf("after Close: %v", err)
		}
		handled := 0
		go func() {
			results <- slow.Handle(t.Context(), func(context.Context, *pubsub.Message[int]) error {
				handled++
				time.Sleep(time.Second)
				return nil
			}, pubsub.Concurrency(1))
		}()
		for i := range 5 {
			publish(t, to, i)
			time.Sleep(time.Millisecond)
		}
		if err := <-results; !errors.Is(err, pubsub.ErrSlowConsumer) || handled != 2 {
			t.Errorf("a slow one: %v after %d", err, handled)
		}
	})
}
