package pubsub

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
)

// rounds is what a durable topic goes through on any server.
func rounds(t *testing.T, client func() redis.UniversalClient, options ...TopicOption) {
	r, other := newRig(t, client(), options...), newRig(t, client(), options...)
	live, err := NewTopic[order](other.client, "orders", options...)
	if err != nil {
		t.Fatal(err)
	}
	sub, err := live.Subscribe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	first := r.join("g", Batch(100), MaxAttempts(1))
	r.publish(1, 50)
	held := next(t, first, 1, 1)
	second := other.join("g")
	started := time.Now()
	first.Close()
	for n := 1; n <= 50; n++ {
		msg := next(t, second, n, 1)
		if heard, err := sub.Next(t.Context()); err != nil || heard.ID != msg.ID {
			t.Fatalf("live: %v, %v; the group got %v", heard, err, msg)
		}
		if n == 2 {
			err = msg.Nack(t.Context(), Dead(errors.New("no")))
		} else {
			err = msg.Ack(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(started); took > DefaultMemberTTL {
		t.Errorf("what a member gave back came after %v: as of a dead one", took)
	}
	if held.Data.N != 1 {
		t.Error(held)
	}
	settled := func() bool { g := r.group("g"); return g.Pending == 0 && g.Dead == 1 }
	redistest.WaitFor(t, time.Minute, settled, "all to be settled")
	if n, err := r.client.Streams().Redrive(t.Context(), "orders", "g"); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	ack(t, next(t, second, 2, 1))
	second.Close()
	if g := r.group("g"); g != (GroupInfo{Group: "g"}) {
		t.Errorf("%+v", g)
	}
	if err := r.client.Streams().Delete(t.Context(), "orders"); err != nil {
		t.Error(err)
	}
	if names, err := r.client.Streams().List(t.Context()); err != nil || len(names) != 0 {
		t.Errorf("%v, %v", names, err)
	}
}

func TestDurableOnServers(t *testing.T) {
	t.Parallel()
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		rounds(t, func() redis.UniversalClient { return redistest.Client(t, srv) })
	})
}

func TestDurableOnCluster(t *testing.T) {
	t.Parallel()
	cluster := redistest.NewCluster(t, 3, false)
	rounds(t, func() redis.UniversalClient { return cluster.Client(t) })
	rounds(t, func() redis.UniversalClient { return cluster.Client(t) }, Sharded())
}

// Many members with many workers share a topic under load: each message is handled once.
func TestDurableUnderLoad(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	const all = 20_000
	var mu sync.Mutex
	seen := make(map[int]int)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var members sync.WaitGroup
	for range 3 {
		m := newRig(t, redistest.Client(t, srv)).join("g")
		members.Go(func() {
			err := m.Handle(ctx, func(_ context.Context, msg *Message[order]) error {
				mu.Lock()
				defer mu.Unlock()
				if seen[msg.Data.N]++; len(seen) == all {
					cancel()
				}
				return nil
			}, Concurrency(8))
			if err != nil {
				t.Error(err)
			}
			m.Close()
		})
	}
	r := newRig(t, redistest.Client(t, srv))
	var publishers sync.WaitGroup
	for p := range 8 { // one at a time, many at once
		publishers.Go(func() {
			for n := p; n < all/2; n += 8 {
				if _, err := r.topic.Publish(t.Context(), order{N: n}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	r.publish(all/2, all-1)
	publishers.Wait()
	members.Wait()
	for n, times := range seen {
		if times != 1 {
			t.Errorf("message %d was handled %d times", n, times)
		}
	}
	if g := r.group("g"); g.Pending != 0 || g.Lag != 0 {
		t.Errorf("%+v", g)
	}
	if n := r.client.Stats().Published; n != all {
		t.Errorf("%d published", n)
	}
}

// On a full Redis a publish is refused as a whole, and members finish what there is.
func TestDurableOnAFullRedis(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t, redistest.WithMaxMemory("16mb"))
	r := newRig(t, redistest.Client(t, srv))
	m := r.join("g")
	r.publish(1, 3)
	empty := redistest.FillMemory(t, srv)
	if _, err := r.topic.Publish(t.Context(), order{N: 4}); !errors.Is(err, ErrFull) || errors.Is(err, ErrOutcomeUnknown) {
		t.Errorf("publish: %v", err)
	}
	var batch *BatchError
	if ids, err := r.topic.PublishMany(t.Context(), []order{{N: 4}, {N: 5}}); !errors.Is(err, ErrFull) || !errors.As(err, &batch) || batch.Failed != 2 || ids[0] != [16]byte{} {
		t.Errorf("publish: %v, %v", ids, err)
	}
	ack(t, next(t, m, 1, 1))
	if err := next(t, m, 2, 1).Nack(t.Context(), Dead(errors.New("no"))); err != nil {
		t.Error(err)
	}
	ack(t, next(t, newRig(t, redistest.Client(t, srv)).join("late"), 1, 1))
	ack(t, next(t, m, 3, 1))
	redistest.WaitFor(t, time.Minute, func() bool { g := r.group("g"); return g.Pending == 0 && g.Dead == 1 }, "all to be settled")
	empty()
	r.publish(4, 4)
	ack(t, next(t, m, 4, 1))
}
