package bus

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/conn"
	"github.com/tidemill/tidemill/internal/redistest"
)

// strict is a Receiver that must not be called once it is closed.
type strict struct {
	t      testing.TB
	first  chan struct{} // may be nil
	closed atomic.Bool
	n      atomic.Int64
}

func (s *strict) Message(string, []byte) { s.called("a message") }
func (s *strict) Missed(Gap)             { s.called("a gap") }
func (s *strict) Ended(err error)        { s.called(err.Error()) }

func (s *strict) called(with string) {
	if s.n.Add(1) == 1 && s.first != nil {
		close(s.first)
	}
	if s.closed.Load() {
		s.t.Errorf("called with %s after it was closed", with)
	}
}

// Few names are subscribed to and left by many, over a connection that is lost now and then, under a stream of messages: in
// the end Redis has the subscriptions that are left, and no receiver was called after its end.
func TestChurn(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	set, hub := open(t, srv.URL(), conn.Config{})
	admin := redistest.Client(t, srv)
	left := set.Left()
	ctx, cancel := context.WithCancel(t.Context())
	var beside sync.WaitGroup
	beside.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			_ = admin.Publish(t.Context(), fmt.Sprint("ch", i%4), "x").Err()
		}
	})
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var all sync.WaitGroup
	for i := range 8 {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		all.Go(func() {
			for range 100 {
				churn(t, hub, r)
			}
		})
	}
	kept := []*strict{{t: t}, {t: t}}
	subs := []*Sub{subscribe(t, hub, Channel, "ch0", kept[0]), subscribe(t, hub, Channel, "ch3", kept[1])}
	for range 5 {
		redistest.WaitFor(t, time.Minute, func() bool { return kept[0].n.Swap(0) > 0 }, "a message")
		if err := admin.Do(t.Context(), "CLIENT", "KILL", "TYPE", "pubsub").Err(); err != nil {
			t.Fatal(err)
		}
	}
	all.Wait()
	cancel()
	beside.Wait()
	redistest.WaitFor(t, time.Minute, func() bool {
		names := admin.PubSubChannels(t.Context(), "*").Val()
		slices.Sort(names)
		return slices.Equal(names, []string{"ch0", "ch3"}) && admin.PubSubNumPat(t.Context()).Val() == 0
	}, "the subscriptions that are left to be those of Redis")
	redistest.WaitFor(t, time.Minute, func() bool {
		s := hub.Stats()
		return s.Names == 2 && s.Subscriptions == 2 && s.Connections == 1
	}, "the same to be counted")
	for i, s := range subs {
		s.Close()
		kept[i].closed.Store(true)
	}
	if set.Left() != left {
		t.Errorf("%d connections left of %d", set.Left(), left)
	}
	hub.mu.RLock()
	defer hub.mu.RUnlock()
	if n := len(hub.topics[Channel]) + len(hub.topics[Pattern]) + len(hub.homeless) + len(hub.links); n != 0 {
		t.Errorf("%d names, links and the like are left", n)
	}
}

// churn subscribes, perhaps in vain, and leaves.
func churn(t *testing.T, hub *Hub, r *rand.Rand) {
	one := &strict{t: t, first: make(chan struct{})}
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(r.IntN(20))*time.Millisecond)
	defer cancel()
	if r.IntN(3) > 0 {
		ctx = t.Context()
	}
	sub, err := hub.Subscribe(ctx, Kind(r.IntN(2)), fmt.Sprint("ch", r.IntN(4)), one)
	if err == nil {
		if r.IntN(2) == 0 {
			select {
			case <-one.first:
			case <-time.After(5 * time.Millisecond):
			}
		}
		sub.Close()
	} else if ctx.Err() == nil {
		t.Error(err)
	}
	one.closed.Store(true)
}
