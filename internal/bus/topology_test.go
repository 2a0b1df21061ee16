package bus

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/conn"
	"github.com/tidemill/tidemill/internal/redistest"
)

// One server, TLS with a user of few rights, a Unix socket, Sentinel and a Cluster.
func TestTopologies(t *testing.T) {
	t.Parallel()
	redistest.EachTopology(t, func(t *testing.T, topo *redistest.Topology) {
		set, hub := open(t, topo.URL, conn.Config{ClientName: "bus"})
		got, shards := make(record, 10), make(record, 10)
		subscribe(t, hub, Channel, "tm:ch", got)
		_, err := hub.Subscribe(t.Context(), Shard, "tm:shard", shards)
		if errors.Is(err, ErrNoSharding) {
			t.Skip("a server before Redis 7.0")
		} else if err != nil {
			t.Fatal(err)
		}
		if s := hub.Stats(); s.Connections > 2 || s.Connections > 1 && !topo.Cluster {
			t.Errorf("%+v", s)
		}
		rdb := topo.Client(t)
		say := func() {
			t.Helper()
			if err := Publish(t.Context(), set.Shared(), "tm:ch", "x"); err != nil {
				t.Fatal(err)
			}
			if err := rdb.SPublish(t.Context(), "tm:shard", "y").Err(); err != nil {
				t.Fatal(err)
			}
			if a, b := got.next(t), shards.next(t); a != "tm:ch=x" || b != "tm:shard=y" {
				t.Errorf("%q %q", a, b)
			}
		}
		say()
		topo.Disconnect(t)
		got.gap(t)
		shards.gap(t)
		rdb = topo.Client(t) // the old one's connections were cut
		redistest.WaitFor(t, time.Minute, func() bool { return set.Shared().Ping(t.Context()).Err() == nil }, "the clients to connect again")
		say()
	})
}

// Another server takes the primary's place: the subscription is there as soon as a Sentinel tells of it.
func TestFollowsThePrimary(t *testing.T) {
	t.Parallel()
	s := redistest.NewSentinel(t, 1, 1)
	set, hub := open(t, s.URL(), conn.Config{ClientName: "bus"})
	got := newJournal()
	subscribe(t, hub, Channel, "ch", got)
	old, began := s.Primary(t), time.Now()
	s.Failover(t)
	redistest.WaitFor(t, time.Minute, func() bool { _, n := got.count(); return n > 0 }, "the gap")
	if g := got.first(); g.From.After(began) {
		t.Errorf("%+v; the failover began at %v", g, began)
	}
	redistest.WaitFor(t, time.Minute, func() bool {
		_ = Publish(t.Context(), set.Shared(), "ch", "1") // the new primary may not know yet that it is one
		return got.has(1)
	}, "a message from the new primary")
	demoted := redistest.Client(t, old)
	redistest.WaitFor(t, time.Minute, func() bool {
		return !strings.Contains(demoted.ClientList(t.Context()).Val(), "name=bus:subscription")
	}, "the old primary to be left")
}
