package pubsub_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/pubsub"
)

// publishes chooses the commands that publish.
func publishes(cmd string, _ []string) bool { return cmd == "PUBLISH" }

// TestConcurrentPublishesSharePipelines: all that stand in line while two pipelines are under way go in the next ones.
func TestConcurrentPublishesSharePipelines(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, b *redistest.Bubble, c *pubsub.Client) {
		var most atomic.Int64
		seen := around(t, b.Client())
		s := subscribe(t, topic[int](t, seen, "t"), pubsub.Buffer(1000))
		release := b.HoldRequest(publishes)
		one, two := topic[int](t, c, "t"), topic[int](t, c, "u")
		var group sync.WaitGroup
		for i := range 300 {
			group.Go(func() {
				to := one
				if i%3 == 0 {
					to = two
				}
				if _, err := to.Publish(t.Context(), i); err != nil {
					t.Error(err)
				}
			})
		}
		redistest.WaitFor(t, soon, func() bool { return b.Held() == 2 }, "two pipelines to be held")
		before := b.Connections()
		release()
		group.Wait()
		most.Store(int64(b.Connections()))
		if before != int(most.Load()) {
			t.Errorf("%d connections, %d with 300 publishers", before, most.Load())
		}
		got := map[int]bool{}
		for range 200 {
			got[next(t, s).Data] = true
		}
		if n := c.Stats().Published; len(got) != 200 || n != 300 {
			t.Errorf("%d came, %d published", len(got), n)
		}
	})
}

// TestAloneIsSentAtOnce: nothing gathers for a time.
func TestAloneIsSentAtOnce(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, _ *redistest.Bubble, c *pubsub.Client) {
		to, start := topic[int](t, c, "t"), time.Now()
		for i := range 100 {
			publish(t, to, i)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("timers ran for %v", took)
		}
	})
}

// TestLostReplies: the message may be there, and the error says so.
func TestLostReplies(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, b *redistest.Bubble, _ *pubsub.Client) {
		c := around(t, b.Client(func(o *redis.Options) { o.PoolSize, o.PipelinePoolSize = 1, -1 }))
		to := topic[int](t, c, "t")
		s := subscribe(t, to)
		b.DropReplies(publishes)
		id, err := to.Publish(t.Context(), 1)
		if !errors.Is(err, pubsub.ErrOutcomeUnknown) || !errors.Is(err, pubsub.ErrUnavailable) || id == uuid.Nil ||
			!strings.Contains(err.Error(), "may have been published") {
			t.Errorf("%s, %v", id, err)
		}
		b.DropReplies(nil)
		if m := next(t, s); m.ID != id {
			t.Errorf("%+v", m)
		}
		publish(t, to, 2, pubsub.MessageID(id))
		if m := next(t, s); m.ID != id || m.Data != 2 {
			t.Errorf("%+v", m)
		}

		b.Refuse(true)
		b.Cut()
		if _, err := to.Publish(t.Context(), 3); !errors.Is(err, pubsub.ErrOutcomeUnknown) {
			t.Errorf("a connection that is gone: %v", err)
		}
		if id, err := to.Publish(t.Context(), 3); errors.Is(err, pubsub.ErrOutcomeUnknown) || !errors.Is(err, pubsub.ErrUnavailable) || id != uuid.Nil {
			t.Errorf("no connection: %s, %v", id, err)
		}
		b.Refuse(false)
		time.Sleep(2 * time.Second) // go-redis tries to connect once a second, until it can
		if n := c.Stats().Published; n != 1 {
			t.Errorf("%d are counted as published", n)
		}
	})
}

