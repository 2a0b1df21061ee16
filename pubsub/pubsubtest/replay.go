package pubsubtest

import (
	"context"
	"time"

	"github.com/tidemill/tidemill/pubsub"
)

// The past can be read again, from the start, from a place or from a time.
func durableReplay(c *trial) {
	topic := durableOf(c, c.Client(), "replay")
	keep(c, topic, 0, 300)
	all := replay(c, topic, pubsub.FromStart)
	if len(all) != 300 {
		c.Fatalf("%d messages are kept, want 300", len(all))
	}
	wantTicks(c, all, 0)
	after := replay(c, topic, pubsub.FromPosition(all[99].Position))
	if len(after) != 200 {
		c.Fatalf("%d messages after the 100th, want 200", len(after))
	}
	wantTicks(c, after, 100)
	if early := replay(c, topic, pubsub.FromTime(time.Now().Add(-time.Hour))); len(early) != 300 {
		c.Errorf("%d messages of the last hour, want 300", len(early))
	}
	if late := replay(c, topic, pubsub.FromTime(time.Now().Add(time.Hour))); len(late) != 0 {
		c.Errorf("%d messages of the future", len(late))
	}
	if now := replay(c, topic, pubsub.FromNow); len(now) != 0 {
		c.Errorf("%d messages from now", len(now))
	}
}

func replay(c *trial, topic *pubsub.Durable[tick], from pubsub.Start) (all []*pubsub.Message[tick]) {
	c.Helper()
	for m, err := range topic.Replay(c.ctx, from) {
		c.must(err)
		all = append(all, m)
	}
	return all
}

// Follow goes on with what comes, with nothing missing between the two.
func durableFollow(c *trial) {
	topic := durableOf(c, c.Client(), "follow")
	keep(c, topic, 0, 50)
	n := 0
	for m, err := range topic.Follow(c.ctx, pubsub.FromStart) {
		c.must(err)
		if m.Data.N != n {
			c.Fatalf("got number %d, want %d", m.Data.N, n)
		}
		if n++; n%50 == 0 && n < 200 {
			keep(c, topic, n, n+50)
		}
		if n == 200 {
			break
		}
	}
	ctx, stop := context.WithCancel(c.ctx)
	stop()
	for _, err := range topic.Follow(ctx, pubsub.FromNow) {
		c.Errorf("Follow with a context that has ended: %v", err)
	}
}

// A topic that keeps the newest messages keeps about as many as it was told.
func durableKeeps(c *trial) {
	topic := durableOf(c, c.Client(), "keeps", pubsub.KeepCount(100))
	for n := 0; n < 1000; n += 100 {
		keep(c, topic, n, n+100)
	}
	all := replay(c, topic, pubsub.FromStart)
	if len(all) < 100 || len(all) > 400 { // Redis drops whole nodes of its tree
		c.Errorf("%d messages are kept, want about 100", len(all))
	}
	wantTicks(c, all, 1000-len(all))
}
