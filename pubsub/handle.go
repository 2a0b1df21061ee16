package pubsub

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/tidemill/tidemill/internal/loop"
)

// Handle calls h for each message until ctx ends or the subscription is closed (nil), or something else ends it (that
// error). It waits for the handlers that run then; their context is one of ctx. An error or panic of h is logged, at most
// one line each 10 s, and counted (Stats.Failed). Errors: ErrInvalid too.
func (s *Subscription[T]) Handle(ctx context.Context, h Handler[T], options ...HandleOption) error {
	o := handleOptions{concurrency: 1}
	if err := gather(&o, options); err != nil {
		return err
	}
	if h == nil {
		return invalid("handler", "nil", "a function")
	}
	r := &handling[T]{sub: s, ctx: ctx, handler: h, onGap: o.onGap}
	if r.onGap == nil {
		r.onGap = r.logGap
	}
	for range o.concurrency {
		r.workers.Go(r.work)
	}
	r.workers.Wait()
	return r.err
}

// handling is one Handle under way.
type handling[T any] struct {
	sub     *Subscription[T]
	ctx     context.Context
	handler Handler[T]
	onGap   func(ctx context.Context, g *Gap)
	workers sync.WaitGroup
	failed  loop.Limiter
	odd     loop.Limiter
	gaps    loop.Limiter

	mu  sync.Mutex
	err error
}

// work handles one message after the other, until the end. A handler that ends its goroutine takes nothing away: another
// worker comes in the place of this one.
func (r *handling[T]) work() {
	through := false
	defer func() {
		if !through {
			r.failure(errors.New("the handler ended its goroutine"), nil)
			r.workers.Go(r.work)
		}
	}()
	for {
		m, state, err := r.sub.take(r.ctx)
		switch {
		case state == broken:
			r.mu.Lock()
			r.err = err
			r.mu.Unlock()
			through = true
			return
		case state == quiet:
			through = true
			return
		case m == nil:
			r.tell(err)
			continue
		}
		if err := safely(r.ctx, r.handler, m); err != nil {
			r.failure(err, m)
		}
	}
}

// failure counts and logs what went wrong with a handler.
func (r *handling[T]) failure(err error, m *Message[T]) {
	client := r.sub.group.client
	client.counts.failed.Add(1)
	line := r.failed.Event(client.config.Logger.Error()).Err(err)
	if m != nil {
		line = line.Str("topic", m.Topic).Stringer("id", m.ID)
	}
	line.Msg("handler failed")
}

// safely makes a handler's panic an error.
func safely[T any](ctx context.Context, h Handler[T], m *Message[T]) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return h(ctx, m)
}

// tell passes on what came in place of a message.
func (r *handling[T]) tell(err error) {
	var gap *Gap
	if errors.As(err, &gap) {
		r.onGap(r.ctx, gap)
		return
	}
	r.odd.Event(r.sub.group.client.config.Logger.Warn()).Err(err).Msg("message left out")
}

func (r *handling[T]) logGap(_ context.Context, g *Gap) {
	r.gaps.Event(r.sub.group.client.config.Logger.Warn()).Str("topic", r.sub.group.key.name).Time("from", g.From).Time("to", g.To).
		Uint64("missed", g.Missed).Str("reason", g.Reason).Msg("messages may have been missed")
}
