package queue

import (
	"context"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/broker"
)

// silent is an express connection, which is taken, to a server that says nothing.
func silent(t *testing.T) *broker.Express {
	t.Helper()
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	x := broker.NewExpress(func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", server.Addr().String())
	}, func() {}, time.Minute)
	t.Cleanup(x.Close)
	for start := time.Now(); !x.Take(); runtime.Gosched() {
		if time.Since(start) > 10*time.Second {
			t.Fatal("no connection")
		}
	}
	return x
}

// TestConvoyLetsOthersBeLookedAt: where the process has one processor its other connections are looked at only while this
// goroutine sleeps, so it does not watch for ever.
func TestConvoyLetsOthersBeLookedAt(t *testing.T) {
	now := time.Now()
	for _, one := range []bool{true, false} {
		c := &convoy{watch: true, one: one, last: now, slept: now.Add(-2 * sleepEvery)}
		x := silent(t)
		c.look(x)
		if watched := c.vain > 0; watched == one {
			t.Errorf("one processor %v: it watched: %v", one, watched)
		}
		if one && c.slept != now {
			t.Error("that it sleeps is not noted")
		}
		c.look(x)
		if c.vain == 0 {
			t.Errorf("one processor %v: it does not watch though it slept just now", one)
		}
	}
}

// TestConvoyDoesNotWatchInVain for long.
func TestConvoyDoesNotWatchInVain(t *testing.T) {
	c, x := &convoy{watch: true}, silent(t)
	for range vainLooks {
		if !c.watch {
			t.Fatalf("it gave up after %d looks", c.vain)
		}
		c.look(x)
	}
	if c.watch {
		t.Error("it goes on")
	}
	if c.watches(); c.watch != (runtime.NumCPU() > 1) || c.vain != 0 {
		t.Error("what was in vain before still counts")
	}
}

// TestConvoyCallsAreBounded, however many wait.
func TestConvoyCallsAreBounded(t *testing.T) {
	for _, large := range []bool{false, true} {
		c := &convoy{pace: pace{large: large}}
		for _, n := range []int{1, 3, 20, 500, 2001, 100_000} {
			if room := c.room(n); room < 1 || room > shareItems {
				t.Errorf("large %v: of %d who wait %d travel together", large, n, room)
			}
		}
	}
}

// TestConvoyThatIsOverSendsNothing, whoever waits.
func TestConvoyThatIsOverSendsNothing(t *testing.T) {
	if room := (&convoy{over: true}).room(20); room != 0 {
		t.Errorf("%d travel", room)
	}
}
