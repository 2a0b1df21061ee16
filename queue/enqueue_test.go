package queue_test

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

func TestEnqueueIDs(t *testing.T) {
	everywhere(t, func(t *testing.T, c *queue.Client) {
		ctx := t.Context()
		own := uuid.New()
		fresh, err := c.Enqueue(ctx, email{"a"})
		if err != nil || fresh.Version() != 7 {
			t.Fatalf("%s, %v", fresh, err)
		}
		if id := enqueue(t, c, email{"a"}, queue.ID(own.String())); id != own.String() {
			t.Errorf("own UUID %s became %s", own, id)
		}
		text := enqueue(t, c, email{"a"}, queue.ID("order 17/é"))
		if uuid.MustParse(text).Version() != 5 {
			t.Errorf("own text became %s", text)
		}
		// The same text is another job in another queue, and found by both of its names.
		if other := enqueue(t, c, email{"a"}, queue.ID("order 17/é"), queue.Queue("other")); other == text {
			t.Errorf("%s in both queues", other)
		}
		for _, name := range []string{text, "order 17/é"} {
			if s, err := c.Get(ctx, "default", name); err != nil || s.ID.String() != text || s.Key != "order 17/é" {
				t.Errorf("%+v, %v", s, err)
			}
		}
		expectReady(t, c, "default", 3)
	})
}

func TestEnqueueDuplicate(t *testing.T) {
	everywhere(t, func(t *testing.T, c *queue.Client) {
		ctx := t.Context()
		first, err := c.Enqueue(ctx, email{"first"}, queue.ID("x"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"x", first.String()} {
			id, err := c.Enqueue(ctx, email{"second"}, queue.ID(name), queue.In(time.Hour))
			var duplicate *queue.DuplicateError
			if !errors.Is(err, queue.ErrDuplicate) || !errors.As(err, &duplicate) || duplicate.ID != first || duplicate.Cancelled || id != first {
				t.Fatalf("%s, %v", id, err)
			}
			if want := "enqueue email: duplicate job " + first.String(); err.Error() != want {
				t.Errorf("got %q, want %q", err, want)
			}
		}
		if s, err := c.Get(ctx, "default", "x"); err != nil || string(s.Payload) != `{"to":"first"}` || s.State != queue.Ready {
			t.Errorf("the duplicate changed the job: %+v, %v", s, err)
		}
		expectReady(t, c, "default", 1)
	})
}

// TestEnqueueTombstoned: the id of a cancelled job is free once its place in the list was passed, and not before.
func TestEnqueueTombstoned(t *testing.T) {
	everywhere(t, func(t *testing.T, c *queue.Client) {
		ctx := t.Context()
		id := enqueue(t, c, email{"a"}, queue.ID("x"))
		if state, err := c.Cancel(ctx, "default", "x"); err != nil || state != queue.Cancelled {
			t.Fatal(state, err)
		}
		_, err := c.Enqueue(ctx, email{"b"}, queue.ID("x"))
		var duplicate *queue.DuplicateError
		if !errors.As(err, &duplicate) || !duplicate.Cancelled || duplicate.ID.String() != id {
			t.Fatal(err)
		}
		if _, err := c.Get(ctx, "default", "x"); !errors.Is(err, queue.ErrUnknownJob) {
			t.Errorf("the tombstone is shown as a job: %v", err)
		}
		claim(t, c, "default", 1) // passes the place
		enqueue(t, c, email{"b"}, queue.ID("x"))
		if s, err := c.Get(ctx, "default", "x"); err != nil || string(s.Payload) != `{"to":"b"}` {
			t.Errorf("%+v, %v", s, err)
		}
	})
}

// claim claims what a queue has, as a worker's session would, and leaves it running.
func claim(t testing.TB, c *queue.Client, name string, want int) []broker.Claimed {
	t.Helper()
	engine := c.Engine()
	q, err := engine.Space.Queue(name)
	if err != nil {
		t.Fatal(err)
	}
	session := uuid.NewString()
	if _, _, err := engine.Broker.Heartbeat(t.Context(), time.Minute, []broker.Beat{{Queue: q, Session: session, Mode: broker.Register}}); err != nil {
		t.Fatal(err)
	}
	out, errs := engine.Broker.Exchange(t.Context(), []*broker.Exchange{{Queue: q, Session: session, Seq: 1, Want: want, Bytes: 1 << 20, First: want}})
	if errs[0] != nil {
		t.Fatal(errs[0])
	}
	return out[0].Jobs
}

func TestEnqueueDelayed(t *testing.T) {
	everywhere(t, func(t *testing.T, c *queue.Client) {
		ctx := t.Context()
		at := time.Now().Add(time.Hour).Truncate(time.Millisecond)
		enqueue(t, c, email{"a"}, queue.ID("at"), queue.At(at))
		enqueue(t, c, email{"a"}, queue.ID("past"), queue.At(at.Add(-2*time.Hour)))
		before := time.Now()
		enqueue(t, c, email{"a"}, queue.ID("in"), queue.In(time.Minute+time.Microsecond))
		enqueue(t, c, email{"a"}, queue.ID("far"), queue.In(1<<63-1))
		if s, err := c.Get(ctx, "default", "at"); err != nil || s.State != queue.Scheduled || !s.DueAt.Equal(at) {
			t.Errorf("at: %+v, %v", s, err)
		}
		if s, err := c.Get(ctx, "default", "past"); err != nil || s.State != queue.Ready {
			t.Errorf("past: %+v, %v", s, err)
		}
		s, err := c.Get(ctx, "default", "in")
		if err != nil || s.DueAt.Before(before.Add(time.Minute).Truncate(time.Millisecond)) || s.DueAt.After(time.Now().Add(time.Minute+2*time.Millisecond)) {
			t.Errorf("in: %+v, %v", s, err)
		}
		if s, err := c.Get(ctx, "default", "far"); err != nil || s.State != queue.Scheduled || s.DueAt.Year() < before.Year()+292 {
			t.Errorf("the longest delay: %+v, %v", s, err)
		}
		if n := counts(t, c, "default"); n.Scheduled != 3 || n.Ready != 1 || n.Enqueued != 4 {
			t.Errorf("%+v", n)
		}
	})
}

func TestEnqueueFaultSendsNothing(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		c, ctx := open(t, srv.URL()), t.Context()
		m := redistest.NewMonitor(t, srv)
		cancelled, cancel := context.WithCancelCause(ctx)
		reason := errors.New("the caller has left")
		cancel(reason)
		for want, call := range map[error]func() error{
			queue.ErrInvalid:         func() error { _, err := c.Enqueue(ctx, queue.Raw{}); return err },
			queue.ErrPayloadTooLarge: func() error { _, err := c.Enqueue(ctx, queue.Raw{Name: "k", Payload: make([]byte, 2<<20)}); return err },
			reason:                   func() error { _, err := c.Enqueue(cancelled, email{}); return err },
		} {
			if err := call(); !errors.Is(err, want) {
				t.Errorf("%v, want %v", err, want)
			}
		}
		if n := m.Count(); n != 0 {
			t.Errorf("%d commands were sent: %q", n, m.Lines())
		}
	})
}

