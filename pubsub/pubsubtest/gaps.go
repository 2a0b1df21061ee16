package pubsubtest

import (
	"errors"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/pubsub"
)

// A broken connection is a Gap in every subscription, then all goes on, with nothing twice.
func gap(c *trial) {
	client := c.Client()
	topic := topicOf[tick](c, client, c.name("gap"))
	all := []source[tick]{subscribe(c, topic), subscribe(c, topic)}
	if c.target.Patterns {
		p, err := pubsub.NewPattern[tick](client, c.name("g*"))
		c.must(err)
		byPattern, err := p.Subscribe(c.ctx)
		c.must(err)
		all = append(all, byPattern)
	}
	publish(c, topic, 0, 1)
	for _, s := range all {
		wantTicks(c, take(c, s, 1), 0)
	}
	for n := 1; n < 4; n++ {
		c.Cut()
		for _, s := range all {
			wantGap(c, s)
		}
		publishThrough(c, topic, n)
		for _, s := range all {
			wantTicks(c, take(c, s, 1), n)
		}
	}
	if n := client.Stats().Gaps; n == 0 {
		c.Error("the client counts no gaps")
	}
}

func wantGap(c *trial, s source[tick]) {
	c.Helper()
	m, err := s.Next(c.ctx)
	var gap *pubsub.Gap
	if !errors.As(err, &gap) {
		c.Fatalf("after the cut: %+v, %v; want a Gap", m, err)
	}
	if gap.From.IsZero() || gap.To.Before(gap.From) || gap.Reason == "" || gap.Missed != 0 {
		c.Errorf("the gap is from %v to %v, reason %q, %d missed", gap.From, gap.To, gap.Reason, gap.Missed)
	}
}

// publishThrough publishes once the way to Redis is there again. A connection that was cut may cost a call.
func publishThrough(c *trial, topic *pubsub.Topic[tick], n int) {
	c.Helper()
	c.waitFor(func() bool {
		_, err := topic.Publish(c.ctx, tick{N: n})
		return err == nil
	}, "a message to be published")
}

// What gapAccounts publishes, and how often it breaks connections meanwhile.
const (
	accounted = 400
	cutEach   = 80
)

// While connections break again and again every number that was published arrives, or a Gap comes in its place.
func gapAccounts(c *trial) {
	client := c.Client()
	s := subscribe(c, topicOf[tick](c, client, c.name("accounts")), pubsub.Buffer(accounted))
	here := topicOf[tick](c, c.Client(), c.name("accounts"))
	published := make(map[int]bool) // acknowledged
	taken := make(chan map[int]bool, 1)
	go func() { taken <- account(c, s) }()
	for i := range accounted {
		if i%cutEach == cutEach/2 {
			c.waitFor(func() bool { return client.Stats().Connections == 1 }, "the subscription connection")
			c.Cut()
		}
		_, err := here.Publish(c.ctx, tick{N: i})
		published[i] = err == nil
	}
	var received map[int]bool
	c.waitFor(func() bool {
		_, _ = here.Publish(c.ctx, tick{N: accounted}) // until the subscription is there again to hear it
		select {
		case received = <-taken:
			return true
		default:
			return false
		}
	}, "the last message to arrive")
	for i := range accounted {
		if published[i] && received != nil && !received[i] {
			c.Errorf("number %d was published, did not arrive and is in no gap", i)
		}
	}
}

// account reads up to the last number: it notes those that arrived, and those in whose place a gap was. A Cluster's node that
// the connection moved to may be a little behind the one before: there, and only there, numbers come again behind a gap.
func account(c *trial, s *pubsub.Subscription[tick]) map[int]bool {
	_, cluster := c.Redis().(*redis.ClusterClient)
	got, next, gapped := make(map[int]bool), 0, false
	for m, err := range s.All(c.ctx) {
		var gap *pubsub.Gap
		switch {
		case errors.As(err, &gap):
			gapped = true
			continue
		case err != nil:
			c.Errorf("it ended with %v", err)
			return nil
		}
		if m.Data.N < next && !(cluster && gapped) {
			c.Errorf("number %d came after %d", m.Data.N, next-1)
		}
		for n := next; n < m.Data.N && gapped; n++ {
			got[n] = true
		}
		got[m.Data.N], next, gapped = true, m.Data.N+1, false
		if m.Data.N == accounted {
			return got
		}
	}
	c.Error("the last message did not come")
	return nil
}
