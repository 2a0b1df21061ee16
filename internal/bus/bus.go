// Package bus keeps one Redis subscription alive for as long as a process
// needs it. Messages are hints: whatever was published while the connection was
// away is gone, so who listens re-reads the truth each time it is told of a
// new subscription.
package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/internal/backoff"
	"github.com/tidemill/tidemill/internal/conn"
	"github.com/tidemill/tidemill/internal/loop"
)

const (
	// silence is how long nothing may arrive before a ping asks for a sign of
	// life, patience how long that may take.
	silence  = 30 * time.Second
	patience = 5 * time.Second
	// connecting bounds dial, handshake and subscribing together.
	connecting = 3 * time.Second
)

// reconnects are quick and bounded: a server that is back is found within 1 s.
var reconnects = backoff.Policy{Base: 50 * time.Millisecond, Cap: time.Second, Factor: 2, Jitter: 0.5}

// Handler receives what a subscription brings. Both methods are called from the
// goroutine of Run, one at a time. While one runs nothing is read, and Redis
// drops a subscriber that lags too far behind (32 MB by default): hand messages
// on and return.
type Handler interface {
	// Connected is called after every subscribe and resubscribe, before the
	// messages that follow it. What was sent in between may be missed.
	Connected()
	// Message is called for each message, in the order of arrival.
	Message(channel, payload string)
}

// Run subscribes to the channels and feeds h until ctx ends: then it returns nil
// and leaves neither goroutine nor connection, at once from a subscription that
// stands, and within 3 s while one is being made with a server that accepts and
// does not answer (within its ReadTimeout, for a client of which
// ContextTimeoutEnabled is off; package conn turns it on).
//
// A lost connection is replaced with backoff of at most 1 s, for ever; failures
// go to the zerolog logger in ctx, rate-limited. A connection on which nothing
// arrives for 30 s is pinged, and replaced when it stays silent for 5 s more.
//
// An error ends Run only where trying again cannot help: no channels, no
// permission for them (ACL), or a client that was closed.
//
// The subscription takes one connection outside of the client's pool.
func Run(ctx context.Context, client redis.UniversalClient, channels []string, h Handler) error {
	names := slices.Clone(channels)
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) == 0 {
		return errors.New("bus: no channels to subscribe to")
	}
	limit := loop.NewLimiter(0)
	err := loop.Retry(ctx, reconnects, func(ctx context.Context) error {
		return listen(ctx, client, names, h)
	}, func(err error, attempt int, next time.Duration) {
		limit.Event(zerolog.Ctx(ctx).Warn()).Err(err).Strs("channels", names).Int("attempt", attempt).Dur("next", next).
			Msg("subscription lost, reconnecting")
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// Publish sends payload to whoever is subscribed to channel now. Nobody
// listening is no error. Errors are classified as package conn does.
func Publish(ctx context.Context, client redis.UniversalClient, channel, payload string) error {
	if err := client.Publish(ctx, channel, payload).Err(); err != nil {
		return fmt.Errorf("bus: publish to %q: %w", channel, conn.Classify(err))
	}
	return nil
}
