package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/tidemill/tidemill/pubsub"
)

// Load reads a value from where it is at home.
type Load[V any] func(ctx context.Context, key string) (V, error)

// Cache is a read-through cache of one process. What other processes change they tell over a live topic; what it may not
// have been told of, it forgets. Safe for concurrent use.
type Cache[V any] struct {
	load   Load[V]
	keep   time.Duration
	bad    *pubsub.Topic[string] // keys
	heard  *pubsub.Subscription[string]
	flight singleflight.Group

	mu      sync.RWMutex
	kept    map[string]entry[V]
	loading map[string]*ticket // loads under way, of keys that nobody has changed since they began

	hits, loads, told, emptied atomic.Uint64
}

type entry[V any] struct {
	value V
	until time.Time
}

// ticket allows a load to keep what it found.
type ticket struct{ key string }

// NewCache makes a cache that hears of changes from now on. keep bounds how long a value is believed: while the connection
// to Redis is broken nobody hears of a change, and the Gap that tells of it comes once it is mended. The caller closes it.
func NewCache[V any](ctx context.Context, client *pubsub.Client, name string, keep time.Duration, load Load[V]) (*Cache[V], error) {
	bad, err := pubsub.NewTopic[string](client, "cache."+name)
	if err != nil {
		return nil, err
	}
	heard, err := bad.Subscribe(ctx) // before anything is kept
	if err != nil {
		return nil, err
	}
	return &Cache[V]{load: load, keep: keep, bad: bad, heard: heard, kept: map[string]entry[V]{}, loading: map[string]*ticket{}}, nil
}

// Run listens for changes until ctx ends or the cache is closed. A cache that nobody runs must not be used.
func (c *Cache[V]) Run(ctx context.Context) error {
	defer c.empty()
	for m, err := range c.heard.All(ctx) {
		var gap *pubsub.Gap
		var odd *pubsub.DecodeError
		switch {
		case err == nil:
			c.told.Add(1)
			c.forget(m.Data)
		case errors.As(err, &gap), errors.As(err, &odd): // any key may have changed
			c.empty()
		default:
			return err
		}
	}
	return nil
}

// Close stops listening.
func (c *Cache[V]) Close() { c.heard.Close() }

// Get answers the value of a key. However many ask for one that is not kept, it is loaded once.
func (c *Cache[V]) Get(ctx context.Context, key string) (V, error) {
	c.mu.RLock()
	e, kept := c.kept[key]
	c.mu.RUnlock()
	if kept && time.Now().Before(e.until) {
		c.hits.Add(1)
		return e.value, nil
	}
	// Who asked first may lose patience: the others want the value all the same.
	result := c.flight.DoChan(key, func() (any, error) { return c.fetch(context.WithoutCancel(ctx), key) })
	var none V
	select {
	case r := <-result:
		if r.Err != nil {
			return none, r.Err
		}
		return r.Val.(V), nil
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
}

// fetch loads a key. What was changed meanwhile is answered to those who asked before the change, and not kept.
func (c *Cache[V]) fetch(ctx context.Context, key string) (V, error) {
	mine := &ticket{key}
	c.mu.Lock()
	c.loading[key] = mine
	c.mu.Unlock()
	c.loads.Add(1)
	value, err := c.load(ctx, key)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.loading[key] != mine {
		return value, err
	}
	delete(c.loading, key)
	if err == nil {
		c.kept[key] = entry[V]{value, time.Now().Add(c.keep)}
	}
	return value, err
}

// Changed is called by whoever has changed a key's value where it is at home: this process forgets it at once, the others
// as soon as they hear of it. An error means that they may not.
func (c *Cache[V]) Changed(ctx context.Context, key string) error {
	c.forget(key)
	if _, err := c.bad.Publish(ctx, key); err != nil {
		return fmt.Errorf("other processes may believe the old %s for %v: %w", key, c.keep, err)
	}
	return nil
}

func (c *Cache[V]) forget(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.kept, key)
	delete(c.loading, key)
	c.flight.Forget(key) // who asks from now on wants the new value
}

func (c *Cache[V]) empty() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.emptied.Add(1)
	for key := range c.loading {
		c.flight.Forget(key)
	}
	clear(c.kept)
	clear(c.loading)
}
