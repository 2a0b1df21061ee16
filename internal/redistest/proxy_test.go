package redistest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/tidemill/tidemill/internal/redisserver"
)

const soon = time.Minute

// short makes a client give up on a reply after 50 ms.
func short(o *redis.Options) { o.ReadTimeout = 50 * time.Millisecond }

func TestProxyPassesEverything(t *testing.T) {
	EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		ctx, p := t.Context(), NewProxy(t, srv.Addr())
		rdb := p.Client()
		big := make([]byte, 1<<20)
		if err := rdb.Set(ctx, "big", big, 0).Err(); err != nil {
			t.Fatal(err)
		}
		cmds, err := rdb.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for range 2000 {
				pipe.RPush(ctx, "l", big[:1000])
			}
			pipe.Get(ctx, "big")
			return nil
		})
		if err != nil || len(cmds[2000].(*redis.StringCmd).Val()) != len(big) {
			t.Fatalf("pipeline: %v", err)
		}
		ps := rdb.PSubscribe(ctx, "c*")
		defer ps.Close()
		if _, err := ps.Receive(ctx); err != nil {
			t.Fatal(err)
		}
		rdb.Publish(ctx, "c1", "hello")
		if m, err := ps.ReceiveMessage(ctx); err != nil || m.Payload != "hello" {
			t.Fatalf("message %v, %v", m, err)
		}
	})
}

func TestProxyDroppedReplyWasExecuted(t *testing.T) {
	srv := Server(t)
	ctx, p, direct := t.Context(), NewProxy(t, srv.Addr()), Client(t, srv)
	rdb := p.Client()
	p.DropReply(Once(On("RPUSH")))
	if err := rdb.RPush(ctx, "l", "x").Err(); err == nil {
		t.Fatal("the reply arrived")
	}
	if n := direct.LLen(ctx, "l").Val(); n != 1 {
		t.Errorf("%d elements after a push whose reply was lost", n)
	}
	p.DropReply(Nth(2, On("BLPOP"))) // the only copy is gone: pitfall 1
	direct.RPush(ctx, "l", "y")
	if err := rdb.BLPop(ctx, time.Second, "l").Err(); err != nil {
		t.Fatal(err)
	}
	if err := rdb.BLPop(ctx, time.Second, "l").Err(); err == nil {
		t.Fatal("the reply arrived")
	}
	if n := direct.LLen(ctx, "l").Val(); n != 0 {
		t.Errorf("%d elements after a pop whose reply was lost", n)
	}
	if p.Dropped() != 2 {
		t.Errorf("%d replies dropped", p.Dropped())
	}
}

func TestProxyDropInTransaction(t *testing.T) {
	srv := Server(t)
	ctx, p, direct := t.Context(), NewProxy(t, srv.Addr()), Client(t, srv)
	p.DropReply(On("INCR"))
	_, err := p.Client().TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.Incr(ctx, "n")
		pipe.Incr(ctx, "n")
		return nil
	})
	if err == nil {
		t.Fatal("the transaction's reply arrived")
	}
	if n := direct.Get(ctx, "n").Val(); n != "2" {
		t.Errorf("n is %q", n)
	}
}

func TestProxyDelayedReply(t *testing.T) {
	srv := Server(t)
	ctx, p := t.Context(), NewProxy(t, srv.Addr())
	const d = 30 * time.Millisecond
	p.DelayReply(On("SET"), d)
	rdb, start := p.Client(), time.Now()
	if err := rdb.Set(ctx, "k", "v", 0).Err(); err != nil || time.Since(start) < d {
		t.Errorf("SET: %v after %v", err, time.Since(start))
	}
	p.DelayReply(On("SET"), time.Hour)
	if err := p.Client(short).Set(ctx, "k", "w", 0).Err(); err == nil {
		t.Error("a reply arrived an hour early")
	}
	p.DelayReply(nil, 0)
	if got := rdb.Get(ctx, "k").Val(); got != "w" {
		t.Errorf("the command timed out on was not executed: %q", got)
	}
	WaitFor(t, soon, func() bool { return p.Connections() == 1 }, "the abandoned connection to end")
}

func TestProxyLateRequest(t *testing.T) {
	srv := Server(t)
	ctx, p, direct := t.Context(), NewProxy(t, srv.Addr()), Client(t, srv)
	release := p.HoldRequest(Once(On("SET")))
	other := p.HoldRequest(On("NEVER")) // several holds may be in force
	defer other()
	rdb := p.Client(short)
	if err := rdb.Set(ctx, "k", "old", 0).Err(); err == nil {
		t.Fatal("the held request was answered")
	}
	if err := rdb.Close(); err != nil {
		t.Fatal(err)
	}
	if err := p.Client().Set(ctx, "k", "new", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if n := p.Held(); n != 1 {
		t.Errorf("%d requests held", n)
	}
	if got := direct.Get(ctx, "k").Val(); got != "new" {
		t.Errorf("k is %q before the release", got)
	}
	release()
	if got := direct.Get(ctx, "k").Val(); got != "old" {
		t.Errorf("k is %q after the release", got)
	}
}

func TestProxyCutAndRefuse(t *testing.T) {
	srv := Server(t)
	ctx, p, direct := t.Context(), NewProxy(t, srv.Addr()), Client(t, srv)
	rdb := p.Client()
	popped := make(chan error, 1)
	go func() { popped <- rdb.BLPop(ctx, 0, "l").Err() }()
	WaitFor(t, soon, func() bool { return p.Connections() == 1 && blocked(ctx, direct) == "1" }, "the pop to block")
	p.Refuse(true)
	p.Cut()
	if err := <-popped; err == nil {
		t.Error("the blocked client did not notice the cut")
	}
	WaitFor(t, soon, func() bool { return blocked(ctx, direct) == "0" }, "the server to forget the blocked client")
	if err := rdb.Ping(ctx).Err(); err == nil {
		t.Error("connected while refused")
	}
	p.Refuse(false)
	if err := rdb.Ping(ctx).Err(); err != nil {
		t.Error(err)
	}
}

func blocked(ctx context.Context, rdb *redis.Client) string {
	return rdb.InfoMap(ctx, "clients").Item("Clients", "blocked_clients")
}

func TestProxyBeforeDeadServer(t *testing.T) {
	srv := Server(t, WithAOF("always"))
	ctx, p := t.Context(), NewProxy(t, srv.Addr())
	rdb := p.Client()
	if err := rdb.Set(ctx, "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	srv.Kill()
	if err := rdb.Get(ctx, "k").Err(); err == nil || errors.Is(err, redis.Nil) {
		t.Errorf("a dead server answered: %v", err)
	}
	if err := srv.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	WaitFor(t, soon, func() bool { return rdb.Get(ctx, "k").Val() == "v" }, "the client to find the server again")
}

func TestProxyLeavesNoGoroutine(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("in the middle", func(t *testing.T) {
		srv := Server(t)
		ctx, p := t.Context(), NewProxy(t, srv.Addr())
		p.HoldRequest(On("SET"))
		p.DelayReply(On("GET"), time.Hour)
		rdb := p.Client(short)
		rdb.Set(ctx, "k", "v", 0)
		rdb.Get(ctx, "k")
		go rdb.BLPop(ctx, 0, "l")
		WaitFor(t, soon, func() bool { return p.Held() == 1 }, "the request to be held")
	})
}
