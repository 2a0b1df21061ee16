package redistest

import (
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestBubbleDroppedReplyWasExecuted(t *testing.T) {
	inBubble(t, func(t *testing.T, b *Bubble, protocol func(*redis.Options)) {
		ctx, rdb := t.Context(), b.Client(protocol)
		b.DropReplies(Once(On("incr")))
		if n, err := rdb.Incr(ctx, "n").Result(); err == nil {
			t.Fatalf("the reply %d arrived", n)
		}
		if n, err := rdb.Incr(ctx, "n").Result(); err != nil || n != 2 {
			t.Errorf("the second INCR gave %d, %v", n, err)
		}
		if b.Dropped() != 1 {
			t.Errorf("%d replies dropped", b.Dropped())
		}
		// The same with scripts, by their arguments.
		b.DropReplies(func(cmd string, args []string) bool { return cmd == "EVAL" && args[2] == "n" })
		if err := rdb.Eval(ctx, "return redis.call('INCR', KEYS[1])", []string{"n"}).Err(); err == nil {
			t.Error("the script's reply arrived")
		}
		b.DropReplies(nil)
		if got := rdb.Get(ctx, "n").Val(); got != "3" {
			t.Errorf("n is %q after three increments", got)
		}
	})
}

// What go-redis does by default when a reply is lost: it repeats the command.
func TestBubbleRetryRunsTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBubble(t)
		rdb := b.Client(func(o *redis.Options) { o.MaxRetries = 3 })
		b.DropReplies(Once(On("RPUSH")))
		if n, err := rdb.RPush(t.Context(), "l", "x").Result(); err != nil || n != 2 {
			t.Errorf("RPUSH gave %d, %v; want 2, as it ran twice", n, err)
		}
	})
}

func TestBubbleDropInPipeline(t *testing.T) {
	inBubble(t, func(t *testing.T, b *Bubble, protocol func(*redis.Options)) {
		ctx, rdb := t.Context(), b.Client(protocol)
		b.DropReplies(Once(func(cmd string, args []string) bool { return cmd == "RPUSH" && args[1] == "5" }))
		cmds, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i := range 10 {
				p.RPush(ctx, "l", i)
			}
			return nil
		})
		if err == nil {
			t.Fatal("the pipeline succeeded")
		}
		// go-redis puts the error on every command of the pipeline, also on those
		// whose reply it has read; their values show that they arrived.
		for i, cmd := range cmds {
			if arrived := cmd.(*redis.IntCmd).Val() == int64(i+1); arrived != (i < 5) {
				t.Errorf("reply %d arrived: %v", i, arrived)
			}
		}
		if n := rdb.LLen(ctx, "l").Val(); n != 10 {
			t.Errorf("%d of 10 commands were executed", n)
		}
	})
}

func TestBubbleDropInsideMulti(t *testing.T) {
	inBubble(t, func(t *testing.T, b *Bubble, protocol func(*redis.Options)) {
		ctx, rdb := t.Context(), b.Client(protocol)
		b.DropReplies(Once(On("INCR"))) // queued: the lost reply is EXEC's
		_, err := rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.Incr(ctx, "n")
			p.Set(ctx, "k", "v", 0)
			return nil
		})
		if err == nil {
			t.Fatal("the transaction's reply arrived")
		}
		if n, k := rdb.Get(ctx, "n").Val(), rdb.Get(ctx, "k").Val(); n != "1" || k != "v" {
			t.Errorf("the transaction left n=%q k=%q", n, k)
		}
		// One command a write, so that EXEC is not in the same batch.
		conn := rdb.Conn()
		defer conn.Close()
		b.DropReplies(Once(On("INCR")))
		for i, words := range [][]any{{"MULTI"}, {"INCR", "n"}, {"EXEC"}} {
			if err := conn.Do(ctx, words...).Err(); (err == nil) != (i < 2) {
				t.Errorf("%v: %v", words, err)
			}
		}
		if n := rdb.Get(ctx, "n").Val(); n != "2" {
			t.Errorf("n is %q after two transactions", n)
		}
	})
}

