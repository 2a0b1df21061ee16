package bus

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/internal/conn"
	"github.com/tidemill/tidemill/internal/redistest"
)

func TestMessagesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startPipe(t)
		rdb, hub, got := srv.client(t), srv.hub(t, conn.Config{}), make(record)
		a, b := subscribe(t, hub, Channel, "a", got), subscribe(t, hub, Channel, "b", got)
		for i := range 50 {
			channel := string("ab"[i%2])
			if err := Publish(t.Context(), rdb, channel, fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
			if m := got.next(t); m != fmt.Sprintf("%s=%d", channel, i) {
				t.Fatalf("message %d is %q", i, m)
			}
		}
		if s := hub.Stats(); s != (HubStats{Received: 50, Connections: 1, Names: 2, Subscriptions: 2}) {
			t.Errorf("%+v", s)
		}
		before := time.Now()
		a.Close()
		b.Close()
		if took := time.Since(before); took > 0 {
			t.Errorf("closing took %v", took)
		}
		synctest.Wait()
		if n := srv.Publish("a", "nobody listens"); n != 0 {
			t.Errorf("%d subscribers are left", n)
		}
		if s := hub.Stats(); s.Connections != 0 || s.Subscriptions != 0 || s.Names != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// Receivers of one name share its subscription; patterns tell the channel.
func TestManyReceivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startPipe(t)
		hub := srv.hub(t, conn.Config{})
		var one, two, all record = make(chan string, 10), make(chan string, 10), make(chan string, 10)
		first := subscribe(t, hub, Channel, "prices.a", one)
		before := srv.requests.Load()
		subscribe(t, hub, Channel, "prices.a", two)
		if n := srv.requests.Load() - before; n != 0 {
			t.Errorf("%d requests for a second receiver", n)
		}
		subscribe(t, hub, Pattern, "prices.*", all)
		srv.Publish("prices.a", "1")
		srv.Publish("prices.b", "2")
		if a, b, c, d := one.next(t), two.next(t), all.next(t), all.next(t); a != "prices.a=1" || b != a || c != a || d != "prices.b=2" {
			t.Errorf("%q %q %q %q", a, b, c, d)
		}
		first.Close()
		first.Close()
		if n := srv.Publish("prices.a", "3"); n != 2 {
			t.Errorf("%d subscriptions", n)
		}
		if b, c := two.next(t), all.next(t); b != "prices.a=3" || c != b || len(one) != 0 {
			t.Errorf("%q %q %d", b, c, len(one))
		}
		if n := srv.dials.Load(); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

func TestReconnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startPipe(t)
		got := make(record)
		var log bytes.Buffer
		hub := srv.hub(t, conn.Config{Logger: zerolog.New(&log)})
		subscribe(t, hub, Channel, "ch", got)
		began := time.Now()
		for range 20 {
			if n := srv.Publish("ch", "x"); n != 1 {
				t.Fatalf("%d subscribers", n)
			}
			if m := got.next(t); m != "ch=x" {
				t.Fatalf("got %q", m)
			}
			srv.cut()
			got.gap(t)
		}
		if took := time.Since(began); took > 20*reconnects.Cap || took < 5*time.Second {
			t.Errorf("20 reconnects took %v", took)
		}
		if n := srv.dials.Load(); n != 21 {
			t.Errorf("%d connections for 20 reconnects", n)
		}
		if lines := strings.Count(log.String(), "\n"); lines < 1 || lines > 4 {
			t.Errorf("log:\n%s", log.String())
		}
		if s := hub.Stats(); s.Reconnects != 20 || s.Gaps != 20 || s.Connections != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// TestIdleIsCheap counts requests over a silent day.
func TestIdleIsCheap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startPipe(t)
		subscribe(t, srv.hub(t, conn.Config{}), Channel, "ch", make(record))
		before := srv.requests.Load()
		time.Sleep(24 * time.Hour)
		rate := float64(srv.requests.Load()-before) / (24 * 60 * 60)
		if rate > 0.04 || rate < 0.02 {
			t.Errorf("%.4f requests/s while idle", rate)
		}
		if n := srv.dials.Load(); n != 1 {
			t.Errorf("%d connections made", n)
		}
	})
}