// TestPayloadIsBinarySafe: what goes in comes out, on every server and whatever the bytes.
func TestPayloadIsBinarySafe(t *testing.T) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	everywhere(t, func(t *testing.T, c *queue.Client) {
		for _, payload := range []string{string(every), "\r\n$5\r\n", "", `{"a":[]}`, strings.Repeat("\x00", 1<<20)} {
			id := enqueue(t, c, queue.Raw{Name: "bytes", Payload: []byte(payload)}, queue.Retain(time.Hour), queue.ExpireIn(time.Hour))
			s, err := c.Get(t.Context(), "default", id)
			if err != nil || string(s.Payload) != payload || s.Retention != time.Hour {
				t.Errorf("%s came back as %d bytes, %v", hex.EncodeToString([]byte(payload[:min(8, len(payload))])), len(s.Payload), err)
			}
		}
	})
}

func TestNamespacesAreApart(t *testing.T) {
	everywhere(t, func(t *testing.T, c *queue.Client) {
		rdb := c.Redis()
		other := around(t, rdb, queue.Config{Namespace: "other"})
		if other.Namespace() != "other" || c.Namespace() != "tm" {
			t.Errorf("namespaces %q and %q", other.Namespace(), c.Namespace())
		}
		enqueue(t, c, email{"a"}, queue.ID("x"))
		enqueue(t, other, email{"a"}, queue.ID("x"), queue.Queue("mail"))
		for client, want := range map[*queue.Client]string{c: "default", other: "mail"} {
			if names, err := client.Queues(t.Context()); err != nil || len(names) != 1 || names[0] != want {
				t.Errorf("%s: %q, %v", client.Namespace(), names, err)
			}
			expectReady(t, client, want, 1)
		}
	})
}
