package conn

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redistest"
)

func TestOpenEachTopology(t *testing.T) {
	t.Parallel()
	redistest.EachTopology(t, func(t *testing.T, topo *redistest.Topology) {
		set := open(t, topo.URL, Config{ClientName: "forms"})
		if set.Cluster() != topo.Cluster {
			t.Errorf("taken for a Cluster: %v", set.Cluster())
		}
		if srv, warnings, err := set.Check(t.Context()); err != nil || len(warnings) > 0 || !srv.AtLeast(6, 2) {
			t.Errorf("check: %+v %q %v", srv, warnings, err)
		}
		small, err := set.Dedicated("blocking", 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, rdb := range []redis.UniversalClient{set.Shared(), small, set.Reader()} {
			for _, key := range []string{"tm:a", "tm:b", "tm:c"} {
				if err := rdb.Incr(t.Context(), key).Err(); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := rdb.Eval(t.Context(), "return redis.call('GET', KEYS[1])", []string{"tm:a"}).Text(); err != nil || got == "" {
				t.Errorf("a script: %q %v", got, err)
			}
		}
		if name := small.ClientGetName(t.Context()).Val(); name != "forms:blocking" {
			t.Errorf("client name is %q", name)
		}
		topo.Disconnect(t)
		eventually(t, "both clients work again", func() bool {
			return set.Shared().Get(t.Context(), "tm:a").Err() == nil && small.Get(t.Context(), "tm:a").Err() == nil
		})
	})
}

// After a failover no connection stays with the old primary, not even one that blocks there, and the primary's death is
// noticed as well as an orderly replacement.
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	s := redistest.NewSentinel(t, 2, 1)
	set := open(t, s.URL(), Config{ClientName: "follow"})
	small, err := set.Dedicated("blocking", 1)
	if err != nil {
		t.Fatal(err)
	}
	old := s.Primary(t)
	oldAdmin := redistest.Client(t, old)
	blocked := make(chan error, 1)
	go func() { blocked <- small.BLPop(context.Background(), time.Minute, "tm:nothing").Err() }()
	eventually(t, "the call blocks", func() bool {
		return strings.Contains(oldAdmin.ClientList(t.Context()).Val(), "cmd=blpop")
	})
	s.Failover(t)
	select {
	case err := <-blocked:
		if err == nil {
			t.Error("it got something")
		}
	case <-time.After(time.Minute):
		t.Fatal("the call still blocks on the old primary")
	}
	works := func() bool {
		return set.Shared().Incr(t.Context(), "tm:n").Err() == nil && small.Incr(t.Context(), "tm:n").Err() == nil
	}
	eventually(t, "writes go to the new primary", works)
	eventually(t, "nobody talks to the old one", func() bool {
		return !strings.Contains(oldAdmin.ClientList(t.Context()).Val(), "name=follow")
	})
	old = s.Primary(t)
	old.Kill()
	s.AwaitOther(t, old)
	eventually(t, "writes go to the third", works)
	if n := redistest.Client(t, s.Primary(t)).Exists(t.Context(), "tm:n").Val(); n != 1 {
		t.Error("the key is not there")
	}
}

// A client of ours finds a replica that was promoted, and slots that moved.
func TestClusterFailover(t *testing.T) {
	t.Parallel()
	c := redistest.NewCluster(t, 3, true)
	set := open(t, c.URL(t), Config{ClientName: "follow"})
	passed, err := Wrap(c.Client(t), Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = passed.Close() }()
	small, err := set.Dedicated("blocking", 1)
	if err != nil {
		t.Fatal(err)
	}
	works := func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for _, rdb := range []redis.UniversalClient{set.Shared(), small, passed.Shared()} {
			if _, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
				p.Incr(ctx, "{q}:n")
				p.Incr(ctx, "{q}:n")
				return nil
			}); err != nil {
				passed.Refresh()
				return false
			}
		}
		return true
	}
	eventually(t, "it works", works)
	to := c.Primaries[0]
	if c.Owner(t, "{q}:n") == to {
		to = c.Primaries[1]
	}
	c.Move(t, "{q}:n", to)
	eventually(t, "it works after the slot moved", works)
	to.Kill()
	eventually(t, "the promoted replica is found", works)
}

