package redistest

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
)

func TestProxyBlackHole(t *testing.T) {
	srv := Server(t)
	ctx, p, direct := t.Context(), NewProxy(t, srv.Addr()), Client(t, srv)
	rdb, popper := p.Client(short), p.Client()
	popped := make(chan error, 1)
	go func() { popped <- popper.BLPop(ctx, 0, "l").Err() }()
	WaitFor(t, soon, func() bool { return blocked(ctx, direct) == "1" }, "the pop to block")
	if err := rdb.Ping(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	heal := p.BlackHole(false)
	// Requests do not arrive, and that their client has gone does not either.
	if err := rdb.Incr(ctx, "n").Err(); err == nil {
		t.Error("a silent connection answered")
	}
	// A reply does not arrive, though what it answers is done.
	direct.RPush(ctx, "l", "x")
	if n := direct.LLen(ctx, "l").Val(); n != 0 {
		t.Errorf("%d elements after the pop", n)
	}
	// New connections are as good as ever.
	if err := p.Client().Set(ctx, "k", "v", 0).Err(); err != nil {
		t.Error(err)
	}
	select {
	case err := <-popped:
		t.Errorf("the pop returned: %v", err)
	default:
	}
	if n := direct.Exists(ctx, "n").Val(); n != 0 {
		t.Error("a request got through")
	}
	heal()
	if err := <-popped; err != nil {
		t.Errorf("the pop after the hole: %v", err)
	}
	WaitFor(t, soon, func() bool { return direct.Get(ctx, "n").Val() == "1" }, "the request that was held")
}

func TestProxyBlackHoleForNewConnections(t *testing.T) {
	srv := Server(t)
	ctx, p := t.Context(), NewProxy(t, srv.Addr())
	old := p.Client(short)
	if err := old.Ping(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	heal := p.BlackHole(true)
	if err := old.Ping(ctx).Err(); err == nil {
		t.Error("an old connection answered")
	}
	fresh := p.Client(short)
	if err := fresh.Ping(ctx).Err(); err == nil || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("a new connection: %v", err)
	}
	WaitFor(t, soon, func() bool { return p.Connections() >= 2 }, "the server's sides, which nobody has told")
	heal()
	heal() // harmless
	WaitFor(t, soon, func() bool { return fresh.Ping(ctx).Err() == nil }, "a new connection to answer")
	WaitFor(t, soon, func() bool { return p.Connections() == 1 }, "the abandoned connections to end")
}

// A server that dies behind the hole is not heard of.
func TestProxyBlackHoleHidesTheEnd(t *testing.T) {
	srv := Server(t)
	ctx, p := t.Context(), NewProxy(t, srv.Addr())
	conn := p.Client(func(o *redis.Options) { o.ReadTimeout = 300 * time.Millisecond }).Conn()
	defer conn.Close()
	if err := conn.Ping(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	p.BlackHole(true)
	srv.Kill()
	if err := conn.Ping(ctx).Err(); err == nil || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("%v, want a timeout", err)
	}
}

// Rates are exact under fake time.
func TestBubbleBandwidth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBubble(t)
		ctx, rdb, other := t.Context(), b.Client(patient), b.Client(patient)
		for _, c := range []*redis.Client{rdb, other} {
			if err := c.Ping(ctx).Err(); err != nil {
				t.Fatal(err)
			}
		}
		took := func(up, down int, do func()) float64 {
			b.Bandwidth(up, down)
			defer b.Bandwidth(0, 0)
			start := time.Now()
			do()
			return time.Since(start).Seconds()
		}
		value := strings.Repeat("x", 100_000)
		set := func() {
			if err := rdb.Set(ctx, "k", value, 0).Err(); err != nil {
				t.Error(err)
			}
		}
		get := func() {
			if got, err := rdb.Get(ctx, "k").Result(); err != nil || got != value {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		}
		both := func() {
			done := make(chan error)
			go func() { done <- other.Set(ctx, "l", value, 0).Err() }()
			set()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		for i, c := range []struct {
			up, down int
			do       func()
			want     float64 // seconds
		}{
			{10_000, 0, set, 10}, {0, 10_000, set, 0}, {10_000, 0, get, 0}, {0, 20_000, get, 5},
			{0, 0, set, 0}, {10_000, 0, both, 20}, {1, 0, func() { rdb.Ping(ctx) }, 14},
		} {
			if got := took(c.up, c.down, c.do); got < c.want || got > c.want+0.1 {
				t.Errorf("case %d took %v s, want %v", i, got, c.want)
			}
		}
	})
}

