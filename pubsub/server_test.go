package pubsub_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/pubsub"
)

// TestNotPermitted: what the ACL refuses is an error to its caller, also where it refuses it later.
func TestNotPermitted(t *testing.T) {
	t.Parallel()
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		admin := redistest.Client(t, srv)
		allow := func(rules ...any) {
			t.Helper()
			if err := admin.Do(t.Context(), append([]any{"ACL", "SETUSER", "guest"}, rules...)...).Err(); err != nil {
				t.Fatal(err)
			}
		}
		allow("on", ">secret", "~*", "+@all", "resetchannels", "&news*")
		c := open(t, strings.Replace(srv.URL(), "redis://", "redis://guest:secret@", 1))
		news, secrets := topic[int](t, c, "news"), topic[int](t, c, "secrets")
		s := subscribe(t, news)
		if _, err := secrets.Subscribe(t.Context()); !errors.Is(err, pubsub.ErrNotPermitted) ||
			!strings.HasPrefix(err.Error(), `subscribe to "secrets": redis user lacks a permission: NOPERM`) {
			t.Errorf("subscribe: %v", err)
		}
		if _, err := secrets.Publish(t.Context(), 1); !errors.Is(err, pubsub.ErrNotPermitted) || errors.Is(err, pubsub.ErrOutcomeUnknown) {
			t.Errorf("publish: %v", err)
		}
		publish(t, news, 1)
		if m := next(t, s); m.Data != 1 {
			t.Errorf("%+v", m)
		}
		if n := c.Stats(); n.Subscriptions != 1 {
			t.Errorf("%+v", n)
		}
		ends := []*pubsub.Subscription[int]{s}
		for range 100 { // and a crowd
			ends = append(ends, subscribe(t, topic[int](t, c, "news.more")))
		}
		allow("resetchannels", "&nothing") // Redis ends the connections that use what is taken away
		for _, s := range ends {
			err := odd(t, s)
			for range 2 {
				if errors.As(err, new(*pubsub.Gap)) {
					err = odd(t, s)
				}
			}
			if !errors.Is(err, pubsub.ErrNotPermitted) || !errors.Is(s.Err(), pubsub.ErrNotPermitted) {
				t.Errorf("ended with %v, %v", err, s.Err())
			}
		}
		redistest.WaitFor(t, soon, func() bool { return c.Stats().Connections == 0 }, "the connection to go")
	})
}

func TestSharding(t *testing.T) {
	t.Parallel()
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		c := open(t, srv.URL())
		to := topic[int](t, c, "t", pubsub.Sharded())
		s, plain := subscribe(t, to), subscribe(t, topic[int](t, c, "t"))
		if _, err := to.PublishMany(t.Context(), []int{1, 2}); err != nil {
			t.Fatal(err)
		}
		publish(t, topic[int](t, c, "t"), 3)
		if a, b, p := next(t, s), next(t, s), next(t, plain); a.Data != 1 || b.Data != 2 || p.Data != 3 || a.Topic != "t" {
			t.Errorf("%d, %d; %d", a.Data, b.Data, p.Data)
		}
		if _, err := pubsub.NewPattern[int](c, "t*", pubsub.Sharded()); !errors.Is(err, pubsub.ErrPatternSharded) {
			t.Errorf("a pattern: %v", err)
		}
	})
	t.Run("embedded", func(t *testing.T) {
		bubble(t, func(t *testing.T, _ *redistest.Bubble, c *pubsub.Client) {
			if _, err := pubsub.NewTopic[int](c, "t", pubsub.Sharded()); !errors.Is(err, pubsub.ErrNoSharding) ||
				err.Error() != `topic "t": the server has no sharded pub/sub: it is the embedded one` {
				t.Errorf("%v", err)
			}
			if _, err := pubsub.NewPattern[int](c, "t*", pubsub.Sharded()); !errors.Is(err, pubsub.ErrPatternSharded) {
				t.Errorf("a pattern: %v", err)
			}
		})
	})
}

