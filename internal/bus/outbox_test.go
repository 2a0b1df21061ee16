package bus

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/internal/redistest"
)

// outboxOf makes one whose messages are numbers on the channel "out".
func outboxOf(client redis.UniversalClient, limit int) *Outbox[int] {
	return NewOutbox(OutboxConfig[int]{Client: client, Limit: limit, Round: 10, Within: time.Second, Logger: zerolog.Nop(), Failure: "dropped",
		Compose: func(items []int) []Message {
			var all []Message
			for _, n := range items {
				all = append(all, Message{Channel: "out", Payload: fmt.Sprint(n)})
			}
			return all
		}})
}

func TestOutboxSendsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := redistest.Embedded(t)
		sub := client.Subscribe(t.Context(), "out")
		defer sub.Close()
		if _, err := sub.Receive(t.Context()); err != nil {
			t.Fatal(err)
		}
		o := outboxOf(client, 1000)
		for n := 0; n < 600; n += 3 {
			o.Add(n, n+1, n+2)
		}
		o.Flush(t.Context())
		if sent, dropped := o.Counts(); sent != 600 || dropped != 0 {
			t.Errorf("%d sent, %d dropped", sent, dropped)
		}
		for n := range 600 {
			if m, err := sub.ReceiveMessage(t.Context()); err != nil || m.Payload != fmt.Sprint(n) {
				t.Fatalf("at place %d: %v, %v", n, m, err)
			}
		}
	})
}

// While Redis is slow nobody waits for it, what waits is bounded, and every item is counted as sent or dropped.
func TestOutboxIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := redistest.NewBubble(t)
		o := outboxOf(b.Client(), 100)
		release := b.HoldRequest(redistest.On("PUBLISH"))
		began := time.Now()
		o.Add(0)
		synctest.Wait() // it is on its way
		for n := range 250 {
			o.Add(n)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("adding took %v", took)
		}
		if sent, dropped := o.Counts(); sent != 0 || dropped != 150 {
			t.Errorf("%d sent, %d dropped", sent, dropped)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		o.Flush(ctx)
		if ctx.Err() == nil {
			t.Error("what waits was flushed to nowhere")
		}
		release()
		o.Flush(t.Context())
		if sent, dropped := o.Counts(); sent != 101 || dropped != 150 {
			t.Errorf("%d sent, %d dropped in the end", sent, dropped)
		}
	})
}

// What Redis does not take is dropped and counted; what comes later is sent.
func TestOutboxGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := redistest.NewBubble(t)
		var lose atomic.Bool
		lose.Store(true)
		b.DropReplies(func(cmd string, _ []string) bool { return cmd == "PUBLISH" && lose.Load() })
		o := outboxOf(b.Client(), 100)
		o.Add(1, 2, 3)
		o.Flush(t.Context())
		lose.Store(false)
		o.Add(4)
		o.Flush(t.Context())
		if sent, dropped := o.Counts(); sent != 1 || dropped != 3 {
			t.Errorf("%d sent, %d dropped", sent, dropped)
		}
	})
}