func TestReaderAsksReplicas(t *testing.T) {
	t.Parallel()
	s := redistest.NewSentinel(t, 1, 1)
	replica := s.Data[1]
	cluster := redistest.NewCluster(t, 3, true)
	for _, url := range []string{
		s.URL() + "?read_from=replica",
		"redis://" + s.Data[0].Addr() + "?read_from=replica&replica=" + replica.Addr(),
		cluster.URL(t) + "?read_from=replica",
	} {
		set := open(t, url, Config{ClientName: "mine"})
		if !set.FromReplicas() {
			t.Errorf("%s: reads are not from replicas", url)
		}
		set.Shared().Set(t.Context(), "tm:key", "x", 0)
		eventually(t, "the replica has the key", func() bool { return set.Reader().Get(t.Context(), "tm:key").Val() == "x" })
		if set.Cluster() {
			calls := 0
			for _, srv := range cluster.Replicas {
				if strings.Contains(redistest.Client(t, srv).Info(t.Context(), "commandstats").Val(), "cmdstat_get:") {
					calls++
				}
			}
			if calls != 1 {
				t.Errorf("%d replicas were asked", calls)
			}
			continue
		}
		if err := set.Reader().Set(t.Context(), "tm:key", "y", 0).Err(); err == nil || !strings.HasPrefix(err.Error(), "READONLY") {
			t.Errorf("%s: a write to the replica: %v", url, err)
		}
	}
}

// A plain URL of one node opens the Cluster; a plain client of one is refused.
func TestPlainURLOfAClusterNode(t *testing.T) {
	t.Parallel()
	c := redistest.NewCluster(t, 3, false)
	plainURL := c.Primaries[1].URL()
	set := open(t, plainURL, Config{})
	if !set.Cluster() {
		t.Fatal("not taken for a Cluster")
	}
	for _, key := range []string{"a", "b", "c", "d", "e"} {
		if err := set.Shared().Set(t.Context(), key, "x", 0).Err(); err != nil {
			t.Error(err)
		}
	}
	wrapped, err := Wrap(plain(t, c.Primaries[1].Addr()), Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := wrapped.Check(t.Context()); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "ClusterClient") {
		t.Errorf("a plain client of one node: %v", err)
	}
	if _, err := Open(t.Context(), strings.TrimSuffix(plainURL, "0")+"1", Config{}); !errors.Is(err, ErrConfig) {
		t.Errorf("database 1: %v", err)
	}
}

// A failover client that was passed in goes on working, and so do those derived from it.
func TestWrapFailoverClient(t *testing.T) {
	t.Parallel()
	s := redistest.NewSentinel(t, 1, 1)
	rdb := redis.NewFailoverClient(&redis.FailoverOptions{MasterName: redistest.PrimaryName, SentinelAddrs: []string{s.Watchers[0].Addr()}})
	defer func() { _ = rdb.Close() }()
	set, err := Wrap(rdb, Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = set.Close() }()
	if _, warnings, err := set.Check(t.Context()); err != nil || len(warnings) > 0 {
		t.Errorf("check: %q %v", warnings, err)
	}
	line, err := set.Line("heartbeat")
	if err != nil {
		t.Fatal(err)
	}
	if err := line.Client().Incr(t.Context(), "n").Err(); err != nil {
		t.Fatal(err)
	}
	s.Failover(t)
	eventually(t, "both write to the new primary", func() bool {
		if line.Client().Incr(t.Context(), "n").Err() != nil {
			_ = line.Renew() // as the worker does
			return false
		}
		return rdb.Incr(t.Context(), "n").Err() == nil
	})
}

// TLS to Sentinels and to every node of a Cluster.
func TestOpenSecureSeveral(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]string{"sentinel": redistest.NewSecure(t).Sentinel(t), "cluster": redistest.NewSecureCluster(t, 3).URL(t)} {
		set := open(t, url, Config{})
		if _, _, err := set.Check(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, key := range []string{"tm:a", "tm:b", "tm:c"} {
			if err := set.Shared().Set(t.Context(), key, "x", 0).Err(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
