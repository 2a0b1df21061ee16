package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/conn"
	"github.com/tidemill/tidemill/internal/loop"
)

// session is one subscribed connection.
type session struct {
	sub      *redis.PubSub
	channels []string
	handler  Handler
	arrived  atomic.Int64 // replies and messages so far: its growth is the sign of life
	busy     atomic.Bool  // the handler runs, so nothing is read and silence says nothing
	silent   atomic.Bool  // the watcher gave the connection up
	// noReconnect is an ended context. PubSub dials again by itself when a read
	// fails, under a lock that Close needs; a dialer that heeds this context (all
	// of package conn's do) refuses, and the loop around us decides when to try again.
	noReconnect context.Context
}

// listen subscribes and feeds the handler until the connection breaks or ctx ends.
func listen(ctx context.Context, client redis.UniversalClient, channels []string, h Handler) error {
	ended, end := context.WithCancel(context.Background())
	end()
	s := &session{sub: client.Subscribe(ctx), channels: channels, handler: h, noReconnect: ended}
	defer func() { _ = s.sub.Close() }()

	early, err := s.subscribe(ctx)
	if err != nil {
		return err
	}
	defer s.closeWith(ctx)()
	h.Connected()
	for _, m := range early {
		h.Message(m.Channel, m.Payload)
	}

	watching, stop := context.WithCancel(ctx)
	var watcher sync.WaitGroup
	watcher.Go(func() { s.watch(watching) })
	defer watcher.Wait()
	defer stop()
	return s.read(ctx)
}

// closeWith closes the connection when ctx ends, since go-redis does not
// interrupt a read then. The function it returns calls that off, or waits until
// it is done.
func (s *session) closeWith(ctx context.Context) (release func()) {
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		_ = s.sub.Close()
	})
	return func() {
		if !stop() {
			<-done
		}
	}
}

// subscribe waits until every channel is confirmed, and returns the messages
// that arrived between the confirmations.
func (s *session) subscribe(ctx context.Context) (early []*redis.Message, err error) {
	ctx, cancel := context.WithTimeout(ctx, connecting)
	defer cancel()
	// The deadline bounds the handshake. Closing meanwhile would only wait for it,
	// on the lock that go-redis holds, hence closeWith after it.
	if err := s.sub.Subscribe(ctx, s.channels...); err != nil {
		if errors.Is(err, redis.ErrClosed) && ctx.Err() == nil {
			return nil, loop.Permanent(fmt.Errorf("bus: subscribe: %w", err))
		}
		return nil, fmt.Errorf("bus: subscribe: %w", conn.Classify(err))
	}
	defer s.closeWith(ctx)()
	for confirmed := 0; confirmed < len(s.channels); {
		got, err := s.receive()
		if redis.IsPermissionError(err) {
			return nil, loop.Permanent(fmt.Errorf("bus: subscribe to %q: %w", s.channels, err))
		}
		if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, fmt.Errorf("bus: subscribe: %w: not confirmed within %v", conn.ErrUnavailable, connecting)
		}
		if err != nil {
			return nil, fmt.Errorf("bus: subscribe: %w", conn.Classify(err))
		}
		switch got := got.(type) {
		case *redis.Subscription:
			confirmed++
		case *redis.Message:
			early = append(early, got)
		}
	}
	return early, nil
}

// read feeds the handler until the connection breaks.
func (s *session) read(ctx context.Context) error {
	for {
		got, err := s.receive()
		if s.silent.Load() {
			return fmt.Errorf("bus: receive: %w: no sign of life for %v", conn.ErrUnavailable, silence+patience)
		}
		if err != nil {
			return fmt.Errorf("bus: receive: %w", conn.Classify(err))
		}
		if ctx.Err() != nil { // closed, with messages still in the buffer
			return context.Cause(ctx)
		}
		if m, ok := got.(*redis.Message); ok {
			s.busy.Store(true)
			s.handler.Message(m.Channel, m.Payload)
			s.busy.Store(false)
		}
	}
}

// receive reads without a deadline: one that struck in the middle of a message
// would leave the rest to be read as the next. The watcher ends a dead read.
func (s *session) receive() (any, error) {
	got, err := s.sub.ReceiveTimeout(s.noReconnect, 0)
	s.arrived.Add(1)
	return got, err
}

// watch pings a connection on which nothing arrives, and closes one that does
// not answer, so that the read on it fails. It ends with ctx.
func (s *session) watch(ctx context.Context) {
	for {
		before := s.arrived.Load()
		if loop.Sleep(ctx, silence) != nil {
			return
		}
		if s.arrived.Load() != before || s.busy.Load() {
			continue
		}
		failed := s.sub.Ping(s.noReconnect) != nil
		if !failed && loop.Sleep(ctx, patience) != nil {
			return
		}
		if failed || s.arrived.Load() == before {
			s.silent.Store(true)
			_ = s.sub.Close()
			return
		}
	}
}