func TestBubbleDelay(t *testing.T) {
	inBubble(t, func(t *testing.T, b *Bubble, protocol func(*redis.Options)) {
		ctx, rdb := t.Context(), b.Client(protocol)
		b.Delay(func(cmd string, args []string) time.Duration {
			if cmd == "SET" {
				return 2 * time.Second
			}
			return 0
		})
		start := time.Now()
		executed := make(chan time.Duration, 1)
		time.AfterFunc(time.Second, func() {
			if b.M.Exists("k") {
				executed <- time.Since(start)
			}
		})
		if err := rdb.Set(ctx, "k", "v", 0).Err(); err != nil || time.Since(start) != 2*time.Second {
			t.Errorf("SET: %v after %v", err, time.Since(start))
		}
		if at := <-executed; at != time.Second {
			t.Errorf("the command was executed by %v", at)
		}
		b.Delay(func(string, []string) time.Duration { return time.Hour })
		start = time.Now()
		if err := rdb.Set(ctx, "k", "w", 0).Err(); err == nil || time.Since(start) != 5*time.Second {
			t.Errorf("past the read timeout: %v after %v", err, time.Since(start))
		}
		b.Delay(nil)
		if got := rdb.Get(ctx, "k").Val(); got != "w" {
			t.Errorf("the command timed out on was not executed: %q", got)
		}
	})
}

func TestBubbleHeldRequestArrivesLate(t *testing.T) {
	inBubble(t, func(t *testing.T, b *Bubble, protocol func(*redis.Options)) {
		ctx, rdb := t.Context(), b.Client(protocol)
		release := b.HoldRequest(Once(On("SET")))
		if err := rdb.Set(ctx, "k", "old", 0).Err(); err == nil {
			t.Fatal("the held request was answered")
		}
		if b.Held() != 1 {
			t.Errorf("%d requests held", b.Held())
		}
		if err := rdb.Set(ctx, "k", "new", 0).Err(); err != nil {
			t.Fatal(err)
		}
		b.Cut() // the client has gone for good; the request has not
		release()
		if got, _ := b.M.Get("k"); got != "old" {
			t.Errorf("k is %q after the late request", got)
		}
		if b.Held() != 0 {
			t.Errorf("%d requests held after the release", b.Held())
		}
		release() // harmless
	})
}

func TestBubbleHeldRequestOfPatientClient(t *testing.T) {
	inBubble(t, func(t *testing.T, b *Bubble, protocol func(*redis.Options)) {
		ctx, rdb := t.Context(), b.Client(protocol)
		release := b.HoldRequest(On("SET"))
		time.AfterFunc(time.Second, release)
		start := time.Now()
		_, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			p.Incr(ctx, "n")
			p.Set(ctx, "k", "v", 0)
			p.Incr(ctx, "n")
			return nil
		})
		if err != nil || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestBubbleCutAndRefuse(t *testing.T) {
	inBubble(t, func(t *testing.T, b *Bubble, protocol func(*redis.Options)) {
		ctx, rdb := t.Context(), b.Client(protocol)
		popped := make(chan error, 1)
		go func() { popped <- rdb.BLPop(ctx, 0, "l").Err() }()
		synctest.Wait()
		b.Refuse(true)
		b.Cut()
		if err := <-popped; err == nil {
			t.Error("the blocked client did not notice the cut")
		}
		if err := rdb.Ping(ctx).Err(); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("PING while refused: %v", err)
		}
		b.Refuse(false)
		if err := rdb.RPush(ctx, "l", "x").Err(); err != nil {
			t.Fatal(err)
		}
		if n := rdb.LLen(ctx, "l").Val(); n != 1 {
			t.Errorf("the client that was cut took the element: %d left", n)
		}
	})
}
