package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tidemill/tidemill/pubsub"
)

// grace is for how long an old value is no fault: the word is on its way.
const grace = 250 * time.Millisecond

// Value is what the database holds for a key.
type Value struct {
	Version int
	Changed time.Time
}

// database is slow, and right.
type database struct {
	slow time.Duration

	mu     sync.Mutex
	values map[string]Value
}

func (d *database) read(ctx context.Context, key string) (Value, error) {
	wait := time.NewTimer(d.slow)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
		return Value{}, context.Cause(ctx)
	}
	return d.look(key), nil
}

// look is what a judge does, not a server.
func (d *database) look(key string) Value {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.values[key]
}

func (d *database) change(key string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.values[key] = Value{Version: d.values[key].Version + 1, Changed: time.Now()}
}

// shop is the database and the servers before it.
type shop struct {
	config
	db      *database
	clients []*pubsub.Client
	caches  []*Cache[Value]
	stale   atomic.Uint64
}

// open opens the servers. In a program of yours each is a process with one client.
func open(ctx context.Context, url string, c config) (*shop, error) {
	s := &shop{config: c, db: &database{slow: c.slow, values: map[string]Value{}}}
	for range c.servers {
		client, err := pubsub.Open(ctx, url)
		if err != nil {
			s.close()
			return nil, err
		}
		s.clients = append(s.clients, client)
		cache, err := NewCache(ctx, client, "shop", c.keep, s.db.read)
		if err != nil {
			s.close()
			return nil, err
		}
		s.caches = append(s.caches, cache)
	}
	return s, nil
}

func (s *shop) close() {
	for _, client := range s.clients {
		_ = client.Close()
	}
}

func (s *shop) run(ctx context.Context) error {
	services, ctx := errgroup.WithContext(ctx)
	for _, cache := range s.caches {
		services.Go(func() error { return cache.Run(ctx) })
		for range s.readers {
			services.Go(func() error { s.read(ctx, cache); return nil })
		}
	}
	services.Go(func() error { s.change(ctx); return nil })
	services.Go(func() error { s.report(ctx); return nil })
	return services.Wait()
}

func (s *shop) key() string { return "item:" + strconv.Itoa(rand.IntN(s.keys)) }

// each calls f again and again, with a pause between, until ctx ends.
func each(ctx context.Context, pause time.Duration, f func()) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f()
		}
	}
}

// read is one reader, and the judge of what it gets.
func (s *shop) read(ctx context.Context, cache *Cache[Value]) {
	each(ctx, time.Millisecond, func() {
		key := s.key()
		right, asked := s.db.look(key), time.Now()
		got, err := cache.Get(ctx, key)
		if err == nil && got.Version < right.Version && asked.Sub(right.Changed) > grace {
			s.stale.Add(1)
		}
	})
}

// change is everybody who changes values, each time at another server.
func (s *shop) change(ctx context.Context) {
	each(ctx, s.config.change, func() {
		key := s.key()
		s.db.change(key)
		if err := s.caches[rand.IntN(len(s.caches))].Changed(ctx, key); err != nil && ctx.Err() == nil {
			fmt.Fprintln(s.out, err)
		}
	})
}

// report prints a line each second, and the last one at the end.
func (s *shop) report(ctx context.Context) {
	fmt.Fprintf(s.out, "%10s %8s %8s %8s %8s\n", "hits", "loads", "told", "emptied", "stale")
	each(ctx, time.Second, s.line)
	s.line()
}

func (s *shop) line() {
	var hits, loads, told, emptied uint64
	for _, c := range s.caches {
		hits, loads, told, emptied = hits+c.hits.Load(), loads+c.loads.Load(), told+c.told.Load(), emptied+c.emptied.Load()
	}
	fmt.Fprintf(s.out, "%10d %8d %8d %8d %8d\n", hits, loads, told, emptied, s.stale.Load())
}
