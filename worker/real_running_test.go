package worker

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/queue"
)

// TestRunningSet: however few at a time its jobs were claimed, a session that runs many has them in a set of many, in which no
// call walks past half of them; one that runs few does not pay for that; and of an emptied one nothing stays.
func TestRunningSet(t *testing.T) {
	r := onServer(t)
	open := make(chan struct{}, 200)
	mux := NewMux()
	Handle(mux, func(context.Context, *queue.Job[nap]) error {
		<-open
		return nil
	})
	p := r.start(r.client, mux, Config{Concurrency: 100})
	space, err := keys.NewSpace(r.client.Namespace())
	r.must(err)
	q, err := space.Queue(queue.DefaultQueue)
	r.must(err)
	p.w.mu.Lock()
	running := q.Running(p.w.consumers[0].session)
	p.w.mu.Unlock()

	add := func(n int) {
		t.Helper()
		before := r.rdb.ZCard(r.ctx, running).Val()
		addAll(r, n, nap{})
		r.wait(time.Minute, fmt.Sprint(n, " more to run"), func() bool { return r.rdb.ZCard(r.ctx, running).Val() == before+int64(n) })
	}
	stored := func(want string) {
		t.Helper()
		if got := r.rdb.ObjectEncoding(r.ctx, running).Val(); got != want && !(want == "listpack" && got == "ziplist") {
			t.Errorf("%d running are stored as a %s, want a %s", r.rdb.ZCard(r.ctx, running).Val(), got, want)
		}
	}
	for round := range 2 {
		add(8)
		stored("listpack")
		for range 20 {
			add(1)
		}
		stored("skiplist")

		list := r.rdb.ZRangeWithScores(r.ctx, running, 0, -1).Val() // as a Redis that was started again would have it
		_, err := r.rdb.TxPipelined(r.ctx, func(pipe redis.Pipeliner) error {
			pipe.Del(r.ctx, running)
			return pipe.ZAdd(r.ctx, running, list...).Err()
		})
		r.must(err)
		stored("listpack")
		heartbeat := time.Now()
		r.wait(time.Minute, "a heartbeat", func() bool { return p.w.Health().Heartbeat.After(heartbeat) })
		for range 4 { // three calls may have been made up before it
			add(1)
		}
		stored("skiplist")
		for range 32 {
			open <- struct{}{}
		}
		r.drained(time.Minute)
		if n := r.rdb.Exists(r.ctx, running).Val(); n != 0 {
			t.Errorf("round %d: the running set is still there", round)
		}
	}
}
