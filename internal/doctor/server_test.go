package doctor_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/conn"
	"github.com/tidemill/tidemill/internal/doctor"
	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// says holds what is said of the servers against "level check: part of the text".
func says(t *testing.T, r *doctor.Report, want ...string) {
	t.Helper()
	for _, line := range want {
		head, part, _ := strings.Cut(line, ": ")
		at := strings.LastIndexByte(head, ' ')
		found := false
		for _, f := range r.Findings {
			found = found || string(f.Level) == head[:at] && f.Check == head[at+1:] && strings.Contains(f.Text, part) && f.Server != ""
		}
		if !found {
			t.Errorf("nothing says %q:", line)
			for _, f := range r.Findings {
				t.Logf("%s %s: %s", f.Level, f.Check, f.Text)
			}
		}
	}
}

func examineURL(t *testing.T, url string) *doctor.Report {
	t.Helper()
	set, err := conn.Open(context.Background(), url, conn.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = set.Close() })
	r, err := doctor.New(set, mustSpace(t), doctor.Options{}).Examine(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustSpace(t *testing.T) keys.Space {
	t.Helper()
	space, err := keys.NewSpace("tm")
	if err != nil {
		t.Fatal(err)
	}
	return space
}

func TestServer(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t, redistest.WithConfig("maxmemory 64mb", "maxclients 1000", "slowlog-log-slower-than 0"))
	rdb := redistest.Client(t, srv)
	set := func(name, value string) {
		t.Helper()
		if err := rdb.ConfigSet(context.Background(), name, value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	set("appendonly", "no")
	set("save", "")
	says(t, examineURL(t, srv.URL()), "ok role: primary", "ok eviction: noeviction", "warning persistence: nothing is written", "ok memory: of 64.0 MiB",
		"ok connections: of 1000", "ok replication: no replicas", "ok latency: median", "ok clock: this machine")
	set("save", "60 1")
	set("maxmemory-policy", "volatile-lru")
	says(t, examineURL(t, srv.URL()), "warning persistence: snapshots alone", "problem eviction: volatile-lru")
	set("maxmemory", "0")
	set("appendonly", "yes")
	set("appendfsync", "everysec")
	says(t, examineURL(t, srv.URL()), "note persistence: synced everysec", "warning eviction: volatile-lru", "note memory: without a limit")
	set("appendfsync", "always")
	set("min-replicas-to-write", "1")
	says(t, examineURL(t, srv.URL()), "ok persistence: synced always", "problem replication: no replicas")
	set("min-replicas-to-write", "0")
	set("appendfsync", "no")
	set("maxmemory", "600kb") // less than an empty server takes
	set("maxclients", "6")
	says(t, examineURL(t, srv.URL()), "warning persistence: when the system likes", "problem memory: %", "warning connections: of 6")
}

func TestReplicas(t *testing.T) {
	t.Parallel()
	s := redistest.NewSentinel(t, 1, 1)
	rdb := redistest.Client(t, s.Data[0])
	redistest.WaitFor(t, time.Minute, func() bool {
		return strings.Contains(rdb.Info(t.Context(), "replication").Val(), "state=online")
	}, "the replica to be in step")
	says(t, examineURL(t, s.URL()), "note replication: replicas: 1, sound: 1, min-replicas-to-write 0")
	says(t, examineURL(t, s.Data[1].URL()), "problem role: it is a replica of 127.0.0.1:")
}

// A user of the documented rights, and one who has less: what is refused is not checked.
func TestHidden(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	rdb := redistest.Client(t, srv)
	rules := []any{"ACL", "SETUSER", "app", "on", ">pw", "resetkeys", "~tm:*", "resetchannels", "&tm:*", "-@all", "+@read", "+@write", "+@pubsub",
		"+@connection", "+@transaction", "-@dangerous", "+eval", "+evalsha", "+time"}
	if err := rdb.Do(context.Background(), append(rules, "+info", "+role")...).Err(); err != nil {
		t.Fatal(err)
	}
	url := "redis://app:pw@" + srv.Addr()
	says(t, examineURL(t, url), "ok version: .", "ok role: primary", "ok eviction: noeviction", "not checked slow-calls: hides")
	if err := rdb.Do(context.Background(), "ACL", "SETUSER", "app", "-info", "-hello").Err(); err != nil {
		t.Fatal(err)
	}
	set, err := conn.Wrap(redis.NewClient(&redis.Options{Addr: srv.Addr(), Username: "app", Password: "pw", Protocol: 2}), conn.Config{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := doctor.New(set, mustSpace(t), doctor.Options{}).Examine(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	says(t, r, "not checked role: hides", "not checked eviction: hides", "not checked persistence: hides", "not checked memory: hides",
		"not checked connections: hides", "not checked replication: hides")
	if r.Result == doctor.Problem {
		t.Errorf("what is hidden is a %s", r.Result)
	}
}

// The embedded server of worker dev is looked at as well as it can be.
func TestEmbedded(t *testing.T) {
	t.Parallel()
	rdb := redistest.Embedded(t)
	set, err := conn.Wrap(rdb, conn.Config{})
	if err != nil {
		t.Fatal(err)
	}
	client, err := queue.New(rdb)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	ctx := context.Background()
	if _, err := client.Enqueue(ctx, queue.Raw{Name: "k", Payload: []byte(`{}`)}, queue.Queue("q")); err != nil {
		t.Fatal(err)
	}
	d := doctor.New(set, mustSpace(t), doctor.Options{})
	examine := func(want map[string]int64) *doctor.Report {
		t.Helper()
		r, err := d.Examine(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if got := ill(r); !maps.Equal(got, want) {
			t.Fatalf("found %v, want %v", got, want)
		}
		return r
	}
	says(t, examine(nil), "note version: miniredis", "not checked memory: embedded")
	rdb.Del(ctx, "tm:{q}:ready:0")
	if done, err := d.Repair(ctx, examine(map[string]int64{"job-without-state": 1})); err != nil || len(done) != 1 || done[0].Mended != 1 {
		t.Fatalf("%+v, %v", done, err)
	}
	examine(nil)
}

// At maxmemory, where enqueueing is refused, repairs run.
func TestFull(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	w := newWard(t, srv.URL(), "ns")
	w.healthy()
	w.take(w.key(keys.Ready), 3)
	w.zadd(w.key(keys.Scheduled), 6, later())
	w.push(w.key(keys.Ready), 40)
	w.must(w.rdb.ConfigSet(w.ctx, "maxmemory", "1").Err())
	if _, err := w.client.Enqueue(w.ctx, queue.Raw{Name: "k", Payload: []byte(`{}`)}); !errors.Is(err, queue.ErrRedisFull) {
		t.Fatalf("not full: %v", err)
	}
	w.mends(w.finds(map[string]int64{"job-without-state": 1, "job-in-several-states": 1, "entry-without-job": 1}))
	w.finds(nil)
	w.works(1, 2, 3, 4, 5, 7, 8)
}