// TestCallersLeave: who has not been picked up is withdrawn; who has does not know; the others get theirs.
func TestCallersLeave(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, b *redistest.Bubble, c *pubsub.Client) {
		to := topic[string](t, c, "t")
		s := subscribe(t, topic[string](t, around(t, b.Client()), "t"))
		release := b.HoldRequest(publishes)
		defer release()
		left := errors.New("the caller has left")
		call := func(text string, patience time.Duration) <-chan error {
			ctx, cancel := context.WithCancelCause(t.Context())
			t.Cleanup(func() { cancel(nil) })
			done := make(chan error, 1)
			waiting := b.Held()
			go func() {
				_, err := to.Publish(ctx, text)
				done <- err
			}()
			if waiting < 2 {
				redistest.WaitFor(t, soon, func() bool { return b.Held() > waiting }, "it to be sent")
			} else {
				time.Sleep(time.Millisecond)
			}
			if patience > 0 {
				time.AfterFunc(patience, func() { cancel(left) })
			}
			return done
		}
		flying, flyingToo := call("flying", 100*time.Millisecond), call("flying too", 0)
		waiting, waitingToo := call("waiting", 100*time.Millisecond), call("waiting too", 0)
		if err := <-flying; !errors.Is(err, pubsub.ErrOutcomeUnknown) || !errors.Is(err, left) {
			t.Errorf("in a pipeline: %v", err)
		}
		if err := <-waiting; !errors.Is(err, left) || errors.Is(err, pubsub.ErrOutcomeUnknown) {
			t.Errorf("in line: %v", err)
		}
		release()
		for _, done := range []<-chan error{flyingToo, waitingToo} {
			if err := <-done; err != nil {
				t.Errorf("who stayed: %v", err)
			}
		}
		got := map[string]bool{}
		for range 3 {
			got[next(t, s).Data] = true
		}
		if !got["flying"] || !got["flying too"] || !got["waiting too"] {
			t.Errorf("%v came", got)
		}
	})
}

func TestPublishMany(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, c *pubsub.Client) {
		const many = 2000
		to := topic[int](t, c, "t")
		s := subscribe(t, to, pubsub.Buffer(many))
		if ids, err := to.PublishMany(t.Context(), nil); len(ids) != 0 || err != nil {
			t.Errorf("of none: %v, %v", ids, err)
		}
		data := make([]int, many)
		for i := range data {
			data[i] = i
		}
		ids, err := to.PublishMany(t.Context(), data, pubsub.Meta("k", "v"))
		if err != nil || len(ids) != many {
			t.Fatal(len(ids), err)
		}
		for i := range data {
			if m := next(t, s); m.ID != ids[i] || m.Data != i || m.Meta["k"] != "v" {
				t.Fatalf("%d is %+v, its id %s", i, m, ids[i])
			}
		}
	})
}

// TestPublishManyInPart: the error counts, and the ids tell which.
func TestPublishManyInPart(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, b *redistest.Bubble, c *pubsub.Client) {
		to := topic[any](t, c, "t")
		check := func(name string, data []any, published, unknown int, is error) {
			t.Helper()
			ids, err := to.PublishMany(t.Context(), data)
			var batch *pubsub.BatchError
			if !errors.Is(err, is) || !errors.As(err, &batch) || len(ids) != len(data) || batch.Of != len(data) ||
				batch.Unknown != unknown || batch.Failed != len(data)-published-unknown {
				t.Errorf("%s: %d ids, %v", name, len(ids), err)
				return
			}
			for i, id := range ids {
				if (id == uuid.Nil) != (i >= published+unknown) {
					t.Errorf("%s: message %d has the id %s", name, i, id)
					return
				}
			}
		}
		data := make([]any, 2000)
		for i := range data {
			data[i] = i
		}
		bad := append([]any(nil), data...)
		bad[1030] = func() {}
		check("what is no JSON", bad, 1024, 0, pubsub.ErrInvalid)
		var seen atomic.Int64
		b.DropReplies(func(cmd string, _ []string) bool { return cmd == "PUBLISH" && seen.Add(1) == 600 })
		check("a reply lost", data, 512, 512, pubsub.ErrOutcomeUnknown)
		b.DropReplies(nil)
		b.Refuse(true)
		b.Cut()
		check("a connection lost", data, 0, 512, pubsub.ErrOutcomeUnknown)
		check("Redis is away", data, 0, 0, pubsub.ErrUnavailable)
		b.Refuse(false)
		ctx, cancel := context.WithCancelCause(t.Context())
		left := errors.New("left")
		cancel(left)
		if _, err := to.PublishMany(ctx, data); !errors.Is(err, left) {
			t.Errorf("a caller who left: %v", err)
		}
		if _, err := to.Publish(ctx, 1); !errors.Is(err, left) {
			t.Errorf("a caller who left: %v", err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		check("a closed client", data, 0, 0, pubsub.ErrClosed)
		if _, err := to.Publish(t.Context(), 1); !errors.Is(err, pubsub.ErrClosed) {
			t.Errorf("a closed client: %v", err)
		}
	})
}