// TestDeadSocketIsNoticed swallows replies: no error, no end, only silence.
func TestDeadSocketIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startPipe(t)
		got := &gaps{}
		var log bytes.Buffer
		subscribe(t, srv.hub(t, conn.Config{Logger: zerolog.New(&log)}), Channel, "ch", got)
		time.Sleep(10 * time.Second)
		srv.dead.Store(true)
		died := time.Now()
		time.Sleep(time.Minute)
		srv.dead.Store(false)
		back := time.Now()
		time.Sleep(connecting + reconnects.Cap)
		all := got.read()
		if len(all) != 1 {
			t.Fatalf("%d gaps\n%s", len(all), log.String())
		}
		if g := all[0]; g.From.After(died) || died.Sub(g.From) > silence || g.To.Before(back) || !strings.Contains(g.Reason, "no sign of life") {
			t.Errorf("%+v; it died at %v and was back at %v", g, died, back)
		}
		if lines := strings.Count(log.String(), "\n"); lines < 1 || lines > 4 || !strings.Contains(log.String(), "no sign of life") {
			t.Errorf("log:\n%s", log.String())
		}
	})
}

// gaps is a Receiver that keeps the gaps it is told of.
type gaps struct {
	mu  sync.Mutex
	all []Gap
}

func (g *gaps) Message(string, []byte) {}
func (g *gaps) Ended(error)            {}
func (g *gaps) Missed(one Gap) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all = append(g.all, one)
}

func (g *gaps) read() []Gap {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.all
}

// slow is a Receiver that takes its time.
type slow struct {
	record
	d time.Duration
}

func (s slow) Message(channel string, payload []byte) {
	time.Sleep(s.d)
	s.record.Message(channel, payload)
}

func TestSlowReceiverIsNotDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := redistest.NewBubble(t)
		got := make(record, 10)
		hub := hubOf(t, srv.Client())
		subscribe(t, hub, Channel, "ch", slow{got, 5 * time.Minute})
		for range 3 {
			srv.M.Publish("ch", "x")
			time.Sleep(47 * time.Second)
		}
		for range 3 {
			if m := <-got; m != "ch=x" {
				t.Fatalf("got %q", m)
			}
		}
		if s := hub.Stats(); s.Reconnects != 0 || s.Received != 3 {
			t.Errorf("%+v", s)
		}
	})
}

// A gap begins where it is known that all has arrived: at the ping behind the last messages.
func TestGapBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := redistest.NewBubble(t)
		got := &gaps{}
		hub := hubOf(t, srv.Client())
		subscribe(t, hub, Channel, "ch", got)
		subscribed := time.Now()
		time.Sleep(3 * time.Second)
		srv.Cut()
		time.Sleep(2 * time.Second)
		for range 20 {
			srv.M.Publish("ch", "x")
			time.Sleep(100 * time.Millisecond)
		}
		last := time.Now()
		time.Sleep(10 * time.Second)
		srv.Cut()
		cut := time.Now()
		time.Sleep(2 * time.Second)
		all := got.read()
		if len(all) != 2 {
			t.Fatalf("%d gaps", len(all))
		}
		first, second := all[0], all[1]
		if took := first.To.Sub(first.From); !first.From.Equal(subscribed) || took < 3*time.Second || took > 4*time.Second {
			t.Errorf("%+v; subscribed at %v", first, subscribed)
		}
		if first.Reason != "connection lost: EOF" {
			t.Errorf("the reason is %q", first.Reason)
		}
		if off := second.From.Sub(last); off < -markEvery || off > markEvery || !second.To.After(cut) {
			t.Errorf("%+v; the last message was at %v", second, last)
		}
	})
}

// A receiver may leave from within.
func TestLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := redistest.NewBubble(t)
		hub := hubOf(t, srv.Client())
		var one leaver
		one.sub = subscribe(t, hub, Channel, "ch", &one)
		srv.M.Publish("ch", "x")
		synctest.Wait()
		if n := srv.M.Publish("ch", "y"); n != 0 || one.n != 1 {
			t.Errorf("%d subscriptions, %d messages", n, one.n)
		}
	})
}

type leaver struct {
	gaps
	sub *Sub
	n   int
}

func (l *leaver) Message(string, []byte) {
	l.n++
	l.sub.Leave()
}

// Something on the way has forgotten the connection: no error, no end, and new ones work.
func TestHalfOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := redistest.NewBubble(t)
		got := &gaps{}
		subscribe(t, hubOf(t, srv.Client()), Channel, "ch", got)
		time.Sleep(time.Minute)
		srv.BlackHole(false)
		began := time.Now()
		redistest.WaitFor(t, 2*silence, func() bool { return len(got.read()) > 0 }, "the gap")
		g := got.read()[0]
		if took := time.Since(began); took > silence+patience+reconnects.Cap || g.From.After(began) || began.Sub(g.From) > silence {
			t.Errorf("%+v; it was cut at %v, told after %v", g, began, took)
		}
		if g.Reason != "connection lost: no sign of life for 35s" {
			t.Errorf("the reason is %q", g.Reason)
		}
		if n := srv.M.Publish("ch", "x"); n != 2 { // the server has not heard of the old one's end
			t.Errorf("%d subscriptions", n)
		}
	})
}
