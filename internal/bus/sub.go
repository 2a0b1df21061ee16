package bus

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/tidemill/tidemill/internal/conn"
	"github.com/tidemill/tidemill/internal/loop"
)

// Sub is one subscription.
type Sub struct {
	hub      *Hub
	topic    *topic
	receiver Receiver
	ready    chan error
	left     bool        // guarded by the Hub's lock
	closed   bool        // guarded by the topic's
	at       int         // its place among the topic's live ones, guarded by the same
	ended    atomic.Bool // the receiver was told
}

// Subscribe subscribes r and returns when Redis has confirmed it; messages may come before that. Receivers of one name
// share its subscription, and concurrent calls share round trips.
//
// While Redis is away it goes on trying until ctx ends: the error is conn.ErrUnavailable then, or the cause of a ctx that
// was cancelled. Errors at once are conn.ErrPermission (the user may not use the channel), conn.ErrAuth, conn.ErrConfig (the
// connection budget is used up), ErrNoSharding, and one that conn.Closed tells.
func (h *Hub) Subscribe(ctx context.Context, kind Kind, name string, r Receiver) (*Sub, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	s := &Sub{hub: h, receiver: r, ready: make(chan error, 1), at: -1}
	confirmed, err := h.add(s, kind, name)
	switch {
	case err != nil:
	case confirmed:
		err = s.topic.join(s)
	default:
		select {
		case err = <-s.ready:
		case <-ctx.Done():
			err = h.Unconfirmed(ctx)
			s.Close()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("subscribe to %q: %w", name, err)
	}
	return s, nil
}

// Keep is Subscribe for a service: it goes on trying also while the server wants other credentials.
func (h *Hub) Keep(ctx context.Context, kind Kind, name string, r Receiver) (s *Sub, err error) {
	err = loop.Retry(ctx, again, func(ctx context.Context) error {
		if s, err = h.Subscribe(ctx, kind, name, r); errors.Is(err, conn.ErrAuth) {
			return err
		}
		return loop.Permanent(err)
	}, nil)
	return s, err
}

// Unconfirmed is the error of one who waited in vain until ctx ended: it says why there is no connection.
func (h *Hub) Unconfirmed(ctx context.Context) error {
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return context.Cause(ctx)
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.trouble != nil {
		return fmt.Errorf("%w: %w (%w)", conn.ErrUnavailable, context.Cause(ctx), h.trouble)
	}
	return fmt.Errorf("%w: not confirmed: %w", conn.ErrUnavailable, context.Cause(ctx))
}

// Close ends the subscription. When it returns its receiver is called no more, but for a call of Ended under way. Closing
// twice is fine.
func (s *Sub) Close() {
	if s.ended.Load() {
		return
	}
	s.hub.drop(s)
	t := s.topic
	t.mu.Lock()
	defer t.mu.Unlock()
	s.closed = true
	if s.at >= 0 {
		last := len(t.live) - 1
		t.live[s.at] = t.live[last]
		t.live[s.at].at = s.at
		t.live[last] = nil
		t.live, s.at = t.live[:last], -1
	}
}

// Leave is Close for use in the receiver's own methods: it does not wait, and calls may follow for a moment.
func (s *Sub) Leave() {
	h := s.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.running.Go(s.Close)
	}
}

// Confirmed returns when Redis has confirmed the subscription: at once, unless it is being made anew just now. Errors are
// those of Subscribe; the subscription itself goes on whatever they are.
func (s *Sub) Confirmed(ctx context.Context) error {
	if s.Stands() {
		return nil
	}
	other, err := s.hub.Subscribe(ctx, s.topic.kind, s.topic.name, nobody{})
	if err == nil {
		other.Close()
	}
	return err
}

// Stands tells that Redis has confirmed the subscription and it is not being made anew just now, or that it is over.
func (s *Sub) Stands() bool {
	s.hub.mu.RLock()
	defer s.hub.mu.RUnlock()
	return s.topic.acked || s.topic.deleted
}

// nobody is a Receiver to whom nothing matters.
type nobody struct{}

func (nobody) Message(string, []byte) {}
func (nobody) Missed(Gap)             {}
func (nobody) Ended(error)            {}
