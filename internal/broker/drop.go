package broker

import (
	"context"
	"errors"

	"github.com/tidemill/tidemill/internal/keys"
)

// Drop forgets a queue and its keys. Where it holds a job, or a live session serves it, nothing is done: ok is false then,
// and alive is how many sessions live.
func (b *Broker) Drop(ctx context.Context, q *keys.Queue) (ok bool, alive int, err error) {
	until, err := b.deadline(ctx, q.Key(keys.Meta))
	if err != nil {
		return false, 0, err
	}
	r, _, word, err := b.withKeys(ctx, dropScript, q, func(session string) []string {
		return []string{q.Running(session), q.Lanes(session)}
	}, until)
	if err != nil {
		return false, 0, err
	}
	alive = int(r.Number())
	return word == "OK", alive, r.Err
}

// RemoveQueue takes a queue's name off the listings. A queue that was used again meanwhile stays: its name is put back.
func (b *Broker) RemoveQueue(ctx context.Context, q *keys.Queue) error {
	key := b.space.Queues()
	if err := b.rdb.SRem(ctx, key, q.Name()).Err(); err != nil {
		return typedKey(err, key)
	}
	used, err := b.rdb.Exists(ctx, q.Key(keys.Jobs)).Result()
	sessions, err2 := b.rdb.Exists(ctx, q.Key(keys.Sessions)).Result()
	if used+sessions > 0 || err != nil || err2 != nil {
		return errors.Join(err, err2, b.AddQueue(ctx, q))
	}
	return nil
}
