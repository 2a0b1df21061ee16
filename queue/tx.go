package queue

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/backoff"
	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/loop"
)

// Pending is a job queued on a transaction that is not executed yet.
type Pending struct {
	ID       uuid.UUID
	lanes    *lanes
	item     broker.Item // what is told of it, where something is
	told     atomic.Bool
	enqueued broker.Enqueued
	named    redis.Cmder // writes the queue's name; nil in Cluster
}

// Result answers, once the transaction was executed, whether the job was created: nil, or one of Enqueue's errors;
// ErrConflict where a watched key changed, and nothing was done.
func (p *Pending) Result() error {
	outcomes, err := p.enqueued()
	switch {
	case err == nil:
		if p.lanes.tells && !p.told.Swap(true) {
			p.lanes.created([]broker.Item{p.item}, outcomes)
		}
		return outcome(outcomes[0], p.ID)
	case errors.Is(err, broker.ErrBadReply):
		return fmt.Errorf("%w: the transaction was not executed, or not to its end: %w", ErrOutcomeUnknown, err)
	case err.Error() == redis.TxFailedErr.Error(): // package broker knows only its text
		return fmt.Errorf("%w: a watched key changed", ErrConflict)
	case p.named != nil && errors.Is(outward(p.named.Err()), ErrRedisFull): // err tells only that the transaction was aborted
		return outward(p.named.Err())
	}
	return uncertain(err, true)
}

// EnqueueTx queues a job on the caller's own transaction (a TxPipeline): it is created when the transaction is carried
// out, and only then. A full Redis refuses the transaction as a whole; of a duplicate only the job is left out, and as
// Redis does not roll back the rest is carried out: look at Result after Exec.
//
// It adds two commands to the transaction, of which the first writes the queue's name. In Cluster everything in a
// transaction must be in one hash slot: use keys with the tag {queue name}. There the name is written by a call before.
//
// A Durability, also the client's, is ErrInvalid: Redis does not wait within a transaction. Durable(Durability{}) goes without.
func (c *Client) EnqueueTx(ctx context.Context, pipe redis.Pipeliner, args Args, options ...Option) (*Pending, error) {
	b, err := c.build(nil, args, nil, options)
	if err != nil {
		return nil, err
	}
	if !b.durable.none() {
		return nil, invalid("durability", fmt.Sprintf("%+v in a transaction", b.durable), "none, as nothing can wait within MULTI: "+
			"give Durable(Durability{}), or enqueue outside of a transaction")
	}
	l, item := b.lanes, b.item
	if err := l.doubts.settled(ctx, &item); err != nil {
		return nil, err
	}
	p := &Pending{ID: item.ID, lanes: l}
	if l.tells {
		p.item = item
	}
	if c.conn.Cluster() {
		if err := outward(l.list(ctx)); err != nil {
			return nil, err
		}
	} else { // never by a call of its own: within Watch the pool's connections may all be taken by those who wait here
		p.named = pipe.SAdd(ctx, c.space.Queues(), l.keys.Name())
	}
	// A producer of its own: a client that sends the whole transaction twice creates the job once.
	stamp := broker.Stamp{Producer: uuid.New(), Lane: 0, Seq: 1}
	p.enqueued = c.broker.EnqueueTx(ctx, pipe, l.keys, stamp, []broker.Item{item})
	return p, nil
}

// watchTries bounds the tries of a transaction that keeps colliding.
const watchTries = 50

var watchPolicy = backoff.Policy{Base: 2 * time.Millisecond, Cap: 200 * time.Millisecond, Factor: 2, Jitter: 0.5}

// Watch runs an optimistic transaction: fn reads through tx, then queues writes (and jobs, with EnqueueTx) on
// tx.TxPipelined. When a watched key changed meanwhile nothing was written, and fn is called again after a short wait,
// up to 50 times (then ErrConflict) or until ctx ends. An error of fn ends it and is returned. When the connection broke
// on the way the transaction is not repeated: the error is ErrOutcomeUnknown.
func (c *Client) Watch(ctx context.Context, fn func(tx *redis.Tx) error, keys ...string) error {
	if err := c.closed(); err != nil {
		return err
	}
	tries := 0
	return loop.Retry(ctx, watchPolicy, func(ctx context.Context) error {
		err := c.conn.Shared().Watch(ctx, fn, keys...)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, redis.TxFailedErr):
			return loop.Permanent(uncertain(err, false))
		}
		if tries++; tries == watchTries {
			return loop.Permanent(fmt.Errorf("%w: the keys %q changed during each of %d tries", ErrConflict, keys, tries))
		}
		return err
	}, nil)
}