// TestManySubscriptions: 20,000 on 10,000 topics are one connection, and each gets its own.
func TestManySubscriptions(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	const topics = 10_000
	c := open(t, srv.URL())
	subs := make([]*pubsub.Subscription[int], 2*topics)
	var group sync.WaitGroup
	for part := range 16 {
		group.Go(func() {
			for i := part; i < len(subs); i += 16 {
				s, err := topic[int](t, c, fmt.Sprintf("t%d", i/2)).Subscribe(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				subs[i] = s
			}
		})
	}
	group.Wait()
	if t.Failed() {
		return
	}
	for i := 0; i < topics; i += 97 {
		publish(t, topic[int](t, c, fmt.Sprintf("t%d", i)), i)
		if a, b := next(t, subs[2*i]), next(t, subs[2*i+1]); a != b || a.Data != i {
			t.Errorf("topic %d: %+v, %+v", i, a, b)
		}
	}
	if n := c.Stats(); n.Subscriptions != 2*topics || n.Connections != 1 || n.Received != (topics+96)/97 {
		t.Errorf("%+v", n)
	}
}

// TestEvictingServer: live messages need no memory that lasts, so it is a line in the log.
func TestEvictingServer(t *testing.T) {
	t.Parallel()
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		var log bytes.Buffer
		c := open(t, srv.URL(), pubsub.Config{Logger: zerolog.New(&log)})
		if !strings.Contains(log.String(), "allkeys-lru") || strings.Count(log.String(), "\n") != 1 {
			t.Errorf("the log: %s", log.String())
		}
		publish(t, topic[int](t, c, "t"), 1)
	}, redistest.WithConfig("maxmemory 100mb", "maxmemory-policy allkeys-lru"))
}

func TestOpenNowhere(t *testing.T) {
	t.Parallel()
	if _, err := pubsub.Open(t.Context(), "redis://127.0.0.1:1"); !errors.Is(err, pubsub.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	synctest.Test(t, func(t *testing.T) {
		b := redistest.NewBubble(t)
		b.Refuse(true)
		if _, err := pubsub.New(b.Client()); !errors.Is(err, pubsub.ErrUnavailable) {
			t.Errorf("%v", err)
		}
	})
}

// TestEverywhere: the same on every way in which Redis is run, through a lost connection.
func TestEverywhere(t *testing.T) {
	t.Parallel()
	redistest.EachTopology(t, func(t *testing.T, topo *redistest.Topology) {
		c := open(t, topo.URL)
		names := []string{"tm:a", "tm:b", "tm:c", "tm:d", "tm:e", "tm:f"} // what a user of Permissions may
		for _, sharded := range []bool{false, true} {
			var options []pubsub.TopicOption
			if sharded {
				options = append(options, pubsub.Sharded())
			}
			subs := map[string]*pubsub.Subscription[string]{}
			for _, name := range names {
				subs[name] = subscribe(t, topic[string](t, c, name, options...))
			}
			for _, name := range names {
				publish(t, topic[string](t, c, name, options...), name)
				if m := next(t, subs[name]); m.Data != name || m.Topic != name {
					t.Errorf("%s, sharded %v: %+v", name, sharded, m)
				}
			}
			topo.Disconnect(t)
			for _, name := range names {
				gap(t, subs[name])
				to := topic[string](t, c, name, options...)
				redistest.WaitFor(t, soon, func() bool { _, err := to.Publish(t.Context(), "again"); return err == nil }, "Redis to be back")
				if m := next(t, subs[name]); m.Data != "again" {
					t.Errorf("%s, sharded %v: %+v", name, sharded, m)
				}
			}
		}
	})
}

// TestSharedClient: around a client that another has, the budget and the subscription connection are the same.
func TestSharedClient(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, b *redistest.Bubble, _ *pubsub.Client) {
		rdb := b.Client(func(o *redis.Options) { o.PoolSize = 2 })
		one, two := around(t, rdb), around(t, rdb)
		s, u := subscribe(t, topic[int](t, one, "t")), subscribe(t, topic[int](t, two, "t"))
		publish(t, topic[int](t, two, "t"), 1)
		if a, b := next(t, s), next(t, u); a.Data != 1 || b.Data != 1 {
			t.Errorf("%+v, %+v", a, b)
		}
		if n := one.Stats().Connections; n != 1 {
			t.Errorf("%d connections", n)
		}
		if err := one.Close(); err != nil {
			t.Fatal(err)
		}
		publish(t, topic[int](t, two, "t"), 2)
		if m := next(t, u); m.Data != 2 {
			t.Errorf("%+v", m)
		}
		if err := rdb.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := topic[int](t, two, "t").Publish(t.Context(), 3); !errors.Is(err, pubsub.ErrClosed) ||
			err.Error() != `publish to "t": pubsub: closed` {
			t.Errorf("around a closed client: %v", err)
		}
	})
}
