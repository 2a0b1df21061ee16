package pubsub

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/bus"
)

// PublishMany sends messages through pipelines of up to 512, one after the other: they arrive in order. The options hold
// for each of them; MessageID is for one message only. Data that cannot be encoded is found before any of its pipeline is
// sent. It answers an id for each, in order.
//
// When a part fails, what comes behind it is not sent, and the error is a *BatchError, which wraps one of Publish's and
// counts; the ids of messages that surely were not published are zero.
func (t *Topic[T]) PublishMany(ctx context.Context, data []T, options ...PublishOption) ([]uuid.UUID, error) {
	var o publishOptions
	if err := gather(&o, options); err != nil {
		return nil, err
	}
	if o.id != uuid.Nil && len(data) > 1 {
		return nil, invalid("message id", fmt.Sprintf("one for %d messages", len(data)), "with a single message")
	}
	if len(data) == 0 {
		return nil, nil
	}
	m := &many[T]{topic: t, ctx: ctx, data: data, options: &o, ids: make([]uuid.UUID, len(data))}
	return m.ids, m.run()
}

// chunk is one pipeline of a batch.
type chunk struct {
	posts []bus.Post
	buf   []byte // the payloads
	first int    // its place in the batch
	err   error  // some of its data cannot be encoded: none of it is sent
}

// chunks keeps the arrays of chunks, each of which is good for about one pipeline.
var chunks = sync.Pool{New: func() any { return new(chunk) }}

// free gives a chunk's arrays back, unless one message was huge.
func (ch *chunk) free() {
	clear(ch.posts[:cap(ch.posts)])
	if cap(ch.buf) <= 2*chunkBytes {
		chunks.Put(ch)
	}
}

// many is one PublishMany under way: messages are encoded while those before them travel.
type many[T any] struct {
	topic   *Topic[T]
	ctx     context.Context
	data    []T
	options *publishOptions
	ids     []uuid.UUID

	mu     sync.Mutex
	failed error      // the first error: nothing more is sent
	errs   BatchError // the sender's
}

func (m *many[T]) run() error {
	if len(m.data) <= chunkPosts { // mostly one pipeline: no need of a second goroutine
		ch, next := chunks.Get().(*chunk), 0
		defer ch.free()
		for next < len(m.data) && m.stopped() == nil {
			next = m.fill(ch, next)
			m.send(ch)
		}
		return m.result(next)
	}
	full, empty := make(chan *chunk, 1), make(chan *chunk, 3)
	for range cap(empty) {
		empty <- chunks.Get().(*chunk)
	}
	var sender sync.WaitGroup
	sender.Go(func() {
		for ch := range full {
			m.send(ch)
			empty <- ch
		}
	})
	next := 0
	func() {
		defer sender.Wait()
		defer close(full) // also where a codec of the caller's panics
		for next < len(m.data) && m.stopped() == nil {
			ch := <-empty
			next = m.fill(ch, next)
			broken := ch.err != nil
			if full <- ch; broken {
				break
			}
		}
	}()
	for range cap(empty) {
		(<-empty).free()
	}
	return m.result(next)
}

// fill encodes messages into a chunk from a place on, and answers the place of the first that is left.
func (m *many[T]) fill(ch *chunk, from int) (next int) {
	ch.posts, ch.buf, ch.first, ch.err = ch.posts[:0], ch.buf[:0], from, nil
	for next = from; next < len(m.data) && len(ch.posts) < chunkPosts && len(ch.buf) < chunkBytes; next++ {
		start := len(ch.buf)
		id, buf, err := m.topic.encode(ch.buf, m.data[next], m.options)
		ch.buf = buf
		if err != nil {
			ch.posts = append(ch.posts, bus.Post{})
			if ch.err == nil {
				ch.err = err
			}
			continue
		}
		m.ids[next] = id
		payload := ch.buf[start:len(ch.buf):len(ch.buf)]
		ch.posts = append(ch.posts, bus.Post{Channel: m.topic.name, Payload: payload, Sharded: m.topic.sharded})
	}
	return next
}

// fail keeps the first error.
func (m *many[T]) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failed == nil {
		m.failed = err
	}
}

// stopped answers the error after which nothing more is sent.
func (m *many[T]) stopped() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.failed
}

// send publishes a chunk, unless something before or in it failed, and counts what became of its messages.
func (m *many[T]) send(ch *chunk) {
	if err := m.hindrance(ch); err != nil {
		m.fail(err)
		m.errs.Failed += len(ch.posts)
		clear(m.ids[ch.first : ch.first+len(ch.posts)])
		return
	}
	m.topic.outbox.send(m.ctx, ch.posts)
	for i := range ch.posts {
		err := ch.posts[i].Err
		if err == nil {
			continue
		}
		m.fail(err)
		if errors.Is(err, ErrOutcomeUnknown) {
			m.errs.Unknown++
		} else {
			m.errs.Failed++
			m.ids[ch.first+i] = uuid.Nil
		}
	}
}

// hindrance is why a chunk must not be sent.
func (m *many[T]) hindrance(ch *chunk) error {
	if err := m.stopped(); err != nil {
		return err
	}
	if err := m.topic.client.closed(); err != nil {
		return err
	}
	if m.ctx.Err() != nil {
		return context.Cause(m.ctx)
	}
	return ch.err
}

// result sums up; from next on nothing was encoded.
func (m *many[T]) result(next int) error {
	if m.failed == nil {
		return nil
	}
	m.errs.Failed += len(m.data) - next
	m.errs.Of, m.errs.First = len(m.data), m.failed
	return fmt.Errorf("publish to %q: %w", m.topic.name, &m.errs)
}
