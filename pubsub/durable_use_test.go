package pubsub

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redistest"
)

// A channel and a loop bring the same as Next, and end with the member.
func TestMemberAsChannelAndLoop(t *testing.T) {
	inBubble(t, func(t *testing.T, b *redistest.Bubble) {
		r := newRig(t, b.Client())
		r.publish(1, 3)
		m := r.join("c")
		for n := 1; n <= 3; n++ {
			e := <-m.C()
			if e.Err != nil || e.Message.Data.N != n {
				t.Fatalf("%+v", e)
			}
			ack(t, e.Message)
		}
		time.AfterFunc(time.Second, m.Close)
		if e, open := <-m.C(); open {
			t.Errorf("%+v", e)
		}
		loop := r.join("loop")
		time.AfterFunc(time.Minute, loop.Close)
		n := 0
		for msg, err := range loop.All(t.Context()) {
			if n++; err != nil || msg.Data.N != n {
				t.Fatalf("%+v, %v", msg, err)
			}
			ack(t, msg)
		}
		if n != 3 || loop.Err() != nil {
			t.Errorf("%d messages, %v", n, loop.Err())
		}
		if err := loop.Handle(t.Context(), func(context.Context, *Message[order]) error { return nil }); err != nil {
			t.Errorf("handle of a closed member: %v", err)
		}
		ended, cancel := context.WithCancelCause(t.Context())
		left := errors.New("left")
		last := r.join("last", From(FromNow))
		time.AfterFunc(time.Second, func() { cancel(left) })
		if _, err := last.Next(ended); !errors.Is(err, left) {
			t.Errorf("next: %v", err)
		}
		r.publish(4, 4) // nobody who gave up waiting gets it
		ack(t, next(t, last, 4, 1))
	})
}

func TestDurableRefusals(t *testing.T) {
	inBubble(t, func(t *testing.T, b *redistest.Bubble) {
		r := newRig(t, b.Client())
		ok := func(context.Context, *Message[order]) error { return nil }
		m := r.join("g")
		for name, try := range map[string]func() error{
			"topic":       func() error { _, err := NewDurable[order](r.client, "a{b}"); return err },
			"group":       func() error { _, err := r.topic.Subscribe(t.Context(), "a b"); return err },
			"attempts":    func() error { _, err := r.topic.Subscribe(t.Context(), "g", MaxAttempts(0)); return err },
			"backoff":     func() error { _, err := r.topic.Subscribe(t.Context(), "g", Backoff(2, 1)); return err },
			"batch":       func() error { _, err := r.topic.Subscribe(t.Context(), "g", Batch(0)); return err },
			"ttl":         func() error { _, err := r.topic.Subscribe(t.Context(), "g", MemberTTL(time.Second)); return err },
			"handler":     func() error { return m.Handle(t.Context(), nil) },
			"concurrency": func() error { return m.Handle(t.Context(), ok, Concurrency(0)) },
		} {
			if err := try(); !errors.Is(err, ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := NewDurable[order](r.client, "s", Sharded()); !errors.Is(err, ErrNoSharding) {
			t.Errorf("sharded: %v", err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := r.topic.Subscribe(ended, "g"); !errors.Is(err, context.Canceled) {
			t.Errorf("subscribe: %v", err)
		}
		b.Refuse(true)
		b.Cut()
		short, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if _, err := r.topic.Subscribe(short, "g"); !errors.Is(err, ErrUnavailable) {
			t.Errorf("subscribe while Redis is away: %v", err)
		}
		if _, err := r.topic.Publish(t.Context(), order{}); !errors.Is(err, ErrUnavailable) {
			t.Errorf("publish while Redis is away: %v", err)
		}
		began := time.Now()
		if err := r.client.Close(); err != nil || time.Since(began) > 2*closeFor {
			t.Errorf("close while Redis is away: %v after %v", err, time.Since(began))
		}
		b.Refuse(false)
		if _, err := m.Next(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("next: %v", err)
		}
		if _, err := r.topic.Subscribe(t.Context(), "g"); !errors.Is(err, ErrClosed) {
			t.Errorf("subscribe: %v", err)
		}
		if _, err := r.client.Streams().List(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("list: %v", err)
		}
		time.Sleep(2 * time.Second) // the pool under it tries to dial each second, and ends that once it could
	})
}

// A key of another type ends a member with an error that names it.
func TestMemberMeetsAnotherType(t *testing.T) {
	inBubble(t, func(t *testing.T, b *redistest.Bubble) {
		r := newRig(t, b.Client())
		m := r.join("g")
		b.M.FlushAll()
		const key = "tm:topic:{orders}:stream"
		if err := b.M.Set(key, "x"); err != nil {
			t.Fatal(err)
		}
		var wrong *KeyTypeError
		if _, err := m.Next(t.Context()); !errors.As(err, &wrong) || wrong.Key != key {
			t.Errorf("next: %v", err)
		}
		if !errors.As(m.Err(), &wrong) {
			t.Errorf("err: %v", m.Err())
		}
		for _, err := range m.All(t.Context()) {
			if !errors.As(err, &wrong) {
				t.Errorf("all: %v", err)
			}
		}
		if err := m.Handle(t.Context(), func(context.Context, *Message[order]) error { return nil }); !errors.As(err, &wrong) {
			t.Errorf("handle: %v", err)
		}
		if _, err := r.topic.Publish(t.Context(), order{}); !errors.As(err, &wrong) {
			t.Errorf("publish: %v", err)
		}
	})
}

// Whom the ACL refuses is told at once, and leaves nothing behind.
func TestMemberNotPermitted(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	admin := redistest.Client(t, srv)
	for name, rules := range map[string][]any{
		"no channels": {"+@all", "~*", "resetchannels"}, "no keys": {"+@all", "resetkeys", "&*"}, "no streams": {"+@all", "-@stream", "~*", "&*"},
	} {
		if err := admin.Do(t.Context(), append([]any{"ACL", "SETUSER", "u", "reset", "on", ">p"}, rules...)...).Err(); err != nil {
			t.Fatal(err)
		}
		r := newRig(t, redistest.Client(t, srv, func(o *redis.Options) { o.Username, o.Password = "u", "p" }))
		if _, err := r.topic.Subscribe(t.Context(), "g"); !errors.Is(err, ErrNotPermitted) {
			t.Errorf("%s: %v", name, err)
		}
		if n := r.client.Stats().Connections; n != 0 {
			t.Errorf("%s: %d connections", name, n)
		}
	}
}
