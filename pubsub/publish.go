package pubsub

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/bus"
	"github.com/tidemill/tidemill/internal/wire"
)

// Publish sends one message to whoever is subscribed now, and answers its id once Redis has taken it; that nobody is, is
// no error. Calls that come at the same time, also of other topics, share round trips; one that comes alone is sent at
// once. Messages of one goroutine keep their order. Nothing is sent again by itself.
//
// Errors: ErrInvalid (also data that cannot be encoded, or is larger than Config.MaxMessage), ErrNotPermitted, ErrNoSharding,
// ErrUnavailable, ErrClosed, and ErrOutcomeUnknown where the reply was lost: the id is answered then.
func (t *Topic[T]) Publish(ctx context.Context, data T, options ...PublishOption) (uuid.UUID, error) {
	var o publishOptions
	if err := gather(&o, options); err != nil {
		return uuid.Nil, err
	}
	if ctx.Err() != nil {
		return uuid.Nil, context.Cause(ctx)
	}
	if err := t.client.closed(); err != nil {
		return uuid.Nil, err
	}
	id, payload, err := t.encode(make([]byte, 0, wire.MessageOverhead+min(t.usual.Load(), maxGuess)), data, &o)
	if err != nil {
		return uuid.Nil, err
	}
	t.usual.Store(int64(len(payload) - wire.MessageOverhead))
	post := bus.Post{Channel: t.name, Payload: payload, Sharded: t.sharded}
	if err := t.outbox.share(ctx, post); err != nil {
		err = fmt.Errorf("publish to %q: %w", t.name, err)
		if !errors.Is(err, ErrOutcomeUnknown) {
			id = uuid.Nil
		}
		return id, err
	}
	return id, nil
}

// maxGuess bounds what is set aside for a message because the last one was large, in bytes.
const maxGuess = 4 << 10

// encode writes a message's envelope behind dst.
func (t *Topic[T]) encode(dst []byte, data T, o *publishOptions) (uuid.UUID, []byte, error) {
	now, id := time.Now(), o.id
	if id == uuid.Nil {
		id = wire.NewMessageID(now)
	}
	start := len(dst)
	dst = wire.AppendMessageHead(dst, id, now.UnixMicro(), o.meta)
	head := len(dst)
	dst, err := appendData(dst, t.codec, data)
	if err != nil {
		return uuid.Nil, dst[:start], fmt.Errorf("%w data for topic %q: %w", ErrInvalid, t.name, err)
	}
	if n := len(dst) - head; n > t.client.config.MaxMessage {
		return uuid.Nil, dst[:start], invalid("data", fmt.Sprintf("%d bytes for topic %q", n, t.name),
			fmt.Sprintf("up to %d bytes (Config.MaxMessage)", t.client.config.MaxMessage))
	}
	return id, dst, nil
}

// maxFlying is how many shared pipelines a client has under way: one in Redis while the next gathers.
const maxFlying = 2

// Bounds of a pipeline; one message always fits.
const (
	chunkPosts = 512
	chunkBytes = 1 << 20
)

// outbox is the single publishes of a client, or of a durable topic, which wait to share a pipeline.
type outbox struct {
	client *Client
	send   func(ctx context.Context, posts []bus.Post) // sets what became of each

	mu      sync.Mutex
	waiting []*waiter
	flying  int
	waiters sync.Pool // of *waiter; a client's own, since a channel must not cross from one synctest bubble to another
}

// waiter is one Publish that waits for a shared pipeline.
type waiter struct {
	post bus.Post
	done chan error // room for one
}

// share sends a post with whatever else is waiting. The caller's context ends its waiting, never a pipeline that others
// share.
func (b *outbox) share(ctx context.Context, post bus.Post) error {
	w, _ := b.waiters.Get().(*waiter)
	if w == nil {
		w = &waiter{done: make(chan error, 1)}
	}
	w.post = post
	b.mu.Lock()
	b.waiting = append(b.waiting, w)
	start := b.flying < maxFlying
	if start {
		b.flying++
	}
	b.mu.Unlock()
	if start {
		go b.fly()
	}
	select {
	case err := <-w.done:
		w.post = bus.Post{}
		b.waiters.Put(w)
		return err
	case <-ctx.Done():
		if b.withdraw(w) {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%w: %w", ErrOutcomeUnknown, context.Cause(ctx))
	}
}

// withdraw takes back a post that no pipeline has picked up yet.
func (b *outbox) withdraw(w *waiter) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.waiting {
		if b.waiting[i] == w {
			b.waiting = append(b.waiting[:i], b.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// fly sends what waits, until nothing does.
func (b *outbox) fly() {
	var posts []bus.Post
	var batch []*waiter
	for {
		b.mu.Lock()
		if batch = b.pickLocked(batch[:0]); len(batch) == 0 {
			b.flying--
			b.mu.Unlock()
			return
		}
		b.mu.Unlock()
		posts = posts[:0]
		for _, w := range batch {
			posts = append(posts, w.post)
		}
		b.send(b.client.life, posts)
		var away error
		for i, w := range batch {
			if errors.Is(posts[i].Err, ErrUnavailable) {
				away = posts[i].Err
			}
			w.done <- posts[i].Err
		}
		clear(batch)
		clear(posts)
		if away != nil {
			b.turnAway(away)
		}
	}
}

// pickLocked takes from the front of those who wait what fits into one pipeline.
func (b *outbox) pickLocked(batch []*waiter) []*waiter {
	bytes := 0
	for n, w := range b.waiting {
		bytes += len(w.post.Payload)
		if n == chunkPosts || n > 0 && bytes > chunkBytes {
			break
		}
		batch = append(batch, w)
	}
	left := copy(b.waiting, b.waiting[len(batch):])
	clear(b.waiting[left:])
	b.waiting = b.waiting[:left]
	return batch
}

// turnAway answers those who waited behind a pipeline for which Redis was away: each trying for as long in its turn would
// keep the last of them many times that.
func (b *outbox) turnAway(err error) {
	kind := b.client.closed()
	if kind == nil {
		kind = ErrUnavailable
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, w := range b.waiting {
		w.done <- fmt.Errorf("%w: not sent, as the one before it failed: %v", kind, err)
	}
	clear(b.waiting)
	b.waiting = b.waiting[:0]
}

// send publishes in one pipeline, and makes each post's error one for callers.
func (c *Client) send(ctx context.Context, posts []bus.Post) {
	bus.Send(ctx, c.set.Shared(), posts)
	taken, away := 0, false
	for i := range posts {
		err := posts[i].Err
		if err == nil {
			taken++
			continue
		}
		away = away || errors.Is(err, ErrUnavailable)
		posts[i].Err = c.unsent(err)
	}
	c.counts.published.Add(uint64(taken))
	if away {
		c.set.Refresh()
	}
}

// unsent makes the error of a call that published one for callers.
func (c *Client) unsent(err error) error {
	if c.life.Err() != nil && !errors.Is(err, ErrOutcomeUnknown) && (errors.Is(err, context.Canceled) || errors.Is(err, ErrUnavailable)) {
		err = fmt.Errorf("%w: %w", ErrClosed, err)
	}
	return outward(err)
}
