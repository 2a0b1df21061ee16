package queue

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/conn"
	"github.com/tidemill/tidemill/internal/keys"
)

// spareForExpress is how much of the connection budget must be left for workers and subscriptions.
const spareForExpress = 8

// newExpress is the connection for enqueue calls that have it to themselves, closed where there is none to be had: whether TLS
// was ended by the other side cannot be seen without reading.
func newExpress(set *conn.Set, space keys.Space) *broker.Express {
	if set.OneServer() && !set.Encrypted() && set.Left() > spareForExpress {
		if raw, err := set.Raw("enqueue"); err == nil {
			x := broker.NewExpress(func(ctx context.Context) (net.Conn, error) { return raw.Dial(ctx, "") }, raw.Close, set.ReadTimeout())
			x.AllowDirect(space.Unused())
			return x
		}
	}
	x := broker.NewExpress(nil, func() {}, 0)
	x.Close()
	return x
}

// express makes the call on the express connection, which is taken. Its error is nil too where it has to be made another way
// and surely was not carried out: there are no outcomes then.
func (l *lanes) express(ctx context.Context, start time.Time, stamp broker.Stamp, items []broker.Item) ([]broker.Outcome, error) {
	if err := l.list(ctx); err != nil {
		return nil, err
	}
	x := l.client.express
	if err := x.Send(&broker.Call{Batch: broker.Batch{Queue: l.keys, Stamp: stamp, Items: items}, Start: start}); err != nil {
		return nil, err
	}
	outcomes, answered, err := x.Receive()
	if answered && broker.Unanswered(err) {
		return nil, nil
	}
	return outcomes, err
}

// alone makes the call for one job by its caller, with the express connection taken: nobody is woken, and nobody waits. Where
// it fails others see to it, and the caller may leave.
func (l *lanes) alone(ctx context.Context, s *sharing, item broker.Item) error {
	one, start := l.take(), time.Now()
	stamp, items := l.stamp(one), []broker.Item{item}
	l.client.express.While(ctx, 0)
	outcomes, err := l.express(ctx, start, stamp, items)
	l.client.express.Free()
	away := errors.Is(outward(err), ErrUnavailable)
	if err == nil && outcomes != nil || err != nil && !away {
		return l.landed(s, one, items, outcomes, outward(err))
	}
	if away && ctx.Err() == nil {
		l.client.conn.Refresh()
	}
	done := make(chan error, 1)
	go func() {
		outcomes, err := l.carry(l.client.life, start, err, stamp, items)
		done <- l.landed(s, one, items, outcomes, err)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrOutcomeUnknown, context.Cause(ctx))
	}
}

// landed ends the call for one job, and sees to those who came meanwhile.
func (l *lanes) landed(s *sharing, one *lane, items []broker.Item, outcomes []broker.Outcome, err error) error {
	l.give(one, items, err)
	if l.tells && err == nil {
		l.created(items, outcomes)
	}
	if errors.Is(err, ErrUnavailable) {
		l.turnAway(s, err)
	}
	l.mu.Lock()
	waiting := len(s.waiting) > 0
	if !waiting {
		l.landLocked(s)
	}
	l.mu.Unlock()
	if waiting {
		go l.fly(s)
	}
	if err != nil {
		return err
	}
	return outcome(outcomes[0], items[0].ID)
}
