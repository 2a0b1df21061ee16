package queue

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/backoff"
	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/conn"
	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/loop"
)

// lanes is one queue as this producer sees it: the lanes on which its calls travel, and the single enqueues that wait
// to share a call.
type lanes struct {
	client *Client
	keys   *keys.Queue
	tells  bool         // events of its jobs are published
	listed atomic.Int64 // when the queue's name was written, as it must be before its first use; 0 = not yet

	can    atomic.Int32 // the kinds of waits that its server is known to know
	doubts doubts

	mu      sync.Mutex
	free    []*lane
	opened  uint32
	plain   sharing                 // of jobs without a Durability
	durable map[Durability]*sharing // of the others, while there are any
}

// sharing is single enqueues of one queue and Durability, which wait to share a call.
type sharing struct {
	durable Durability
	waiting []*waiter
	flying  int  // who send shared calls, one at a time each or as a convoy
	convoy  bool // there is a convoy
}

// sharingLocked answers the one for a Durability.
func (l *lanes) sharingLocked(d Durability) *sharing {
	if d.none() {
		return &l.plain
	}
	s := l.durable[d]
	if s == nil {
		if s = (&sharing{durable: d}); l.durable == nil {
			l.durable = make(map[Durability]*sharing)
		}
		l.durable[d] = s
	}
	return s
}

// lane numbers calls, so that one that is sent twice is done once. It has one call under way at a time.
type lane struct {
	id   uint32
	seq  uint64
	used time.Time // when a call of it was last carried out; zero = never
}

// recordedFor is for how long after its last call a lane is held to have its record, which the server keeps for 10 minutes.
const recordedFor = 5 * time.Minute

// queue answers the lanes of a queue by name.
func (c *Client) queue(name string) (*lanes, error) {
	if err := c.closed(); err != nil {
		return nil, err
	}
	if l, ok := c.queues.Load(name); ok {
		return l.(*lanes), nil
	}
	q, err := c.space.Queue(name)
	if err != nil {
		return nil, fmt.Errorf("%w %w", ErrInvalid, err)
	}
	l, _ := c.queues.LoadOrStore(name, &lanes{client: c, keys: q, tells: c.tells(name)})
	return l.(*lanes), nil
}

// take answers a free lane, a new one if need be.
func (l *lanes) take() *lane {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.free); n > 0 {
		one := l.free[n-1]
		l.free = l.free[:n-1]
		return one
	}
	l.opened++
	return &lane{id: l.opened}
}

// give takes a lane back from a call of such items. One whose last call may still arrive somewhere, or was answered by nothing
// that can be read, is dropped instead: its numbers are not safe.
func (l *lanes) give(one *lane, items []broker.Item, err error) {
	if errors.Is(err, ErrOutcomeUnknown) || errors.Is(err, broker.ErrBadReply) {
		l.doubts.add(items...)
		return
	}
	if err == nil {
		one.used = time.Now()
	}
	l.mu.Lock()
	l.free = append(l.free, one)
	l.mu.Unlock()
}

// stamp numbers the lane's next call.
func (l *lanes) stamp(one *lane) broker.Stamp {
	one.seq++
	return broker.Stamp{Producer: l.client.producer, Lane: one.id, Seq: one.seq, Recorded: time.Since(one.used) < recordedFor}
}

const (
	// listEvery is how often the name is written again: an operator may have deleted the queue meanwhile.
	listEvery = time.Minute
	// listFor is how long a job waits for that in a Cluster, and listAgain when it is tried again if the server was away.
	listFor   = time.Second
	listAgain = 10 * time.Second
)

// list writes the queue's name where listings look, unless it was written of late. In a Cluster that may be another server
// than the queue's own: while it is away the queue is used all the same. Its name is written later, by its workers too.
func (l *lanes) list(ctx context.Context) error {
	now := time.Now()
	if l.known(now) {
		return nil
	}
	within, elsewhere := ctx, l.client.conn.Cluster()
	if elsewhere {
		var cancel context.CancelFunc
		within, cancel = context.WithTimeout(ctx, listFor)
		defer cancel()
	}
	switch err := l.client.broker.AddQueue(within, l.keys); {
	case err == nil:
		l.listed.Store(now.UnixNano())
	case elsewhere && ctx.Err() == nil && (within.Err() != nil || conn.Retryable(err)):
		l.listed.Store(time.Now().Add(listAgain - listEvery).UnixNano())
	default:
		return prelude{err}
	}
	return nil
}

// known tells whether the name was written of late.
func (l *lanes) known(now time.Time) bool {
	at := l.listed.Load()
	return at != 0 && now.UnixNano()-at < int64(listEvery)
}

// prelude is the failure of what goes before a call: the call itself was not sent.
type prelude struct{ error }

func (p prelude) Unwrap() error { return p.error }

var resendPolicy = backoff.Policy{Base: 20 * time.Millisecond, Cap: time.Second, Factor: 2, Jitter: 0.5}

// resend makes a stamped call until it is answered. A Redis that refuses connections is waited for, for a short time;
// a call whose outcome is unknown is sent again for longer, unchanged: the stamp keeps it from being done twice.
func (c *Client) resend(ctx context.Context, call func(context.Context) error) error {
	return c.resendAfter(ctx, time.Now(), nil, call)
}

// resendAfter is resend where the first try was made already, at start, and failed so; nil = it was not.
func (c *Client) resendAfter(ctx context.Context, start time.Time, failed error, call func(context.Context) error) error {
	ctx, cancel := context.WithDeadline(ctx, start.Add(resendFor))
	defer cancel()
	sent, hidden := false, false
	if failed = outward(failed); errors.Is(failed, ErrUnavailable) {
		sent = !refused(failed)
	} else if failed != nil {
		return failed
	}
	err := loop.Retry(ctx, resendPolicy, func(ctx context.Context) error {
		err := outward(call(ctx))
		if err == nil || !errors.Is(err, ErrUnavailable) {
			return loop.Permanent(err)
		}
		c.conn.Refresh()
		sent = sent || !refused(err)
		hidden = hidden || c.retries && !errors.As(err, new(prelude))
		if c.life.Err() != nil || !sent && time.Since(start) > connectFor {
			return loop.Permanent(err)
		}
		return err
	}, nil)
	switch {
	case err == nil:
		return nil
	case (sent || hidden) && !errors.Is(err, broker.ErrStale):
		// Also where the last try was refused, as by a full Redis: one before it may have been carried out, or will be yet.
		return fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
	case errors.Is(err, ErrClosed):
		return err
	case c.life.Err() != nil:
		return fmt.Errorf("%w: %w", ErrClosed, err)
	}
	return err
}

// refused tells a call that surely was not carried out: no connection could be made or had, or Redis itself said that it
// does not serve now.
func refused(err error) bool {
	var op *net.OpError
	var reply redis.Error
	return errors.As(err, &op) && op.Op == "dial" || errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, broker.ErrExpired) ||
		errors.As(err, new(prelude)) || errors.As(err, &reply)
}
