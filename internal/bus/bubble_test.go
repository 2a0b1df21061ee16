package bus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/internal/conn"
)

// start runs a subscription and returns what ends it and waits for its result.
func start(t testing.TB, ctx context.Context, rdb redis.UniversalClient, h Handler, channels ...string) (end func() error) {
	ctx, cancel := context.WithCancel(ctx)
	result := make(chan error, 1)
	go func() { result <- Run(ctx, rdb, channels, h) }()
	t.Cleanup(cancel)
	return func() error { cancel(); return <-result }
}

func TestMessagesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startPipe(t)
		rdb, got := srv.client(t), make(record)
		end := start(t, t.Context(), srv.dedicated(t), got, "b", "a", "b")
		if first := got.next(t); first != "connected" {
			t.Fatalf("got %q before Connected", first)
		}
		for i := range 50 {
			channel := string("ab"[i%2])
			if err := Publish(t.Context(), rdb, channel, fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
			if m := got.next(t); m != fmt.Sprintf("%s=%d", channel, i) {
				t.Fatalf("message %d is %q", i, m)
			}
		}
		before := time.Now()
		if err := end(); err != nil || time.Since(before) > 0 {
			t.Fatalf("ended with %v after %v", err, time.Since(before))
		}
		if err := Publish(t.Context(), rdb, "a", "nobody listens"); err != nil {
			t.Fatal(err)
		}
	})
}

func TestReconnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startPipe(t)
		got := make(record)
		var log bytes.Buffer
		end := start(t, zerolog.New(&log).WithContext(t.Context()), srv.dedicated(t), got, "ch")
		began := time.Now()
		for range 20 {
			if first := got.next(t); first != "connected" {
				t.Fatalf("got %q, want Connected after each reconnect", first)
			}
			if n := srv.Publish("ch", "x"); n != 1 {
				t.Fatalf("%d subscribers", n)
			}
			if m := got.next(t); m != "ch=x" {
				t.Fatalf("got %q", m)
			}
			srv.cut()
		}
		if took := time.Since(began); took > 20*reconnects.Cap || took < 5*time.Second {
			t.Errorf("20 reconnects took %v", took)
		}
		if n := srv.dials.Load(); n > 21 {
			t.Errorf("%d connections for 20 subscriptions: go-redis reconnects beside us", n)
		}
		if lines := strings.Count(log.String(), "\n"); lines < 1 || lines > 4 {
			t.Errorf("log:\n%s", log.String())
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestIdleIsCheap counts requests over a silent day.
func TestIdleIsCheap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startPipe(t)
		got := make(record)
		end := start(t, t.Context(), srv.dedicated(t), got, "ch")
		got.next(t)
		before := srv.requests.Load()
		time.Sleep(24 * time.Hour)
		rate := float64(srv.requests.Load()-before) / (24 * 60 * 60)
		if rate > 0.04 || rate < 0.02 {
			t.Errorf("%.4f requests/s while idle", rate)
		}
		if n := srv.dials.Load(); n != 1 {
			t.Errorf("%d connections made", n)
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestDeadSocketIsNoticed swallows replies: no error, no end, only silence.
func TestDeadSocketIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startPipe(t)
		got := make(record)
		var log bytes.Buffer
		end := start(t, zerolog.New(&log).WithContext(t.Context()), srv.dedicated(t), got, "ch")
		got.next(t)
		time.Sleep(10 * time.Second)
		srv.dead.Store(true)
		died := time.Now()
		time.Sleep(time.Minute)
		srv.dead.Store(false)
		back := time.Now()
		if m := <-got; m != "connected" {
			t.Fatalf("got %q", m)
		}
		if took := time.Since(back); took > connecting+reconnects.Cap {
			t.Errorf("found again after %v", took)
		}
		if lines := strings.Count(log.String(), "\n"); lines < 1 || lines > 4 || !strings.Contains(log.String(), "no sign of life") {
			t.Errorf("log after %v:\n%s", time.Since(died), log.String())
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
	})
}

// slow is a Handler that takes its time.
type slow struct {
	record
	d time.Duration
}

func (s slow) Message(channel, payload string) {
	time.Sleep(s.d)
	s.record.Message(channel, payload)
}

func TestSlowHandlerIsNotDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startPipe(t)
		rdb, got := srv.client(t), make(record, 10)
		end := start(t, t.Context(), srv.dedicated(t), slow{got, 5 * time.Minute}, "ch")
		<-got
		for range 3 {
			if err := Publish(t.Context(), rdb, "ch", "x"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(47 * time.Second)
		}
		for range 3 {
			if m := <-got; m != "ch=x" {
				t.Fatalf("got %q", m)
			}
		}
		if n := srv.dials.Load(); n != 2 { // the publisher's and ours
			t.Errorf("%d connections made", n)
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestEndsWhileConnecting meets a server that accepts and never answers.
func TestEndsWhileConnecting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startPipe(t)
		srv.dead.Store(true)
		var log bytes.Buffer
		end := start(t, zerolog.New(&log).WithContext(t.Context()), srv.dedicated(t), make(record), "ch")
		time.Sleep(time.Second)
		before := time.Now()
		if err := end(); err != nil || time.Since(before) > connecting {
			t.Errorf("ended with %v after %v", err, time.Since(before))
		}
	})
}

func TestEndsWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dials atomic.Int64
		rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", Dialer: func(context.Context, string, string) (net.Conn, error) {
			dials.Add(1)
			return nil, &net.OpError{Op: "dial", Err: errors.New("refused")}
		}})
		defer func() { _ = rdb.Close() }()
		end := start(t, t.Context(), rdb, make(record), "ch")
		time.Sleep(time.Minute)
		if n := dials.Load(); n < 60 || n > 150 { // a wait of 0.5 to 1 s
			t.Errorf("%d dials in a minute", n)
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestWhatCannotWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startPipe(t)
		rdb := srv.client(t)
		if err := Run(t.Context(), rdb, nil, make(record)); err == nil {
			t.Error("no channels is accepted")
		}
		_ = rdb.Close()
		if err := Run(t.Context(), rdb, []string{"ch"}, make(record)); !errors.Is(err, redis.ErrClosed) {
			t.Errorf("a closed client: %v", err)
		}
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
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := Run(ended, rdb, []string{"ch"}, make(record)); err != nil {
			t.Errorf("an ended context: %v", err)
		}
	})
}
