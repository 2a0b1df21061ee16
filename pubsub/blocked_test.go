package pubsub_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/pubsub"
)

// TestBlockedTogether: subscriptions that have no room share the messages that wait, while some of their consumers take them.
// It is for the race detector.
func TestBlockedTogether(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, _ *redistest.Bubble, c *pubsub.Client) {
		to := topic[int](t, c, "t")
		var consumers sync.WaitGroup
		const messages = 200
		for range 20 {
			s := subscribe(t, to, pubsub.Buffer(messages/2), pubsub.WhenFull(pubsub.Block(time.Minute)))
			consumers.Go(func() {
				for want := range messages {
					if m, err := s.Next(context.Background()); err != nil || m.Data != want {
						t.Errorf("%v, %v; want %d", m, err, want)
						return
					}
				}
			})
		}
		for i := range messages {
			publish(t, to, i)
		}
		consumers.Wait()
	})
}
