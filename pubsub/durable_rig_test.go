package pubsub

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redistest"
)

// order is what the tests send.
type order struct {
	N    int    `json:"n"`
	Text string `json:"text,omitempty"`
}

// rig is a process with a durable topic.
type rig struct {
	t      *testing.T
	client *Client
	topic  *Durable[order]
}

// newRig is a process of its own against a server.
func newRig(t *testing.T, rdb redis.UniversalClient, options ...TopicOption) *rig {
	t.Helper()
	c, err := New(rdb)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	d, err := NewDurable[order](c, "orders", options...)
	if err != nil {
		t.Fatal(err)
	}
	return &rig{t, c, d}
}

// join makes the process a member of a group, which it leaves with the test.
func (r *rig) join(group string, options ...GroupOption) *Member[order] {
	r.t.Helper()
	m, err := r.topic.Subscribe(r.t.Context(), group, options...)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(m.Close)
	return m
}

// publish sends the orders from..to.
func (r *rig) publish(from, to int) {
	r.t.Helper()
	var all []order
	for n := from; n <= to; n++ {
		all = append(all, order{N: n})
	}
	ids, err := r.topic.PublishMany(r.t.Context(), all)
	if err != nil || len(ids) != len(all) {
		r.t.Fatalf("%d ids, %v", len(ids), err)
	}
}

// next takes a message and holds it against what is expected.
func next(t *testing.T, m *Member[order], n, attempt int) *Message[order] {
	t.Helper()
	return within(t, m, 2*time.Minute, n, attempt)
}

func within(t *testing.T, m *Member[order], limit time.Duration, n, attempt int) *Message[order] {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	msg, err := m.Next(ctx)
	if err != nil {
		t.Fatalf("waiting for message %d: %v", n, err)
	}
	if msg.Data.N != n || msg.Attempt != attempt || msg.Topic != "orders" || msg.Position == "" {
		t.Fatalf("got %+v, want message %d, attempt %d", msg, n, attempt)
	}
	return msg
}

func ack(t *testing.T, msg *Message[order]) {
	t.Helper()
	if err := msg.Ack(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// group reads a group's numbers.
func (r *rig) group(name string) GroupInfo {
	r.t.Helper()
	info, err := r.client.Streams().Info(r.t.Context(), "orders")
	if err != nil {
		r.t.Fatal(err)
	}
	for _, g := range info.Groups {
		if g.Group == name {
			return g
		}
	}
	r.t.Fatalf("no group %q in %+v", name, info)
	return GroupInfo{}
}

// inBubble runs a test against the embedded server, where hours pass in milliseconds.
func inBubble(t *testing.T, run func(t *testing.T, b *redistest.Bubble)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { run(t, redistest.NewBubble(t)) })
}

func TestDurableTakesEachOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, b *redistest.Bubble) {
		r := newRig(t, b.Client())
		r.publish(1, 5)
		m := r.join("g")
		for n := 1; n <= 5; n++ {
			msg := next(t, m, n, 1)
			if msg.ID.Version() != 7 || time.Since(msg.Time) > time.Minute {
				t.Errorf("%+v", msg)
			}
			ack(t, msg)
		}
		began := time.Now()
		go func() { time.Sleep(5 * time.Minute); r.publish(6, 6) }()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		msg, err := m.Next(ctx)
		if err != nil || msg.Data.N != 6 || time.Since(began) != 5*time.Minute {
			t.Errorf("%+v, %v after %v", msg, err, time.Since(began))
		}
		ack(t, msg)
		synctest.Wait()
		g := r.group("g")
		if want := (GroupInfo{Group: "g", Members: 1}); g != want {
			t.Errorf("%+v", g)
		}
	})
}
