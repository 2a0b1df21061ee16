package redistest

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
)

// inBubble runs a test against a Bubble, with both versions of the protocol.
func inBubble(t *testing.T, run func(t *testing.T, b *Bubble, protocol func(*redis.Options))) {
	for _, version := range []int{2, 3} {
		t.Run("RESP"+strconv.Itoa(version), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				run(t, NewBubble(t), func(o *redis.Options) { o.Protocol = version })
			})
		})
	}
}

func TestEmbeddedKeepsBubbleTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rdb, ctx := Embedded(t), t.Context()
		if err := rdb.Set(ctx, "k", "v", 3*time.Hour).Err(); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		time.Sleep(3*time.Hour - time.Second)
		if got := rdb.Get(ctx, "k").Val(); got != "v" {
			t.Errorf("the key went early: %q", got)
		}
		time.Sleep(time.Second)
		if err := rdb.Get(ctx, "k").Err(); !errors.Is(err, redis.Nil) {
			t.Errorf("the key outlived its TTL: %v", err)
		}
		if took := time.Since(start); took != 3*time.Hour {
			t.Errorf("the clock moved %v", took)
		}
	})
}

// Over net.Pipe this would stand still: both sides would be writing.
func TestBubbleTakesLongPipelines(t *testing.T) {
	inBubble(t, func(t *testing.T, b *Bubble, protocol func(*redis.Options)) {
		const n = 2000
		cmds, err := b.Client(protocol).Pipelined(t.Context(), func(p redis.Pipeliner) error {
			for i := range n {
				p.RPush(t.Context(), "l", "a value long enough to fill the buffers on the way", i)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if last := cmds[n-1].(*redis.IntCmd).Val(); last != 2*n {
			t.Errorf("the last push says %d", last)
		}
	})
}

func TestBubbleBlockingPopBetweenClients(t *testing.T) {
	inBubble(t, func(t *testing.T, b *Bubble, protocol func(*redis.Options)) {
		ctx, start := t.Context(), time.Now()
		pusher, popper := b.Client(protocol), b.Client(protocol)
		time.AfterFunc(7*time.Second, func() { pusher.LPush(ctx, "l", "x") })
		got, err := popper.BLPop(ctx, 10*time.Second, "l").Result()
		if err != nil || got[1] != "x" || time.Since(start) != 7*time.Second {
			t.Errorf("%q, %v after %v", got, err, time.Since(start))
		}
		start = time.Now()
		if err := popper.BLPop(ctx, 10*time.Second, "l").Err(); !errors.Is(err, redis.Nil) || time.Since(start) != 10*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestBubblePubSub(t *testing.T) {
	inBubble(t, func(t *testing.T, b *Bubble, protocol func(*redis.Options)) {
		ctx, rdb := t.Context(), b.Client(protocol)
		ps := rdb.Subscribe(ctx, "a", "b")
		defer ps.Close()
		for range 2 {
			if _, err := ps.Receive(ctx); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Hour)
		for _, text := range []string{"1", "2"} {
			if err := rdb.Publish(ctx, "b", text).Err(); err != nil {
				t.Fatal(err)
			}
			if m, err := ps.ReceiveMessage(ctx); err != nil || m.Payload != text {
				t.Fatalf("%v, %v", m, err)
			}
		}
		// A message between the commands of a subscriber is no answer to them.
		rdb.Publish(ctx, "a", "3")
		synctest.Wait() // miniredis hands it over on a goroutine of its own
		b.DropReplies(On("UNSUBSCRIBE"))
		if err := ps.Unsubscribe(ctx, "a", "b"); err != nil {
			t.Fatal(err)
		}
		if m, err := ps.ReceiveMessage(ctx); err != nil || m.Payload != "3" {
			t.Fatalf("the message before the lost reply: %v, %v", m, err)
		}
		synctest.Wait()
		if n := b.Dropped(); n != 1 {
			t.Errorf("%d replies dropped", n)
		}
	})
}

// Whatever is going on when a test ends, the bubble ends with it: synctest
// fails a test that leaves a goroutine behind.
func TestBubbleEndsInTheMiddle(t *testing.T) {
	inBubble(t, func(t *testing.T, b *Bubble, protocol func(*redis.Options)) {
		ctx := t.Context()
		b.HoldRequest(On("SET"))
		b.Delay(func(cmd string, _ []string) time.Duration {
			if cmd == "GET" {
				return 1000 * time.Hour
			}
			return 0
		})
		rdb := b.Client(protocol, func(o *redis.Options) { o.ReadTimeout = -1 })
		for _, call := range []func(context.Context){
			func(ctx context.Context) { rdb.BLPop(ctx, 0, "l") },
			func(ctx context.Context) { rdb.BLPop(ctx, time.Hour, "l") },
			func(ctx context.Context) { rdb.Set(ctx, "k", "v", 0) },
			func(ctx context.Context) { rdb.Get(ctx, "k") },
			func(ctx context.Context) { _, _ = rdb.Subscribe(ctx, "c").ReceiveMessage(ctx) },
		} {
			go call(ctx)
		}
		synctest.Wait()
	})
}
