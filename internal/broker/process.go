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

// Wait is what an Await waits for: tokens of the wake lists of queues (where Wake says so), of the due list of any, or
// one of poke of the first, which this process pushes to itself.
type Wait struct {
	Timeout  time.Duration // 0 = for ever
	Queues   []*keys.Queue
	Wake     []bool // for each of Queues
	First    int    // whose wake list is looked at first, from 0: where several have tokens, they are served by turns
	Instance string // of the process
}

// lists answers the names of the lists, and the tokens that they hold; the last list has none.
func (x *Wait) lists() ([]string, []Token) {
	lists := make([]string, 0, 2*len(x.Queues)+1)
	places := make([]Token, 0, 2*len(x.Queues))
	for i, q := range x.Queues { // these first: they are few, and their jobs have a time
		lists, places = append(lists, q.Key(keys.Due)), append(places, Token{Place: i, Due: true})
	}
	for i := range x.Queues {
		if i = (x.First + i) % len(x.Queues); x.Wake[i] {
			lists, places = append(lists, x.Queues[i].Key(keys.Wake)), append(places, Token{Place: i})
		}
	}
	return append(lists, x.Queues[0].Poke(x.Instance)), places
}

// popped reads the answer of a blocking pop.
func popped(lists []string, places []Token, answer []string, err error) (Token, bool, error) {
	if err == redis.Nil {
		return Token{}, false, nil
	}
	if err != nil { // Redis does not say which of the lists is none; the heartbeat finds out
		return Token{}, false, typedKey(err, strings.Join(lists, " or "))
	}
	for i := range places {
		if len(answer) > 0 && lists[i] == answer[0] {
			return places[i], true, nil
		}
	}
	return Token{}, false, nil
}

// Await blocks until a token can be popped. It answers false when nothing came in time. A cancelled context does not end
// the wait; closing the client does.
func (b *Broker) Await(ctx context.Context, x *Wait) (Token, bool, error) {
	lists, places := x.lists()
	answer, err := b.rdb.BLPop(ctx, x.Timeout, lists...).Result()
	return popped(lists, places, answer, err)
}

// AwaitAndExchange is Await with an exchange sent behind it on the same connection: Redis carries it out the moment the
// wait ends, whatever ended it, without a round trip between the two. The client is one that waits long enough for a
// pipeline's replies (conn.Line.Patient). The last error is the exchange's, as Exchange answers it.
func (b *Broker) AwaitAndExchange(ctx context.Context, x *Wait, call *Exchange) (token Token, ok bool, out Exchanged, err, claimErr error) {
	lists, places := x.lists()
	args := make([]any, 0, len(lists)+2)
	args = append(args, "BLPOP")
	for _, list := range lists {
		args = append(args, list)
	}
	args = append(args, strconv.FormatFloat(x.Timeout.Seconds(), 'f', -1, 64))
	pop, claim := redis.NewStringSliceCmd(ctx, args...), b.command(ctx, call.call())
	pipe := b.rdb.Pipeline()
	_ = pipe.Process(ctx, pop) // queues it; errors come with Exec
	_ = pipe.Process(ctx, claim.Cmder)
	_, execErr := pipe.Exec(ctx)
	token, ok, err = popped(lists, places, pop.Val(), pop.Err())
	r, claimErr := claim.piped(execErr)
	if claimErr == nil {
		claimErr = out.read(r, call)
	}
	return token, ok, out, err, claimErr
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