func patient(o *redis.Options) { o.ReadTimeout, o.WriteTimeout = time.Hour, time.Hour }

func TestProxyBandwidth(t *testing.T) {
	srv := Server(t)
	ctx, p, direct := t.Context(), NewProxy(t, srv.Addr()), Client(t, srv)
	rdb := p.Client(short)
	if err := rdb.Ping(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	p.Bandwidth(200_000, 0)
	if err := rdb.Set(ctx, "k", make([]byte, 100_000), 0).Err(); err == nil {
		t.Error("half a second's worth arrived at once")
	}
	WaitFor(t, soon, func() bool { return direct.StrLen(ctx, "k").Val() == 100_000 }, "what was under way to arrive")
}

// A request of one connection arrives after a newer one of another, by their content alone.
func TestProxyReorder(t *testing.T) {
	srv := Server(t)
	ctx, p := t.Context(), NewProxy(t, srv.Addr())
	about := func(word string) Pred {
		return func(cmd string, args []string) bool { return cmd == "RPUSH" && args[1] == word }
	}
	p.Reorder(about("first"), about("second"))
	a, b := p.Client(), p.Client()
	if err := b.RPush(ctx, "l", "second").Err(); err != nil { // before any is held: no occasion
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- a.RPush(ctx, "l", "first").Err() }()
	WaitFor(t, soon, func() bool { return p.Held() == 1 }, "the first to be held")
	if err := b.RPush(ctx, "l", "other").Err(); err != nil {
		t.Fatal(err)
	}
	if err := b.RPush(ctx, "l", "second").Err(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := a.RPush(ctx, "l", "first").Err(); err != nil { // it was for once
		t.Fatal(err)
	}
	if got := strings.Join(b.LRange(ctx, "l", 0, -1).Val(), " "); got != "second other second first first" {
		t.Errorf("arrived: %s", got)
	}
	release := p.Reorder(about("first"), about("never"))
	go func() { done <- a.RPush(ctx, "l", "first").Err() }()
	WaitFor(t, soon, func() bool { return p.Held() == 1 }, "the last to be held")
	release()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Replies reach two connections in another order than they were given.
func TestProxyHoldReply(t *testing.T) {
	srv := Server(t)
	ctx, p, direct := t.Context(), NewProxy(t, srv.Addr()), Client(t, srv)
	release := p.HoldReply(Once(On("INCR")))
	a, b := p.Client(), p.Client()
	older := make(chan int64, 1)
	go func() { older <- a.Incr(ctx, "n").Val() }()
	WaitFor(t, soon, func() bool { return p.HeldReplies() == 1 }, "the reply to be held")
	if n := direct.Get(ctx, "n").Val(); n != "1" {
		t.Errorf("n is %s: it was not executed at once", n)
	}
	if n := b.Incr(ctx, "n").Val(); n != 2 {
		t.Errorf("the newer reply is %d", n)
	}
	select {
	case n := <-older:
		t.Errorf("the older reply, %d, was not held", n)
	default:
	}
	release()
	release() // harmless
	if n := <-older; n != 1 {
		t.Errorf("the older reply is %d", n)
	}
	// Nobody waits for a reply any more whose client has gone.
	p.HoldReply(On("GET"))
	p.Client(short).Get(ctx, "n")
	WaitFor(t, soon, func() bool { return p.HeldReplies() == 0 && p.Connections() == 2 }, "the abandoned connection to end")
}

func TestProxyFaultsLeaveNoGoroutine(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("in the middle", func(t *testing.T) {
		srv := Server(t)
		ctx, p := t.Context(), NewProxy(t, srv.Addr())
		p.HoldReply(On("GET"))
		p.Reorder(On("SET"), On("NEVER"))
		p.Client(short).Get(ctx, "k")
		p.Client(short).Set(ctx, "k", "v", 0)
		p.Bandwidth(10, 10)
		p.Client(short).Ping(ctx)
		p.BlackHole(true)
		p.Client(short).Ping(ctx)
		WaitFor(t, soon, func() bool { return p.Held() == 1 }, "the request to be held")
	})
}
