package pitfalls

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/pubsub"
)

// heap is what is in use after a collection, in bytes.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

const mib = 1 << 20

// inOrder takes n messages of a publisher in order and counts them; anything else is an error.
func inOrder(sub *pubsub.Subscription[shot], n int, got *atomic.Int64) error {
	next := 0
	for m, err := range sub.All(context.Background()) {
		if err != nil {
			return err
		}
		if m.Data.N != next {
			return fmt.Errorf("message %d came in the place of %d", m.Data.N, next)
		}
		got.Store(int64(next + 1))
		if next++; next == n {
			return nil
		}
	}
	return fmt.Errorf("ended after %d messages", next)
}

// behind waits until all counters have come near enough for the next messages to find room.
func behind(t *testing.T, counters []atomic.Int64, atLeast int) {
	t.Helper()
	for i := range counters {
		if counters[i].Load() < int64(atLeast) {
			redistest.WaitFor(t, slow, func() bool { return counters[i].Load() >= int64(atLeast) }, "a fast consumer")
		}
	}
}

// A slow consumer, and one that stands still, beside a hundred fast ones on the same topic: the fast ones get every message,
// and the others' losses are counted and told.
func TestPitfall17PubSubSlowBesideFast(t *testing.T) {
	if !alone(t) {
		return
	}
	const fast, messages, batch = 100, 10_000, 250
	r := newRange(t, 1)
	var counters [fast]atomic.Int64
	var running sync.WaitGroup
	for i := range counters {
		sub, err := r.topics[0].Subscribe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() {
			if err := inOrder(sub, messages, &counters[i]); err != nil {
				t.Errorf("a fast consumer: %v", err)
			}
			if n := sub.Dropped(); n != 0 {
				t.Errorf("a fast consumer dropped %d", n)
			}
			sub.Close()
		})
	}
	still, err := r.topics[0].Subscribe(t.Context(), pubsub.Buffer(100))
	if err != nil {
		t.Fatal(err)
	}
	sleepy := listen(t, "slow", []int{0}, r.topics[0], 5*time.Millisecond, pubsub.Buffer(10))
	publisher := r.make(r.open(r.srv.URL()), 1)[0]
	began := time.Now()
	for n := 0; n < messages; n += batch {
		behind(t, counters[:], n-pubsub.DefaultBuffer+batch)
		shots := make([]shot, batch)
		for i := range shots {
			shots[i] = shot{N: n + i, Pad: strings.Repeat("x", 150)}
		}
		if _, err := publisher.PublishMany(t.Context(), shots); err != nil {
			t.Fatal(err)
		}
	}
	running.Wait()
	took := time.Since(began)
	t.Logf("%d messages to %d fast consumers in %v: %.0f deliveries/s", messages, fast, took.Round(time.Millisecond), fast*messages/took.Seconds())
	if n := still.Dropped(); n != messages-100 {
		t.Errorf("the one that stands still dropped %d", n)
	}
	ctx, cancel := context.WithTimeout(t.Context(), slow)
	defer cancel()
	if _, err := still.Next(ctx); err == nil || !strings.Contains(err.Error(), fmt.Sprint(messages-100)) {
		t.Errorf("the one that stands still was told %v", err)
	}
	still.Close()
	sleepy.sub.Close()
	<-sleepy.done
	if n := sleepy.sub.Dropped(); n == 0 || int(n)+len(sleepy.list) < messages-20 {
		t.Errorf("the slow one dropped %d, and heard %d", n, len(sleepy.list))
	}
	r.silent()
}

