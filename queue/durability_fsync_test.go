package queue_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// syncs tells whether a server has WAITAOF.
func syncs(t testing.TB, srv *redisserver.Server) bool {
	t.Helper()
	err := redistest.Client(t, srv).Do(t.Context(), "WAITAOF", 0, 0, 1).Err()
	return err == nil || !strings.Contains(err.Error(), "unknown command")
}

// Fsync waits for the append-only file where the server can; where it cannot nothing is stored, and the error says what is
// missing.
func TestDurabilityFsync(t *testing.T) {
	redistest.EachReplicated(t, 1, func(t *testing.T, all []*redisserver.Server) {
		fsync := queue.Durability{Fsync: true, Timeout: 30 * time.Second}
		c := open(t, all[0].URL(), queue.Config{Durability: fsync})
		if !syncs(t, all[0]) {
			_, err := c.Enqueue(t.Context(), email{"x"})
			if !errors.Is(err, queue.ErrUnsupported) || !strings.Contains(err.Error(), "Fsync") || !strings.Contains(err.Error(), "redis 7.0") {
				t.Errorf("an old server: %v", err)
			}
			results, err := c.EnqueueMany(t.Context(), queue.Items(make([]email, 2)))
			if !errors.Is(err, queue.ErrUnsupported) || !errors.Is(results[1].Err, queue.ErrUnsupported) {
				t.Errorf("a batch: %v", err)
			}
			expectReady(t, c, "default", 0)
			return
		}
		enqueue(t, c, email{"x"})
		if _, err := c.EnqueueMany(t.Context(), queue.Items(make([]email, 2500))); err != nil {
			t.Error(err)
		}
		both := fsync
		both.Replicas = 1
		enqueue(t, c, email{"both"}, queue.Durable(both))
		if err := all[1].Freeze(); err != nil {
			t.Fatal(err)
		}
		both.Timeout = 4 * time.Second // the file is synced once a second
		id, err := c.Enqueue(t.Context(), email{"frozen"}, queue.Durable(both))
		expectNotConfirmed(t, err, id, 0, 1)
		var e *queue.NotConfirmedError
		if !errors.As(err, &e) || !e.Fsynced {
			t.Errorf("the primary's own file: %v", err)
		}
		enqueue(t, c, email{"alone"})
		expectReady(t, c, "default", 2504)
	}, redistest.WithAOF("everysec"))
}

// A server without an append-only file is told before anything is stored; one that hides its version is asked.
func TestDurabilityFsyncWithoutAFile(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		fsync := queue.Config{Durability: queue.Durability{Fsync: true, Timeout: 200 * time.Millisecond}}
		c, word := open(t, srv.URL(), fsync), "appendonly yes"
		if !syncs(t, srv) {
			word = "WAITAOF"
			rdb := redistest.Client(t, srv)
			if err := rdb.Do(t.Context(), "ACL", "SETUSER", "shy", "on", "nopass", "~*", "&*", "+@all", "-hello", "-info").Err(); err != nil {
				t.Fatal(err)
			}
			c = around(t, redistest.Client(t, srv, func(o *redis.Options) { o.Username, o.Password, o.Protocol = "shy", "x", 2 }), fsync)
		}
		_, err := c.Enqueue(t.Context(), email{"x"})
		if !errors.Is(err, queue.ErrUnsupported) || !strings.Contains(err.Error(), word) {
			t.Errorf("it says %v", err)
		}
		expectReady(t, c, "default", 0)
	})
}

// A transaction cannot wait, and says what to do.
func TestDurabilityInATransaction(t *testing.T) {
	srv := redistest.Server(t)
	c := open(t, srv.URL(), queue.Config{Durability: queue.Durability{Replicas: 1}})
	_, err := c.EnqueueTx(t.Context(), c.Redis().TxPipeline(), email{"x"})
	if !errors.Is(err, queue.ErrInvalid) || !strings.Contains(err.Error(), "Durable(Durability{})") {
		t.Errorf("it says %v", err)
	}
	pipe := c.Redis().TxPipeline()
	pending, err := c.EnqueueTx(t.Context(), pipe, email{"x"}, queue.Durable(queue.Durability{}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pipe.Exec(t.Context()); err != nil || pending.Result() != nil {
		t.Errorf("%v, %v", err, pending.Result())
	}
	if _, err := queue.Open(t.Context(), srv.URL(), queue.Config{Durability: queue.Durability{Replicas: -1}}); !errors.Is(err, queue.ErrInvalid) {
		t.Errorf("a client of -1 replicas: %v", err)
	}
}

// An input's jobs are in though not confirmed: its place moves on, and nothing is sent twice.
func TestDurabilityOfAnInput(t *testing.T) {
	c := open(t, redistest.Server(t).URL())
	in := input(t, c, uuid.New(), 1, nil)
	places, items := numbered(1, 30)
	results, err := in.EnqueueMany(t.Context(), places, items, queue.Durable(one))
	if !errors.Is(err, queue.ErrNotConfirmed) {
		t.Fatal(err)
	}
	for _, r := range results {
		expectNotConfirmed(t, r.Err, r.ID, 0, 1)
	}
	results, err = in.EnqueueMany(t.Context(), places, items, queue.Durable(one))
	if !errors.Is(err, queue.ErrAlreadyIn) || errors.Is(results[29].Err, queue.ErrNotConfirmed) {
		t.Errorf("once more: %v", err)
	}
	expectReady(t, c, "default", 24)
}
