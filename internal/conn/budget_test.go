package conn

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
)

func TestBudgetFaults(t *testing.T) {
	for url, c := range map[string]struct {
		cfg   Config
		words []string
	}{
		"redis://h":                        {Config{MaxConnections: 3}, []string{"is 3", "at least 4"}},
		"redis://h/1":                      {Config{MaxConnections: -1}, []string{"is -1", "at least 4"}},
		"redis://h?pool_size=48":           {Config{}, []string{"pool_size=48", "MaxConnections=50", "at least 51"}},
		"redis://h?pipeline_pool_size=60":  {Config{}, []string{"pipeline_pool_size=60", "at least 64"}},
		"redis://h?min_idle_conns=41":      {Config{}, []string{"min_idle_conns=41", "40"}},
		"redis://h?max_active_conns=60":    {Config{}, []string{"max_active_conns=60", "40"}},
		"redis://h/2":                      {Config{ClientName: "a b"}, []string{`"a b"`, "spaces"}},
		"redis://h?client_name=a%20secret": {Config{}, []string{"client_name", "spaces"}},
	} {
		_, err := Open(t.Context(), url, c.cfg)
		if !errors.Is(err, ErrConfig) {
			t.Errorf("%s: got %v, want ErrConfig", url, err)
			continue
		}
		for _, w := range c.words {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q lacks %q", url, err, w)
			}
		}
	}
}

func TestPoolSizes(t *testing.T) {
	for _, c := range []struct {
		limit, pool, pipeline          int
		wantPool, wantPipeline, shared int
	}{
		{50, 0, 0, 40, -1, 40},
		{4, 0, 0, 1, -1, 1},
		{10, 0, 0, 7, -1, 7},
		{50, 20, 0, 20, -1, 20},
		{50, 47, 0, 47, -1, 47},
		{50, 0, 10, 30, 10, 40},
		{50, 20, 5, 20, 5, 25},
		{50, 0, -1, 40, -1, 40},
	} {
		opt := &redis.Options{PoolSize: c.pool, PipelinePoolSize: c.pipeline}
		_, shared, err := new(target).sizePools(opt, c.limit)
		if err != nil || shared != c.shared || opt.PoolSize != c.wantPool || opt.PipelinePoolSize != c.wantPipeline {
			t.Errorf("%+v: got pool %d pipeline %d shared %d, %v", c, opt.PoolSize, opt.PipelinePoolSize, shared, err)
		}
	}
}

// TestBudgetHolds crowds every client of a Set and counts what the server sees.
func TestBudgetHolds(t *testing.T) {
	const limit = 10
	addr := startRedis(t)
	set := open(t, "redis://"+addr+"?pipeline_pool_size=3&pool_timeout=1m", Config{MaxConnections: limit, ClientName: "crowd"})
	blocking, err := set.Dedicated("blocking", 1)
	if err != nil {
		t.Fatal(err)
	}
	listening, err := set.Dedicated("subscription", 1)
	if err != nil {
		t.Fatal(err)
	}
	sub := listening.Subscribe(t.Context(), "ch")
	defer func() { _ = sub.Close() }()
	if _, err := sub.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}

	done := make(chan struct{})
	var workers sync.WaitGroup
	for i := range 60 {
		workers.Go(func() {
			for range 4 {
				if i%3 == 0 {
					if _, err := set.Shared().Pipelined(t.Context(), func(p redis.Pipeliner) error {
						p.Do(t.Context(), "BLPOP", "nothing", "0.02")
						return nil
					}); !errors.Is(err, redis.Nil) {
						t.Error(err)
					}
					continue
				}
				client := set.Shared()
				if i%10 == 1 {
					client = blocking
				}
				if err := client.Do(t.Context(), "BLPOP", "nothing", "0.02").Err(); !errors.Is(err, redis.Nil) {
					t.Error(err)
				}
			}
		})
	}
	go func() { workers.Wait(); close(done) }()

	observer, most := plain(t, addr), 0
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		list, err := observer.ClientList(context.Background()).Result()
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, strings.Count(list, "name=crowd"))
	}
	// pool and pipeline pool of the shared client, 1 blocking, 1 subscription
	if want := limit - limit/5 - 1 + 2; most > limit || most < want {
		t.Errorf("the server saw %d connections at most, want %d and never more than %d", most, want, limit)
	}
	for _, name := range []string{"name=crowd:blocking ", "name=crowd:subscription "} {
		if list := observer.ClientList(t.Context()).Val(); !strings.Contains(list, name) {
			t.Errorf("no client with %s in:\n%s", name, list)
		}
	}
	if err := set.Close(); err != nil {
		t.Error(err)
	}
	eventually(t, "every connection is closed", func() bool {
		return !strings.Contains(observer.ClientList(context.Background()).Val(), "name=crowd")
	})
}

func TestDedicatedBudget(t *testing.T) {
	set, err := Wrap(pipeRedis(t, redis.Options{}), Config{MaxConnections: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = set.Close() }()
	first, err := set.Dedicated("blocking", 2)
	if err != nil {
		t.Fatal(err)
	}
	_, err = set.Dedicated("heartbeat", 2)
	if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "must be at least 5") {
		t.Fatalf("beyond the budget: %v", err)
	}
	for range 2 { // closing twice is fine, and gives the share back once
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := set.Dedicated("heartbeat", 3); err != nil {
		t.Fatalf("the share of a closed client is not given back: %v", err)
	}
	if _, err := set.Dedicated("more", 1); err == nil {
		t.Fatal("the share was given back twice")
	}
	for _, bad := range []struct {
		name string
		size int
	}{{"", 1}, {"a b", 1}, {"x", 0}} {
		if _, err := set.Dedicated(bad.name, bad.size); !errors.Is(err, ErrConfig) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
