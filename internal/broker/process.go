package broker

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/keys"
)

// AdoptTTL answers the session TTL of the namespace, which the first process to ask sets: all must agree on it. On a
// full Redis workers must start too, so it is read first, and then what could not be written holds.
func (b *Broker) AdoptTTL(ctx context.Context, want time.Duration) (time.Duration, error) {
	key := b.space.Settings()
	text, err := b.rdb.HGet(ctx, key, "ttl").Result()
	if err == redis.Nil {
		err = typedKey(b.rdb.HSetNX(ctx, key, "ttl", want.Milliseconds()).Err(), key)
		if errors.Is(err, ErrFull) {
			return want, nil
		}
		if err == nil { // another process may have been quicker
			text, err = b.rdb.HGet(ctx, key, "ttl").Result()
		}
	}
	if err != nil {
		return 0, typedKey(err, key)
	}
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil || ms < 1 {
		return 0, &KeyTypeError{Key: key}
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// TTL answers the session TTL of the namespace, 0 where no worker ever set one.
func (b *Broker) TTL(ctx context.Context) (time.Duration, error) {
	key := b.space.Settings()
	ms, err := b.rdb.HGet(ctx, key, "ttl").Int64()
	if err == redis.Nil {
		return 0, nil
	}
	return time.Duration(ms) * time.Millisecond, typedKey(err, key)
}

// SetTTL changes the session TTL of the namespace; workers adopt it when they start.
func (b *Broker) SetTTL(ctx context.Context, ttl time.Duration) error {
	return typedKey(b.rdb.HSet(ctx, b.space.Settings(), "ttl", ttl.Milliseconds()).Err(), b.space.Settings())
}

// Token is one wake or due token popped off a queue's list.
type Token struct {
	Place int // in the queues given to Await
	Due   bool
}

// Await blocks until a token can be popped: off the wake list of a queue (where wake says so), the due list of any, or
// poke of the first, which this process pushes to itself. It answers false when nothing came in time. A cancelled
// context does not end the wait; closing the client does.
func (b *Broker) Await(ctx context.Context, timeout time.Duration, queues []*keys.Queue, wake []bool, instance string) (Token, bool, error) {
	lists := make([]string, 0, 2*len(queues)+1)
	places := make([]Token, 0, 2*len(queues)+1)
	for i, q := range queues {
		if wake[i] {
			lists, places = append(lists, q.Key(keys.Wake)), append(places, Token{Place: i})
		}
		lists, places = append(lists, q.Key(keys.Due)), append(places, Token{Place: i, Due: true})
	}
	lists = append(lists, queues[0].Poke(instance))
	popped, err := b.rdb.BLPop(ctx, timeout, lists...).Result()
	if err == redis.Nil {
		return Token{}, false, nil
	}
	if err != nil { // Redis does not say which of the lists is none; the heartbeat finds out
		return Token{}, false, typedKey(err, strings.Join(lists, " or "))
	}
	for i, list := range lists[:len(places)] {
		if list == popped[0] {
			return places[i], true, nil
		}
	}
	return Token{}, false, nil
}

// Poke ends an Await of this process that waits on the queues of which q is the first. Should the process be gone the
// key leaves by itself.
func (b *Broker) Poke(ctx context.Context, q *keys.Queue, instance string) error {
	key := q.Poke(instance)
	_, err := b.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.RPush(ctx, key, "1")
		p.PExpire(ctx, key, 10*time.Second)
		return nil
	})
	return err
}
