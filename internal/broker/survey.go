package broker

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/keys"
)

// Survey is what is known of a queue at a glance: the sizes of its fixed keys, when its sessions expire (ms; -1 = lost), and
// its counters.
type Survey struct {
	Sizes    [keys.Fixed]int64
	Sessions map[string]int64
	Meta     map[string]string
}

// Survey reads it. The error is a KeyTypeError where a key holds another type.
func (b *Broker) Survey(ctx context.Context, q *keys.Queue) (Survey, error) {
	s := Survey{Sessions: make(map[string]int64)}
	pipe := b.rdb.Pipeline()
	var sizes [keys.Fixed]*redis.IntCmd
	for i := range sizes {
		switch key := q.Key(i); i {
		case keys.Jobs, keys.State, keys.Producers, keys.Results, keys.Cancels, keys.Meta:
			sizes[i] = pipe.HLen(ctx, key)
		case keys.Scheduled, keys.Sessions, keys.Dead, keys.Finished:
			sizes[i] = pipe.ZCard(ctx, key)
		default:
			sizes[i] = pipe.LLen(ctx, key)
		}
	}
	sessions := pipe.ZRangeWithScores(ctx, q.Key(keys.Sessions), 0, -1)
	meta := pipe.HGetAll(ctx, q.Key(keys.Meta))
	_, err := pipe.Exec(ctx)
	for i, size := range sizes {
		if e := typedKey(size.Err(), q.Key(i)); e != nil {
			return s, e
		}
		s.Sizes[i] = size.Val()
	}
	for _, z := range sessions.Val() {
		if name, ok := z.Member.(string); ok {
			s.Sessions[name] = int64(z.Score)
		}
	}
	s.Meta = meta.Val()
	return s, err
}

// scanCount is how many keys of the database one step of Scan looks at.
const scanCount = 500

// Scan goes through the keys of the database whose names match, a few hundred looked at a step, on every primary, one after
// the other. Found gets them with their types; a key may come twice.
func (b *Broker) Scan(ctx context.Context, match string, found func(key, kind string)) error {
	if b.cluster == nil {
		return scan(ctx, b.rdb, match, found)
	}
	var mu sync.Mutex
	return b.cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		return scan(ctx, node, match, found)
	})
}

func scan(ctx context.Context, rdb redis.Cmdable, match string, found func(key, kind string)) error {
	for cursor := uint64(0); ; {
		page, next, err := rdb.Scan(ctx, cursor, match, scanCount).Result()
		if err != nil {
			return err
		}
		if len(page) > 0 {
			pipe := rdb.Pipeline()
			kinds := make([]*redis.StatusCmd, len(page))
			for i, key := range page {
				kinds[i] = pipe.Type(ctx, key)
			}
			if _, err := pipe.Exec(ctx); err != nil {
				return err
			}
			for i, key := range page {
				if kind := kinds[i].Val(); kind != "none" { // it has gone since
					found(key, kind)
				}
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// Forever tells whether a key is there and never expires.
func (b *Broker) Forever(ctx context.Context, key string) (bool, error) {
	ttl, err := b.rdb.PTTL(ctx, key).Result()
	return ttl == -1, err
}

// ExpirePoke lets the list by which a process ended its own wait go, as it would have by itself.
func (b *Broker) ExpirePoke(ctx context.Context, key string) error {
	return b.rdb.PExpire(ctx, key, 10*time.Second).Err()
}

// Listed tells whether a queue's name is listed.
func (b *Broker) Listed(ctx context.Context, name string) (bool, error) {
	ok, err := b.rdb.SIsMember(ctx, b.space.Queues(), name).Result()
	return ok, typedKey(err, b.space.Queues())
}

// Unlist takes names off the listing of queues.
func (b *Broker) Unlist(ctx context.Context, name string) error {
	return typedKey(b.rdb.SRem(ctx, b.space.Queues(), name).Err(), b.space.Queues())
}

// Weigh answers how many bytes a key takes, by a sample; 0 where the server does not say.
func (b *Broker) Weigh(ctx context.Context, key string) (int64, error) {
	n, err := b.rdb.MemoryUsage(ctx, key, 5).Result()
	var reply redis.Error
	if errors.As(err, &reply) {
		return 0, nil
	}
	return n, err
}
