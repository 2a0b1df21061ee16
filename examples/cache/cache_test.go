package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/pubsub"
	"github.com/tidemill/tidemill/pubsub/pubsubtest"
)

// home is where the values are at home, in a test: value n of a key after n changes.
type home struct {
	version, loads atomic.Int32
	takes          time.Duration
}

func (h *home) load(ctx context.Context, key string) (string, error) {
	h.loads.Add(1)
	value := fmt.Sprintf("%s %d", key, h.version.Load())
	time.Sleep(h.takes)
	return value, nil
}

// inBubble runs a test with two caches of two processes, in fake time.
func inBubble(t *testing.T, run func(t *testing.T, memory *pubsubtest.Memory, h *home, one, two *Cache[string])) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		memory, h := pubsubtest.NewMemory(t), &home{takes: 20 * time.Millisecond}
		run(t, memory, h, newCache(t, memory.Client(), h), newCache(t, memory.Client(), h))
	})
}

func newCache(t *testing.T, client *pubsub.Client, h *home) *Cache[string] {
	t.Helper()
	c, err := NewCache(t.Context(), client, "test", time.Hour, h.load)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- c.Run(context.Background()) }()
	t.Cleanup(func() {
		c.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return c
}

func wantValue(t *testing.T, c *Cache[string], want string) {
	t.Helper()
	if got, err := c.Get(t.Context(), "k"); err != nil || got != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

// A hundred who miss at the same moment cost one load, also when the first of them goes away.
func TestSingleFlight(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *pubsubtest.Memory, h *home, one, _ *Cache[string]) {
		ctx, leave := context.WithCancel(t.Context())
		first := make(chan error, 1)
		go func() { _, err := one.Get(ctx, "k"); first <- err }()
		synctest.Wait()
		for range 100 {
			go func() { wantValue(t, one, "k 0") }()
		}
		synctest.Wait()
		leave()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("who went away got %v", err)
		}
		time.Sleep(time.Second)
		wantValue(t, one, "k 0")
		if loads, hits := h.loads.Load(), one.hits.Load(); loads != 1 || hits != 1 {
			t.Errorf("%d loads, %d hits; want 1 and 1", loads, hits)
		}
	})
}

// What one process changes the others forget.
func TestChanged(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *pubsubtest.Memory, h *home, one, two *Cache[string]) {
		wantValue(t, one, "k 0")
		wantValue(t, two, "k 0")
		h.version.Store(1)
		if err := two.Changed(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		wantValue(t, two, "k 1")
		synctest.Wait()
		wantValue(t, one, "k 1")
		if loads := h.loads.Load(); loads != 4 {
			t.Errorf("%d loads, want 4", loads)
		}
	})
}

// A value that was read before the change is not kept after it, nor given to who asks after it.
func TestChangedWhileLoading(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *pubsubtest.Memory, h *home, one, two *Cache[string]) {
		early := make(chan string, 1)
		go func() { v, _ := one.Get(t.Context(), "k"); early <- v }()
		synctest.Wait() // it has read, and is on its way back
		h.version.Store(1)
		if err := two.Changed(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		wantValue(t, one, "k 1")
		if v := <-early; v != "k 0" {
			t.Errorf("who asked before the change got %q", v)
		}
		wantValue(t, one, "k 1")
	})
}

// A change that nobody could be told of: after the gap nothing is believed.
func TestGapEmpties(t *testing.T) {
	inBubble(t, func(t *testing.T, memory *pubsubtest.Memory, h *home, one, _ *Cache[string]) {
		wantValue(t, one, "k 0")
		memory.Refuse(true)
		memory.Cut()
		h.version.Store(1)
		time.Sleep(time.Minute)
		wantValue(t, one, "k 0") // it cannot know
		memory.Refuse(false)
		time.Sleep(time.Minute) // more than the longest wait between two tries
		wantValue(t, one, "k 1")
		if n := one.emptied.Load(); n != 1 {
			t.Errorf("emptied %d times, want once", n)
		}
	})
}

// The program itself, for a moment, with connections that break.
func TestShop(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		var out bytes.Buffer
		c := config{redis: srv.URL(), servers: 3, readers: 5, keys: 50, change: 5 * time.Millisecond, slow: 2 * time.Millisecond,
			keep: time.Minute, run: 1500 * time.Millisecond, out: &out}
		rdb := redistest.Client(t, srv)
		cut := time.AfterFunc(c.run/2, func() { rdb.Do(context.Background(), "CLIENT", "KILL", "TYPE", "pubsub") })
		defer cut.Stop()
		if err := run(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		var hits, loads, told, emptied, stale int
		if _, err := fmt.Sscan(lines[len(lines)-1], &hits, &loads, &told, &emptied, &stale); err != nil {
			t.Fatalf("%v\n%s", err, &out)
		}
		if hits < loads || loads < 3*c.keys || told < c.keys || emptied < c.servers {
			t.Errorf("more loads than hits, nobody told, or not all emptied:\n%s", &out)
		}
	})
}