// Consumers of each policy stand still under 200,000 messages: memory stays within a bound.
func TestPitfall17PubSubStandsStill(t *testing.T) {
	if !alone(t) {
		return
	}
	const messages, batch = 200_000, 2000
	r := newRange(t, 1)
	policies := []pubsub.Policy{pubsub.DropOldest, pubsub.DropNewest, pubsub.Block(time.Hour), pubsub.Block(time.Millisecond)}
	still := make([]*pubsub.Subscription[shot], len(policies))
	for i, policy := range policies {
		var err error
		if still[i], err = r.topics[0].Subscribe(t.Context(), pubsub.WhenFull(policy)); err != nil {
			t.Fatal(err)
		}
	}
	publisher := r.make(r.open(r.srv.URL()), 1)[0]
	before, most := heap(), int64(0)
	for n := 0; n < messages; n += batch {
		shots := make([]shot, batch)
		for i := range shots {
			shots[i] = shot{N: n + i, Pad: strings.Repeat("x", 400)}
		}
		if _, err := publisher.PublishMany(t.Context(), shots); err != nil {
			t.Fatal(err)
		}
		redistest.WaitFor(t, slow, func() bool { return r.listener.Stats().Received == uint64(n+batch) }, "the messages to arrive")
		if n%(messages/10) == 0 {
			most = max(most, heap()-before)
		}
	}
	most = max(most, heap()-before)
	t.Logf("%d messages of 430 bytes: the heap grew by %.1f MiB at most", messages, float64(most)/mib)
	if most > 16*mib { // all would be 80 MiB and more
		t.Errorf("the heap grew by %d bytes", most)
	}
	for i, s := range still {
		held := pubsub.DefaultBuffer
		if i == 2 {
			held *= 2 // as many wait for room
		}
		if n := s.Dropped(); n != uint64(messages-held) && policies[i] != pubsub.Block(time.Millisecond) || n < messages-2*pubsub.DefaultBuffer {
			t.Errorf("%v dropped %d", policies[i], n)
		}
		s.Close()
	}
	r.silent()
}

// A hundred thousand subscriptions, to 20,000 channels, on one connection: they open, get a message each, and close.
func TestPitfall17PubSubHundredThousand(t *testing.T) {
	if !alone(t) {
		return
	}
	const names, each = 20_000, 5
	r := newRange(t, 0)
	topics := make([]*pubsub.Topic[pubsub.Raw], names)
	for i := range topics {
		var err error
		if topics[i], err = pubsub.NewTopic[pubsub.Raw](r.listener, fmt.Sprintf("room:%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	before, began := heap(), time.Now()
	step := func(what string) {
		t.Logf("%s after %v, heap %.1f MiB more", what, time.Since(began).Round(time.Millisecond), float64(heap()-before)/mib)
	}
	subs := make([]*pubsub.Subscription[pubsub.Raw], names*each)
	side(t, len(subs), 500, func(i int) (err error) {
		subs[i], err = topics[i%names].Subscribe(t.Context())
		return err
	})
	step("open")
	if grown := heap() - before; grown > 150*mib {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	if n, stats := len(subscriptions(t, r.rdb)), r.listener.Stats(); n != 1 || stats.Connections != 1 || stats.Subscriptions != names*each {
		t.Errorf("%d subscription connections at Redis; %+v", n, stats)
	}
	side(t, names, 64, func(i int) error {
		_, err := topics[i].Publish(t.Context(), pubsub.Raw(topics[i].Name()))
		return err
	})
	side(t, len(subs), 8, func(i int) error {
		ctx, cancel := context.WithTimeout(t.Context(), slow)
		defer cancel()
		m, err := subs[i].Next(ctx)
		if err == nil && string(m.Data) != topics[i%names].Name() {
			err = fmt.Errorf("%q came to %q", m.Data, topics[i%names].Name())
		}
		return err
	})
	step("a message each")
	side(t, len(subs), 8, func(i int) error {
		subs[i].Close()
		return nil
	})
	step("closed")
	r.silent()
	clear(subs)
	clear(topics)
	if grown := heap() - before; grown > 32*mib {
		t.Errorf("%d bytes are left on the heap", grown)
	}
}

// side does n things, so many at once.
func side(t *testing.T, n, atOnce int, do func(i int) error) {
	t.Helper()
	var next atomic.Int64
	var running sync.WaitGroup
	var failed atomic.Bool
	for range atOnce {
		running.Go(func() {
			for !failed.Load() {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(i); err != nil && !failed.Swap(true) {
					t.Error(err)
				}
			}
		})
	}
	running.Wait()
	if failed.Load() {
		t.FailNow()
	}
}
