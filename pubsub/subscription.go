package pubsub

import (
	"context"
	"iter"
	"sync"
)

// Subscription is one subscription to a live topic or pattern. What comes waits in its buffer for the consumer, which uses
// one of All, Next, C and Handle. Safe for concurrent use; close it when done.
type Subscription[T any] struct {
	group *group[T]
	place int // in the group, which guards it

	mu     sync.Mutex
	buf    buffer[T]
	idle   int           // consumers that wait
	wake   chan struct{} // room for one; closed at the end
	ended  bool
	closed bool // by its owner, or the client's
	err    error
	out    chan Event[T] // of C
	quit   chan struct{} // ends what feeds out
}

// All yields messages until ctx ends or the subscription does. The error is a *Gap or a *DecodeError, after which it goes
// on, or what ended the subscription (ErrSlowConsumer, ErrNotPermitted, ErrClosed of the connection), as the last. The
// end of ctx and Close end it silently. Leaving the loop leaves the subscription open.
func (s *Subscription[T]) All(ctx context.Context) iter.Seq2[*Message[T], error] {
	return func(yield func(*Message[T], error) bool) {
		for {
			m, state, err := s.take(ctx)
			if state == quiet || !yield(m, err) || state == broken {
				return
			}
		}
	}
}

// Next waits for one: it answers what All yields, and at the end what ended ctx, or ErrClosed after Close.
func (s *Subscription[T]) Next(ctx context.Context) (*Message[T], error) {
	m, _, err := s.take(ctx)
	return m, err
}

// C is All as a channel, always the same, which is closed at the end of the subscription. One message or error is held for
// its reader beside the buffer.
func (s *Subscription[T]) C() <-chan Event[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.out != nil {
		return s.out
	}
	s.out, s.quit = make(chan Event[T]), make(chan struct{})
	if s.closed {
		close(s.quit)
	}
	go s.feed(s.out, s.quit)
	return s.out
}

// feed is C's goroutine.
func (s *Subscription[T]) feed(out chan<- Event[T], quit <-chan struct{}) {
	defer close(out)
	for {
		m, state, err := s.take(context.Background())
		if state == quiet {
			return
		}
		select {
		case out <- Event[T]{m, err}:
		case <-quit:
			return
		}
		if state == broken {
			return
		}
	}
}

// Dropped is how many messages the buffer had no room for: they came while the consumer was slow. Each Gap whose Missed is
// not zero tells of some of them, in its place.
func (s *Subscription[T]) Dropped() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var at moment
	if s.buf.waiting.n > 0 {
		s.count(s.buf.expire(at.now()))
	}
	return s.buf.dropped
}

// Err is what ended the subscription; nil while it is open, and after Close.
func (s *Subscription[T]) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Close ends the subscription and drops what waits in its buffer. Closing twice is fine.
func (s *Subscription[T]) Close() {
	s.finish(nil, true)
	s.group.remove(s)
}

// finish ends the subscription once. What is in the buffer is still delivered, unless drop says otherwise.
func (s *Subscription[T]) finish(err error, drop bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.err = err
		s.endLocked()
	}
	if drop {
		s.closed = true
		s.buf = buffer[T]{limit: s.buf.limit, policy: s.buf.policy, dropped: s.buf.dropped}
		if s.quit != nil {
			select {
			case <-s.quit:
			default:
				close(s.quit)
			}
		}
	}
}

func (s *Subscription[T]) endLocked() {
	s.ended = true
	close(s.wake)
}

// put puts items into the buffer and wakes a consumer. It answers how many messages were taken in and how many dropped, and
// that the subscription has ended because its consumer is slow.
func (s *Subscription[T]) put(items []item[T], at *moment) (taken, dropped int, slow bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return 0, 0, false
	}
	for i := range items {
		if items[i].gap != nil {
			s.buf.missed(items[i].gap)
			continue
		}
		n, in, slow := s.buf.push(items[i].frame, at)
		dropped += n
		if in {
			taken++
		}
		if slow {
			s.err = ErrSlowConsumer
			s.endLocked()
			return taken, dropped, true
		}
	}
	if s.idle > 0 {
		s.wakeLocked()
	}
	return taken, dropped, false
}

func (s *Subscription[T]) wakeLocked() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// state is what a consumer does next.
type state uint8

const (
	more   state = iota
	quiet        // ctx ended, or the subscription was closed
	broken       // the error ended the subscription
)

// take waits for what comes next.
func (s *Subscription[T]) take(ctx context.Context) (*Message[T], state, error) {
	done, waited := ctx.Done(), false
	for {
		s.mu.Lock()
		if waited {
			s.idle--
		}
		select {
		case <-done:
			s.passOnLocked()
			s.mu.Unlock()
			return nil, quiet, context.Cause(ctx)
		default:
		}
		f, gap, dropped := s.buf.pop()
		if dropped > 0 {
			s.count(dropped)
		}
		if f != nil || gap != nil {
			s.passOnLocked()
			s.mu.Unlock()
			if gap != nil {
				return nil, more, gap
			}
			m, err := f.message(s.group)
			return m, more, err
		}
		if s.ended {
			err := s.err
			s.mu.Unlock()
			if err != nil {
				return nil, broken, err
			}
			return nil, quiet, ErrClosed
		}
		s.idle++
		waited = true
		s.mu.Unlock()
		select {
		case <-s.wake:
		case <-done:
		}
	}
}

// passOnLocked wakes the next consumer where there is something left for one.
func (s *Subscription[T]) passOnLocked() {
	if s.idle > 0 && !s.ended && !s.buf.empty() {
		s.wakeLocked()
	}
}

// count adds to the client's counter what the reader did not see dropped.
func (s *Subscription[T]) count(dropped int) {
	s.group.client.counts.dropped.Add(uint64(dropped))
}
