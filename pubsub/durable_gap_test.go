package pubsub

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/bus"
	"github.com/tidemill/tidemill/internal/redistest"
)

// What retention drops before a group or a follower had it is told; who keeps up is told nothing.
func TestRetentionIsTold(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.Client(t, redistest.Server(t)), KeepCount(10))
	swift, slow := r.join("swift"), r.join("slow", Batch(1))
	follow, stop := iter.Pull2(r.topic.Follow(t.Context(), FromStart))
	defer stop()
	r.publish(1, 1)
	ack(t, next(t, slow, 1, 1))
	ack(t, next(t, swift, 1, 1))
	if msg, err, ok := follow(); !ok || err != nil || msg.Data.N != 1 {
		t.Fatal(msg, err)
	}
	for n := 2; n <= 100; n++ {
		r.publish(n, n)
		ack(t, next(t, swift, n, 1))
	}
	handled, told := make(chan int, 100), make(chan *Gap, 10)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- slow.Handle(ctx, func(_ context.Context, msg *Message[order]) error { handled <- msg.Data.N; return nil },
			OnGap(func(_ context.Context, g *Gap) { told <- g }))
	}()
	gap := <-told
	if gap.Reason == "" || gap.To.Before(gap.From) || time.Since(gap.To) > time.Minute {
		t.Errorf("%+v", gap)
	}
	for last := 1; last < 100; {
		n := <-handled
		if n <= last || n > 2 && n < 91 {
			t.Errorf("message %d came after %d", n, last)
		}
		last = n
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err, _ := follow(); !errors.As(err, &gap) {
		t.Errorf("a follower was told %v", err)
	}
	for n := 91; n <= 100; n++ {
		if msg, err, _ := follow(); err != nil || msg.Data.N != n {
			t.Fatalf("%v, %v, want %d", msg, err, n)
		}
	}
	if n := r.client.Stats().Gaps; n != 1 {
		t.Errorf("%d gaps", n)
	}
}

// counter counts requests.
type counter struct{ n atomic.Int64 }

func (c *counter) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *counter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.n.Add(1)
		return next(ctx, cmd)
	}
}

func (c *counter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.n.Add(int64(len(cmds)))
		return next(ctx, cmds)
	}
}

// A member with nothing to do asks Redis once in 2 s, and a follower too; nothing blocks a connection.
func TestIdleMemberIsCheap(t *testing.T) {
	inBubble(t, func(t *testing.T, b *redistest.Bubble) {
		rdb := b.Client()
		var c counter
		rdb.AddHook(&c)
		r := newRig(t, rdb)
		m := r.join("g")
		go func() {
			_ = m.Handle(t.Context(), func(context.Context, *Message[order]) error { return nil }, Concurrency(50))
		}()
		time.Sleep(10 * time.Second)
		before := c.n.Load()
		time.Sleep(10 * time.Minute)
		if n := c.n.Load() - before; n > 301 || n < 299 {
			t.Errorf("%d requests in 10 minutes", n)
		}
		if n := b.Connections(); n > 2 { // the pool's and the subscription
			t.Errorf("%d connections", n)
		}
		m.Close()
	})
}

// A gap is told once where the answers that bring it are lost, and by another member where the first is gone before a consumer
// came for it.
func TestGapOutlivesItsTeller(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	publisher := newRig(t, redistest.Client(t, srv), KeepCount(10))
	r := newRig(t, redistest.Client(t, srv))
	group := bus.Group{Topic: r.topic.keys, Name: "g", Session: "first"}
	beat := func(mode bus.Mode, told int64) bus.Pulse {
		t.Helper()
		p, err := r.client.streams.Beat(t.Context(), group, mode, time.Minute, "0-0", told)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	publisher.publish(1, 1)
	beat(bus.Register, 0)
	publisher.publish(2, 50)
	first := beat(bus.Keep, 0)
	if again := beat(bus.Keep, first.MissedUS-1); first.Missed != "0-0" || again.Missed != "0-0" || again.MissedUS != first.MissedUS {
		t.Errorf("%+v, and again %+v", first, again)
	}
	publisher.publish(51, 100) // another gap, behind the one that is being told
	if p := beat(bus.Keep, first.MissedUS); p.Missed != "0-0" || p.MissedUS <= first.MissedUS {
		t.Errorf("%+v", p)
	}
	beat(bus.Bye, 0)
	second := r.join("g", Batch(1))
	var gap *Gap
	if msg, err := second.Next(t.Context()); !errors.As(err, &gap) {
		t.Fatalf("%v, %v", msg, err)
	}
	for n := 91; n <= 100; n++ {
		ack(t, next(t, second, n, 1))
	}
	second.Close()
	about := publisher.client.Redis().HGetAll(t.Context(), r.topic.keys.About()).Val()
	if n := r.client.Stats().Gaps; n != 1 || about["tell:g"]+about["missed:g"] != "" {
		t.Errorf("%d gaps, %v", n, about)
	}
}

// Who goes on behind a message that is dropped by now is told that more may be; who goes on behind one that is kept, or
// between two that are, is not.
func TestResumingBehindADroppedMessage(t *testing.T) {
	inBubble(t, func(t *testing.T, b *redistest.Bubble) {
		r := newRig(t, b.Client(), KeepCount(10))
		r.publish(1, 5)
		positions := make(map[int]string)
		note := func() {
			for msg, err := range r.topic.Replay(t.Context(), FromStart) {
				if err != nil {
					t.Fatal(err)
				}
				positions[msg.Data.N] = msg.Position
			}
		}
		note()
		if got := numbers(t, r.topic.Replay(t.Context(), FromPosition(positions[3]))); got != "4 5" {
			t.Errorf("behind one that is kept: %s", got)
		}
		time.Sleep(time.Second)
		r.publish(6, 20)
		note()
		var gap *Gap
		next, stop := iter.Pull2(r.topic.Replay(t.Context(), FromPosition(positions[3])))
		defer stop()
		if msg, err, _ := next(); !errors.As(err, &gap) || gap.From.UnixMilli() > gap.To.UnixMilli() {
			t.Errorf("%v, %v", msg, err)
		}
		for n := 11; n <= 20; n++ {
			if msg, err, _ := next(); err != nil || msg.Data.N != n {
				t.Fatalf("%v, %v, want %d", msg, err, n)
			}
		}
		if err := b.Client().XDel(t.Context(), r.topic.keys.Stream(), positions[15]).Err(); err != nil {
			t.Fatal(err)
		}
		if got := numbers(t, r.topic.Replay(t.Context(), FromPosition(positions[15]))); got != "16 17 18 19 20" {
			t.Errorf("behind one that was deleted from between others: %s", got)
		}
	})
}
