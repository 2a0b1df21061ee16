package bus

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/conn"
	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
)

// A slot moves to another server while messages are published to channels of it and of others: each is received, or in a
// gap, and the subscriptions follow.
func TestShardsFollowTheirSlots(t *testing.T) {
	t.Parallel()
	c := redistest.NewCluster(t, 3, false)
	_, hub := open(t, c.URL(t), conn.Config{ClientName: "bus"})
	rdb := c.Client(t)
	names := []string{"{moves}:a", "{moves}:b", "x", "y", "z"}
	journals := make([]*journal, len(names))
	all := make([][]published, len(names))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var pubs sync.WaitGroup
	for i, name := range names {
		journals[i] = newJournal()
		subscribe(t, hub, Shard, name, journals[i])
		pubs.Go(func() {
			var err error
			all[i], err = publish(t.Context(), func(n int) error { return rdb.SPublish(t.Context(), name, n).Err() },
				func(int) bool { return ctx.Err() != nil })
			if err != nil {
				t.Error(err)
			}
		})
	}
	classic := newJournal()
	subscribe(t, hub, Channel, "classic", classic)
	if s := hub.Stats(); s.Connections > 3 || s.Names != 6 {
		t.Errorf("%+v", s)
	}
	from := c.Owner(t, "{moves}")
	to := c.Primaries[(slices.Index(c.Primaries, from)+1)%3]
	for _, next := range []*redisserver.Server{to, from} {
		before, _ := journals[0].count()
		redistest.WaitFor(t, time.Minute, func() bool { n, _ := journals[0].count(); return n > before+20 }, "messages")
		_, gaps := journals[0].count()
		c.Move(t, "{moves}", next)
		redistest.WaitFor(t, time.Minute, func() bool { _, n := journals[0].count(); return n > gaps }, "the gap to be told")
	}
	cancel()
	pubs.Wait()
	for i, j := range journals {
		last := len(all[i]) - 1
		redistest.WaitFor(t, time.Minute, func() bool { return j.knows(last, all[i][last]) }, "the last message")
		j.judge(t, all[i])
		if _, gaps := j.count(); gaps != 0 && i > 1 || gaps < 2 && i <= 1 { // each SETSLOT NODE may be one
			t.Errorf("%d gaps of %s", gaps, names[i])
		}
	}
	if _, gaps := classic.count(); gaps != 0 {
		t.Errorf("%d gaps of a channel that is on any server", gaps)
	}
	for _, srv := range c.Primaries {
		list := redistest.Client(t, srv).ClientList(t.Context()).Val()
		if n := strings.Count(list, "name=bus:subscription"); n > 1 {
			t.Errorf("%d connections to %s:\n%s", n, srv.Addr(), list)
		}
	}
}

// A server of the Cluster dies: channels move to another one, sharded ones to its replica once that has taken over.
func TestClusterServerDies(t *testing.T) {
	t.Parallel()
	c := redistest.NewCluster(t, 3, true)
	rdb := c.Client(t)
	hub := hubOf(t, rdb)
	classic, pattern, shard := newJournal(), newJournal(), newJournal()
	subscribe(t, hub, Channel, "classic", classic)
	subscribe(t, hub, Pattern, "cl*", pattern)
	hub.mu.RLock()
	at := hub.topics[Channel]["classic"].link.node
	hub.mu.RUnlock()
	var dies *redisserver.Server
	for _, srv := range c.Primaries {
		if srv.Addr() == at {
			dies = srv
		}
	}
	name := ""
	for i := 0; name == ""; i++ { // a channel of a slot there
		if one := fmt.Sprint("shard", i); c.Owner(t, one) == dies {
			name = one
		}
	}
	subscribe(t, hub, Shard, name, shard)
	if s := hub.Stats(); s.Connections != 1 {
		t.Errorf("%+v", s)
	}
	killed := time.Now()
	dies.Kill()
	redistest.WaitFor(t, time.Minute, func() bool {
		_, a := classic.count()
		_, b := pattern.count()
		return a == 1 && b == 1
	}, "the channels to be on another server")
	redistest.WaitFor(t, time.Minute, func() bool { _, n := shard.count(); return n == 1 }, "the sharded channel to be on the replica")
	for _, j := range []*journal{classic, pattern, shard} {
		if g := j.first(); g.From.After(killed) || !g.To.After(killed) {
			t.Errorf("%+v; the server was killed at %v", g, killed)
		}
	}
	redistest.WaitFor(t, time.Minute, func() bool {
		return rdb.Publish(t.Context(), "classic", "1").Err() == nil && rdb.SPublish(t.Context(), name, "1").Val() == 1
	}, "publishing to work again")
	redistest.WaitFor(t, time.Minute, func() bool { return classic.has(1) && pattern.has(1) && shard.has(1) }, "the messages")
}
