package pubsub_test

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/pubsub"
)

// TestCrowds: a topic with hundreds of subscriptions is as one with few: all come, in order, gaps in their place; one that
// is slow takes nothing from the others; and it ends with the last.
func TestCrowds(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, b *redistest.Bubble, c *pubsub.Client) {
		const crowd, many = 200, 100
		to, in := topic[int](t, around(t, b.Client()), "t"), topic[int](t, c, "t")
		slow := subscribe(t, in, pubsub.Buffer(10), pubsub.WhenFull(pubsub.CloseWhenSlow))
		var group sync.WaitGroup
		subs := make([]*pubsub.Subscription[int], crowd)
		for i := range subs {
			s := subscribe(t, in, pubsub.Buffer(many))
			subs[i] = s
			if i == 20 {
				publish(t, to, -1) // while it is no crowd
				synctest.Wait()
			}
			group.Go(func() {
				if i <= 20 && next(t, s).Data != -1 {
					t.Error("what was published before the crowd came is missing")
				}
				for n := range 2 * many {
					if n == many {
						gap(t, s)
					}
					if m := next(t, s); m.Data != n {
						t.Errorf("%d: %d came, not %d", i, m.Data, n)
						return
					}
				}
			})
		}
		for n := range 2 * many {
			if n == many {
				b.Cut()
				time.Sleep(2 * time.Second)
				to = topic[int](t, around(t, b.Client()), "t")
			}
			publish(t, to, n)
			synctest.Wait()
		}
		group.Wait()
		for i := range 9 { // -1 came before
			if m := next(t, slow); m.Data != i-1 {
				t.Errorf("the slow one: %d, not %d", m.Data, i-1)
			}
		}
		if n := c.Stats(); n.Subscriptions != crowd || n.Dropped != 1 || n.Gaps != 1 || n.Received != 2*many+1 || n.Delivered != 2*many*crowd+21+10 {
			t.Errorf("%+v", n)
		}
		for _, s := range subs {
			s.Close()
		}
		redistest.WaitFor(t, soon, func() bool { return c.Stats().Connections == 0 }, "the connection to go")
	})
}

// TestCrowdIsRefused: a crowd that waits for a server's no gets it, and leaves nothing behind.
func TestCrowdIsRefused(t *testing.T) {
	t.Parallel()
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		admin := redistest.Client(t, srv)
		if err := admin.Do(t.Context(), "ACL", "SETUSER", "guest", "on", ">secret", "~*", "+@all", "resetchannels").Err(); err != nil {
			t.Fatal(err)
		}
		p := redistest.NewProxy(t, srv.Addr())
		to := topic[int](t, open(t, "redis://guest:secret@"+p.Addr()), "t")
		release := p.HoldRequest(func(cmd string, _ []string) bool { return cmd == "SUBSCRIBE" })
		defer release()
		var group sync.WaitGroup
		for range 100 {
			group.Go(func() {
				if _, err := to.Subscribe(t.Context()); !errors.Is(err, pubsub.ErrNotPermitted) {
					t.Errorf("%v", err)
				}
			})
		}
		redistest.WaitFor(t, soon, func() bool { return p.Held() == 1 }, "the question")
		release()
		group.Wait()
	})
}

// TestCrowdEnds: what ends the connection for good ends a crowd too.
func TestCrowdEnds(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, b *redistest.Bubble, _ *pubsub.Client) {
		rdb := b.Client()
		one, other := around(t, rdb), around(t, rdb)
		var subs []*pubsub.Subscription[int]
		for range 100 {
			subs = append(subs, subscribe(t, topic[int](t, one, "t")))
		}
		publish(t, topic[int](t, other, "t"), 1)
		synctest.Wait()
		if err := errors.Join(one.Close(), other.Close()); err != nil {
			t.Fatal(err)
		}
		for _, s := range subs {
			if _, err := s.Next(t.Context()); !errors.Is(err, pubsub.ErrClosed) {
				t.Fatal(err)
			}
		}
	})
}
