package bus

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/conn"
	"github.com/tidemill/tidemill/internal/redistest"
)

// TestGivesUpWithItsContext meets a server that accepts and never answers.
func TestGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startPipe(t)
		srv.dead.Store(true)
		hub := srv.hub(t, conn.Config{})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		before := time.Now()
		_, err := hub.Subscribe(ctx, Channel, "ch", make(record))
		if took := time.Since(before); !errors.Is(err, conn.ErrUnavailable) || took != 20*time.Second {
			t.Errorf("%v after %v", err, took)
		}
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := hub.Subscribe(ctx, Channel, "ch", make(record)); !errors.Is(err, context.Canceled) || errors.Is(err, conn.ErrUnavailable) {
			t.Errorf("cancelled: %v", err)
		}
		if s := hub.Stats(); s.Subscriptions != 0 || s.Names != 0 || s.Connections != 0 {
			t.Errorf("%+v", s)
		}
		srv.dead.Store(false)
		subscribe(t, hub, Channel, "ch", make(record))
	})
}

func TestTriesForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dials atomic.Int64
		rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", Dialer: func(context.Context, string, string) (net.Conn, error) {
			dials.Add(1)
			return nil, &net.OpError{Op: "dial", Err: errors.New("refused")}
		}})
		defer func() { _ = rdb.Close() }()
		set, err := conn.Wrap(rdb, conn.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = set.Close() }()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err = HubOf(set).Subscribe(ctx, Channel, "ch", make(record))
		if !errors.Is(err, conn.ErrUnavailable) || !strings.Contains(err.Error(), "refused") {
			t.Error(err)
		}
		if n := dials.Load(); n < 60 || n > 150 { // a wait of 0.5 to 1 s
			t.Errorf("%d dials in a minute", n)
		}
	})
}

func TestWhatCannotWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startPipe(t)
		set, err := conn.Wrap(srv.client(t), conn.Config{MaxConnections: 4})
		if err != nil {
			t.Fatal(err)
		}
		hub, got := HubOf(set), make(record, 1)
		if other, err := conn.Wrap(set.Shared(), conn.Config{}); err != nil || HubOf(other) != hub {
			t.Errorf("another Set around the same client has another Hub (%v)", err)
		} else {
			_ = other.Close()
		}
		if _, err := hub.Subscribe(t.Context(), Shard, "ch", got); !errors.Is(err, ErrNoSharding) {
			t.Errorf("the embedded server has sharded channels: %v", err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := hub.Subscribe(ended, Channel, "ch", got); !errors.Is(err, context.Canceled) {
			t.Errorf("an ended context: %v", err)
		}
		if left := set.Left(); left != 3 {
			t.Errorf("%d connections left of 3", left)
		}
		sub := subscribe(t, hub, Channel, "ch", got)
		if left := set.Left(); left != 2 {
			t.Errorf("%d connections left", left)
		}
		_ = set.Close()
		if m := got.next(t); !strings.HasPrefix(m, "ended: ") {
			t.Errorf("got %q at the end", m)
		}
		sub.Close()
		if _, err := hub.Subscribe(t.Context(), Channel, "ch", got); !conn.Closed(err) {
			t.Errorf("a closed Set: %v", err)
		}
		if _, err := HubOf(set).Subscribe(t.Context(), Channel, "ch", got); !conn.Closed(err) {
			t.Errorf("the Hub of a closed Set: %v", err)
		}
	})
}

func TestPublishFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startPipe(t)
		rdb := srv.client(t)
		_ = rdb.Close()
		if err := Publish(t.Context(), rdb, "ch", "x"); !errors.Is(err, redis.ErrClosed) {
			t.Errorf("publish on a closed client: %v", err)
		}
		other := srv.client(t)
		srv.dead.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := Publish(ctx, other, "ch", "x"); !errors.Is(err, conn.ErrUnavailable) {
			t.Errorf("publish to a dead server: %v", err)
		}
	})
}

// The Hub takes one connection of the budget, however much it does.
func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set, err := conn.Wrap(startPipe(t).client(t), conn.Config{MaxConnections: 4})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = set.Close() }()
		hub := HubOf(set)
		release, err := hub.Hold()
		if err != nil || set.Left() != 2 {
			t.Errorf("%v, %d left", err, set.Left())
		}
		a, b := subscribe(t, hub, Channel, "a", make(record)), subscribe(t, hub, Pattern, "b", make(record))
		if again, err := hub.Hold(); err != nil || set.Left() != 2 {
			t.Errorf("%v, %d left", err, set.Left())
		} else {
			again()
		}
		a.Close()
		release()
		release()
		if set.Left() != 2 {
			t.Errorf("%d left with one subscription", set.Left())
		}
		b.Close()
		if set.Left() != 3 {
			t.Errorf("%d left in the end", set.Left())
		}
		if _, err := set.Dedicated("all", 3); err != nil {
			t.Fatal(err)
		}
		if _, err := hub.Subscribe(t.Context(), Channel, "a", make(record)); !errors.Is(err, conn.ErrConfig) ||
			!strings.Contains(err.Error(), "the subscription connection: 1 wanted and 0 left of MaxConnections=4: MaxConnections must be at least 5") {
			t.Errorf("without a connection: %v", err)
		}
		if _, err := hub.Hold(); !errors.Is(err, conn.ErrConfig) {
			t.Errorf("without a connection: %v", err)
		}
	})
}

// What is being made anew is confirmed when Redis says so, to those who ask.
func TestConfirmedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := redistest.NewBubble(t)
		hub, got := hubOf(t, srv.Client()), &gaps{}
		sub := subscribe(t, hub, Channel, "ch", got)
		before := time.Now()
		if err := sub.Confirmed(t.Context()); err != nil || time.Since(before) != 0 {
			t.Errorf("while it stands: %v after %v", err, time.Since(before))
		}
		srv.Refuse(true)
		srv.Cut()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if err := sub.Confirmed(ctx); !errors.Is(err, conn.ErrUnavailable) || time.Since(before) != 3*time.Second {
			t.Errorf("during an outage: %v after %v", err, time.Since(before))
		}
		time.AfterFunc(time.Second, func() { srv.Refuse(false) })
		if err := sub.Confirmed(t.Context()); err != nil || len(got.read()) != 1 {
			t.Errorf("after it: %v, %d gaps", err, len(got.read()))
		}
		if s := hub.Stats(); s.Subscriptions != 1 || s.Names != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// A ping goes behind messages also where a subscription was under way when they came.
func TestMarkBesideASubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := redistest.NewBubble(t)
		hub, got := hubOf(t, srv.Client()), &gaps{}
		subscribe(t, hub, Channel, "ch", got)
		time.Sleep(time.Second)
		for i := range 100 {
			srv.M.Publish("ch", "x")
			if i == 3 {
				subscribe(t, hub, Channel, "other", &gaps{})
			}
			time.Sleep(20 * time.Millisecond)
		}
		last := time.Now()
		time.Sleep(2 * time.Second)
		srv.Cut()
		redistest.WaitFor(t, 10*time.Second, func() bool { return len(got.read()) == 1 }, "the gap")
		if g := got.read()[0]; last.Sub(g.From) > markEvery {
			t.Errorf("%+v; the last message was at %v", g, last)
		}
	})
}
