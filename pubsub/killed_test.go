package pubsub_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/pubsub"
)

// span is when a message was published, by the publisher's clock: from before the call until after it.
type span struct{ before, after time.Time }

// ledger is what was published.
type ledger struct {
	mu    sync.Mutex
	more  sync.Cond
	spans []span
	last  int
}

func (l *ledger) add(one span) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spans = append(l.spans, one)
	l.more.Broadcast()
}

// beyond waits until more than n are published, or the last one is, and answers all.
func (l *ledger) beyond(n int) []span {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.spans) <= min(n, l.last) {
		l.more.Wait()
	}
	return l.spans
}

// account reads a subscription to its end and holds what it brings against what was published: each message came, in order
// and once, or is inside a gap that was told in its place, or was counted as dropped there.
// One that lags waits now and then until as many more are published.
func account(t testing.TB, s *pubsub.Subscription[int], l *ledger, lag int) (came, dropped uint64, lost int) {
	expect, missed := 0, uint64(0)
	var gaps []*pubsub.Gap
	for expect <= l.last {
		ctx, cancel := context.WithTimeout(context.Background(), soon)
		m, err := s.Next(ctx)
		cancel()
		var g *pubsub.Gap
		if errors.As(err, &g) {
			if dropped += g.Missed; g.Missed > 0 {
				missed += g.Missed
			} else {
				gaps = append(gaps, g)
			}
			continue
		}
		if err != nil {
			t.Errorf("%v, after %d of %d", err, expect, l.last)
			return came, dropped, lost
		}
		if m.Data < expect {
			t.Errorf("%d came when %d was expected", m.Data, expect)
		}
		told, unknown := l.beyond(m.Data), uint64(0)
		for id := expect; id < m.Data; id++ {
			inside := func(g *pubsub.Gap) bool { return !told[id].after.Before(g.From) && !told[id].before.After(g.To) }
			if slices.ContainsFunc(gaps, inside) {
				lost++
			} else {
				unknown++
			}
		}
		if unknown > missed || missed > uint64(m.Data-expect) {
			t.Errorf("%d to %d: %d are in no gap, %d were counted as dropped", expect, m.Data, unknown, missed)
		}
		came++
		expect, missed, gaps = m.Data+1, 0, nil
		if lag > 0 && came%10 == 0 {
			l.beyond(m.Data + lag)
		}
	}
	return came, dropped, lost
}

// TestEveryMessageIsAccountedFor kills the subscription connection again and again, for consumers fast and slow.
func TestEveryMessageIsAccountedFor(t *testing.T) {
	t.Parallel()
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		const kills, between = 5, 600
		c, admin := open(t, srv.URL()), redistest.Client(t, srv)
		in := topic[int](t, c, "t")
		pattern, err := pubsub.NewPattern[int](c, "*")
		if err != nil {
			t.Fatal(err)
		}
		l := &ledger{last: (kills + 1) * between}
		l.more.L = &l.mu
		var group sync.WaitGroup
		check := func(name string, lag int, s *pubsub.Subscription[int]) {
			group.Go(func() {
				came, dropped, lost := account(t, s, l, lag)
				if came == 0 || lost == 0 || (dropped > 0) != (lag > 0) {
					t.Errorf("%s: %d came, %d dropped, %d lost: this shows nothing", name, came, dropped, lost)
				}
			})
		}
		check("fast", 0, subscribe(t, in, pubsub.Buffer(1<<20)))
		check("pattern", 0, subscribe(t, pattern, pubsub.Buffer(1<<20)))
		check("drop oldest", 150, subscribe(t, in, pubsub.Buffer(20)))
		check("drop newest", 150, subscribe(t, in, pubsub.Buffer(20), pubsub.WhenFull(pubsub.DropNewest)))
		check("block", 150, subscribe(t, in, pubsub.Buffer(20), pubsub.WhenFull(pubsub.Block(time.Millisecond))))
		done := make(chan struct{})
		go func() { group.Wait(); close(done) }()
		back := func(gaps int) {
			redistest.WaitFor(t, soon, func() bool { return c.Stats().Gaps == uint64(gaps) }, "the connection to be back")
		}
		for id := 0; ; id++ { // beyond the last one until all have seen that it is over
			one := span{before: time.Now()}
			publish(t, in, id)
			one.after = time.Now()
			l.add(one)
			if id%between == between-1 && id < l.last {
				back(2 * (id / between))
				if id/between < kills {
					if err := admin.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Err(); err != nil {
						t.Fatal(err)
					}
				}
			}
			select {
			case <-done:
				return
			default:
			}
		}
	})
}
