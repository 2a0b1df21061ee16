package broker

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/keys"
)

// Announce writes who a worker process is, for people; info is JSON.
func (b *Broker) Announce(ctx context.Context, instance string, info []byte) error {
	return typedKey(b.rdb.HSet(ctx, b.space.Workers(), instance, info).Err(), b.space.Workers())
}

// Withdraw removes worker processes from the listing, and their orders with them.
func (b *Broker) Withdraw(ctx context.Context, instances ...string) error {
	err := typedKey(b.rdb.HDel(ctx, b.space.Workers(), instances...).Err(), b.space.Workers())
	if err != nil {
		return err
	}
	return b.Dismiss(ctx, instances...)
}

// Workers reads the listing of worker processes: instance -> info.
func (b *Broker) Workers(ctx context.Context) (map[string]string, error) {
	all, err := b.rdb.HGetAll(ctx, b.space.Workers()).Result()
	return all, typedKey(err, b.space.Workers())
}

// Order tells a worker process what to do.
func (b *Broker) Order(ctx context.Context, instance, order string) error {
	until, err := b.deadline(ctx, b.space.Orders())
	if err != nil {
		return err
	}
	c := &call{script: orderScript}
	c.arg("EVALSHA", orderScript.Arg(), 1, b.space.Orders(), until, instance, order)
	_, err = b.do(ctx, c)
	return err
}

// levelMark is behind an instance in the field of the orders that holds its log level: it must not take the place of an
// order that was not read yet.
const levelMark = "/log-level"

// OrderLevel tells a worker process how much to log.
func (b *Broker) OrderLevel(ctx context.Context, instance, level string) error {
	return b.Order(ctx, instance+levelMark, level)
}

// Ordered reads the orders to a worker process: what to do and how much to log, "" where there is none.
func (b *Broker) Ordered(ctx context.Context, instance string) (order, level string, err error) {
	values, err := b.rdb.HMGet(ctx, b.space.Orders(), instance, instance+levelMark).Result()
	if err != nil {
		return "", "", typedKey(err, b.space.Orders())
	}
	order, _ = values[0].(string)
	level, _ = values[1].(string)
	return order, level, nil
}

// Orders reads which worker processes have an order.
func (b *Broker) Orders(ctx context.Context) ([]string, error) {
	fields, err := b.rdb.HKeys(ctx, b.space.Orders()).Result()
	for i := range fields {
		fields[i] = strings.TrimSuffix(fields[i], levelMark)
	}
	slices.Sort(fields)
	return slices.Compact(fields), typedKey(err, b.space.Orders())
}

// Dismiss forgets orders.
func (b *Broker) Dismiss(ctx context.Context, instances ...string) error {
	fields := slices.Clone(instances)
	for _, instance := range instances {
		fields = append(fields, instance+levelMark)
	}
	return typedKey(b.rdb.HDel(ctx, b.space.Orders(), fields...).Err(), b.space.Orders())
}

// Serving names a session of a queue.
type Serving struct {
	Queue   *keys.Queue
	Session string
}

// Life is what is known of a session: when it expires (ms; -1 = lost; 0 = it is not there), and how many jobs it holds.
type Life struct{ Expiry, Running int64 }

// lifeBatch is how many sessions are looked at in one pipeline.
const lifeBatch = 500

// Lives looks at sessions, all at their own time: nothing here depends on their being seen at once.
func (b *Broker) Lives(ctx context.Context, sessions []Serving) (now time.Time, lives []Life, err error) {
	now, err = b.rdb.Time(ctx).Result()
	if err != nil {
		return now, nil, err
	}
	lives = make([]Life, len(sessions))
	for from := 0; from < len(sessions); from += lifeBatch {
		part := sessions[from:min(from+lifeBatch, len(sessions))]
		pipe := b.rdb.Pipeline()
		scores, sizes := make([]*redis.FloatCmd, len(part)), make([]*redis.IntCmd, len(part))
		for i, s := range part {
			scores[i] = pipe.ZScore(ctx, s.Queue.Key(keys.Sessions), s.Session)
			sizes[i] = pipe.ZCard(ctx, s.Queue.Running(s.Session))
		}
		_, execErr := pipe.Exec(ctx)
		for i := range part {
			life := &lives[from+i]
			var reply redis.Error
			for _, err := range []error{scores[i].Err(), sizes[i].Err()} {
				if err != nil && !errors.As(err, &reply) { // what Redis says of one key is no reason to hide the others
					return now, nil, errors.Join(err, execErr)
				}
			}
			life.Expiry, life.Running = int64(scores[i].Val()), sizes[i].Val()
		}
	}
	return now, lives, nil
}
