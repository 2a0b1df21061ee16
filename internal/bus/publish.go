package bus

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/conn"
)

// Publish sends payload to whoever is subscribed to channel now. Nobody
// listening is no error. Errors are classified as package conn does.
func Publish(ctx context.Context, client redis.UniversalClient, channel, payload string) error {
	if err := client.Publish(ctx, channel, payload).Err(); err != nil {
		return fmt.Errorf("publish to %q: %w", channel, conn.Classify(err))
	}
	return nil
}

// Message is one to publish.
type Message struct{ Channel, Payload string }

// PublishAll is Publish for several messages in one round trip, in order. The error is that of the first that failed.
func PublishAll(ctx context.Context, client redis.UniversalClient, messages []Message) error {
	if len(messages) == 0 {
		return nil
	}
	_, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, m := range messages {
			p.Publish(ctx, m.Channel, m.Payload).SetFirstKeyPos(1) // as in Send
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("publish %d messages: %w", len(messages), conn.Classify(err))
	}
	return nil
}
