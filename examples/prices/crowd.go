package main

import (
	"context"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/tidemill/tidemill/pubsub"
)

// crowd is the local subscribers. Each follows one symbol for itself, and is told when its price crosses a limit. Redis sees
// one connection, and each price once, however many they are.
type crowd struct {
	watchers int
	heard    atomic.Uint64 // prices, by all of them together
	alarms   atomic.Uint64
}

// gather subscribes n watchers, which stay until ctx ends.
func (c *crowd) gather(ctx context.Context, services *errgroup.Group, client *pubsub.Client, n int) error {
	c.watchers = n
	for i := range n {
		topic, err := topicOf(client, symbols[i%len(symbols)])
		if err != nil {
			return err
		}
		// Only the newest price counts for a watcher: it needs little room, and what it was too slow for may go.
		s, err := topic.Subscribe(ctx, pubsub.Buffer(4), pubsub.WhenFull(pubsub.DropOldest))
		if err != nil {
			return err
		}
		w := &watcher{crowd: c, limit: int64(100 * (20 + i%80))}
		services.Go(func() error { return s.Handle(ctx, w.look) })
	}
	return nil
}

// watcher is one subscriber.
type watcher struct {
	crowd *crowd
	limit int64
	last  int64
}

func (w *watcher) look(_ context.Context, m *pubsub.Message[Price]) error {
	w.crowd.heard.Add(1)
	if w.last != 0 && (w.last < w.limit) != (m.Data.Cents < w.limit) {
		w.crowd.alarms.Add(1) // a program of yours would do something now
	}
	w.last = m.Data.Cents
	return nil
}
