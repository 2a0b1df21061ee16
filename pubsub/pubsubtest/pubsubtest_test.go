package pubsubtest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/pubsub"
	"github.com/tidemill/tidemill/pubsub/pubsubtest"
)

func TestEmbedded(t *testing.T) {
	t.Parallel()
	pubsubtest.Run(t, pubsubtest.Embedded())
}

// One server, TLS with an ACL, a Unix socket, Sentinel, Cluster; and other servers where they are named.
func TestTopologies(t *testing.T) {
	t.Parallel()
	redistest.EachTopology(t, func(t *testing.T, topo *redistest.Topology) {
		t.Parallel()
		target := pubsubtest.At(topo.URL)
		target.Patterns = topo.Name != "tls" // whose user may use the channels of the namespace, by name
		pubsubtest.Run(t, target)
	})
}

type price struct {
	Cents int `json:"cents"`
}

// What the package's comment shows: a message to oneself, outside of a bubble and inside.
func TestClient(t *testing.T) {
	t.Parallel()
	roundTrip(t)
	synctest.Test(t, roundTrip)
}

func roundTrip(t *testing.T) {
	topic, err := pubsub.NewTopic[price](pubsubtest.Client(t), "prices.eur")
	if err != nil {
		t.Fatal(err)
	}
	s, err := topic.Subscribe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := topic.Publish(t.Context(), price{Cents: 199}); err != nil {
		t.Fatal(err)
	}
	if m, err := s.Next(t.Context()); err != nil || m.Data.Cents != 199 {
		t.Errorf("%+v, %v", m, err)
	}
}

// Redis is away for an hour, and back.
func TestMemoryAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		memory := pubsubtest.NewMemory(t)
		topic, err := pubsub.NewTopic[price](memory.Client(), "prices.eur")
		if err != nil {
			t.Fatal(err)
		}
		s, err := topic.Subscribe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		memory.Refuse(true)
		memory.Cut()
		begun := time.Now()
		time.AfterFunc(time.Hour, func() { memory.Refuse(false) })
		_, err = s.Next(t.Context())
		gap, is := err.(*pubsub.Gap)
		if !is || gap.To.Sub(gap.From) < time.Hour || time.Since(begun) < time.Hour {
			t.Errorf("%v after %v, want a gap of an hour", err, time.Since(begun))
		}
	})
}
