package bus

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/internal/loop"
)

// Outbox publishes in the background, so that whoever has to tell never waits for Redis. What waits is bounded: items that
// come beyond it are dropped and counted, and so is what Redis does not take. It has a goroutine only while something waits.
// Safe for concurrent use.
type Outbox[T any] struct {
	config OutboxConfig[T]
	limit  *loop.Limiter

	mu      sync.Mutex
	waiting []T
	flying  chan struct{} // closed when nothing waits any more; nil = nothing does
	sent    uint64
	dropped uint64
}

// OutboxConfig is what an Outbox is made of.
type OutboxConfig[T any] struct {
	Client  redis.UniversalClient
	Compose func(items []T) []Message // what says it, in order
	Limit   int                       // items that wait at most
	Round   int                       // items that are composed together at most
	Within  time.Duration             // bounds the sending of one round
	Logger  zerolog.Logger
	Failure string // what to log when something was dropped
}

// outboxBatch is how many messages travel in a round trip at most.
const outboxBatch = 256

// NewOutbox makes one.
func NewOutbox[T any](config OutboxConfig[T]) *Outbox[T] {
	return &Outbox[T]{config: config, limit: loop.NewLimiter(0)}
}

// Add has items sent, those beyond the limit dropped. It does not wait.
func (o *Outbox[T]) Add(items ...T) {
	o.mu.Lock()
	defer o.mu.Unlock()
	room := max(o.config.Limit-len(o.waiting), 0)
	if len(items) > room {
		o.dropped += uint64(len(items) - room)
		items = items[:room]
		o.limit.Event(o.config.Logger.Warn()).Uint64("dropped", o.dropped).Msg(o.config.Failure)
	}
	o.waiting = append(o.waiting, items...)
	if o.flying == nil && len(o.waiting) > 0 {
		o.flying = make(chan struct{})
		go o.fly(o.flying)
	}
}

// Flush returns when nothing waits to be sent any more, or ctx ends.
func (o *Outbox[T]) Flush(ctx context.Context) {
	o.mu.Lock()
	flying := o.flying
	o.mu.Unlock()
	if flying == nil {
		return
	}
	select {
	case <-flying:
	case <-ctx.Done():
	}
}

// Counts answers how many items were sent and dropped so far.
func (o *Outbox[T]) Counts() (sent, dropped uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sent, o.dropped
}

// fly sends rounds until nothing waits.
func (o *Outbox[T]) fly(done chan struct{}) {
	defer close(done)
	for {
		o.mu.Lock()
		n := min(len(o.waiting), o.config.Round)
		if n == 0 {
			o.waiting, o.flying = nil, nil
			o.mu.Unlock()
			return
		}
		round := o.waiting[:n:n]
		o.waiting = o.waiting[n:]
		o.mu.Unlock()
		err := o.send(round)
		o.mu.Lock()
		if err == nil {
			o.sent += uint64(n)
		} else {
			o.dropped += uint64(n)
			o.limit.Event(o.config.Logger.Warn()).Err(err).Uint64("dropped", o.dropped).Msg(o.config.Failure)
		}
		o.mu.Unlock()
	}
}

func (o *Outbox[T]) send(round []T) error {
	ctx, cancel := context.WithTimeout(context.Background(), o.config.Within)
	defer cancel()
	for messages := o.config.Compose(round); len(messages) > 0; {
		n := min(len(messages), outboxBatch)
		if err := PublishAll(ctx, o.config.Client, messages[:n]); err != nil {
			return err
		}
		messages = messages[n:]
	}
	return nil
}
