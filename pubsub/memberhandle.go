package pubsub

import (
	"context"
	"errors"
	"sync"

	"github.com/tidemill/tidemill/internal/loop"
)

// Handle calls h for each message until ctx ends or the member is closed (nil), or something else ends it (that error). It
// waits for the handlers that run then. What h returns settles the message: nil acknowledges it; an error, a panic and a
// handler that ends its goroutine ask for another attempt after the group's backoff, or make the message dead if it was the
// last; Dead(err) makes it dead at once. An error after ctx has ended, or after the member was closed, counts as no attempt. A
// message that h settles itself stays as h said.
//
// The handler's context is one of ctx; it ends with ErrSessionLost where others have the message by now, and with ErrClosed
// where the member was closed. A gap goes to OnGap, else to the log. Errors: ErrInvalid too.
func (m *Member[T]) Handle(ctx context.Context, h Handler[T], options ...HandleOption) error {
	o := handleOptions{concurrency: 1}
	if err := gather(&o, options); err != nil {
		return err
	}
	if h == nil {
		return invalid("handler", "nil", "a function")
	}
	r := &serving[T]{member: m, ctx: ctx, handler: h, onGap: o.onGap, failed: loop.NewLimiter(0)}
	for range o.concurrency {
		r.workers.Go(r.work)
	}
	r.workers.Wait()
	return r.err
}

// serving is one Handle of a member under way.
type serving[T any] struct {
	member  *Member[T]
	ctx     context.Context
	handler Handler[T]
	onGap   func(ctx context.Context, g *Gap) // nil: a line in the log
	workers sync.WaitGroup
	failed  *loop.Limiter

	mu  sync.Mutex
	err error
}

// work handles one message after the other, until the end. A handler that ends its goroutine takes nothing away: another
// worker comes in the place of this one.
func (r *serving[T]) work() {
	through := false
	var session sessionContext
	defer func() {
		session.end()
		if !through {
			r.workers.Go(r.work)
		}
	}()
	for first := true; ; first = false {
		msg, d, state, err := r.member.next(r.ctx, first)
		switch {
		case state == quiet:
			through = true
			return
		case state == broken:
			r.mu.Lock()
			r.err = err
			r.mu.Unlock()
			through = true
			return
		case err != nil: // a gap, or a message that cannot be decoded and is dead by that
			r.tell(err)
		default:
			r.call(session.of(r.ctx, d), msg, d)
		}
	}
}

var errGoexit = errors.New("the handler ended its goroutine")

// call runs the handler on one message and settles it.
func (r *serving[T]) call(ctx context.Context, msg *Message[T], d *delivery) {
	err := errGoexit
	defer func() { r.settle(ctx, d, err) }()
	err = safely(ctx, r.handler, msg)
}

func (r *serving[T]) settle(ctx context.Context, d *delivery, err error) {
	switch {
	case err == nil:
		err = d.ack(ctx, "")
	case ctx.Err() != nil && !isDead(err):
		d.release()
		return
	default:
		r.log(err, d)
		err = d.nack(ctx, "", err)
	}
	if err != nil && !errors.Is(err, ErrInvalid) { // settled by the handler itself
		r.log(err, d)
	}
}

// tell passes on what came in place of a message.
func (r *serving[T]) tell(err error) {
	var gap *Gap
	if errors.As(err, &gap) && r.onGap != nil {
		r.onGap(r.ctx, gap)
		return
	}
	e := r.failed.Event(r.member.m.log.Warn()).Err(err)
	if gap != nil {
		e.Msg("messages may have been missed")
		return
	}
	e.Msg("message cannot be decoded")
}

// log tells of an attempt that failed; that it was the last is told as an error of its own.
func (r *serving[T]) log(err error, d *delivery) {
	r.failed.Event(r.member.m.log.Warn()).Err(err).Str("position", d.entry.Position).Int("attempt", d.entry.Deliveries).Msg("message failed")
}

// release gives a message back to the member, as if it had not been taken.
func (d *delivery) release() {
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	d.m.releaseLocked(d)
}

// sessionContext is a context of the caller's that ends with the member's session, kept from one message to the next.
type sessionContext struct {
	ctx   context.Context
	epoch uint64
	stop  func()
}

func (s *sessionContext) of(parent context.Context, d *delivery) context.Context {
	if s.ctx != nil && s.epoch == d.epoch {
		return s.ctx
	}
	s.end()
	d.m.mu.Lock()
	over, same := d.m.over, d.m.epoch == d.epoch
	d.m.mu.Unlock()
	ctx, cancel := context.WithCancelCause(parent)
	if !same { // the session ended between taking the message and this
		cancel(ErrSessionLost)
		return ctx
	}
	stop := context.AfterFunc(over, func() { cancel(context.Cause(over)) })
	s.ctx, s.epoch, s.stop = ctx, d.epoch, func() { stop(); cancel(nil) }
	return ctx
}

func (s *sessionContext) end() {
	if s.stop != nil {
		s.stop()
	}
	*s = sessionContext{}
}
