package queue_test

import (
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// TestFullRedis: enqueue says so at once, in every form, and takes nothing; verbs that free memory go on.
func TestFullRedis(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		c, rdb, ctx := open(t, srv.URL()), redistest.Client(t, srv), t.Context()
		enqueue(t, c, email{"x"}, queue.ID("ready"))
		rdb.Set(ctx, "rest", "still there", 0)
		rdb.ConfigSet(ctx, "maxmemory", "1")
		start := time.Now()
		for _, options := range [][]queue.Option{nil, {queue.In(time.Hour)}, {queue.Queue("new")}} {
			if _, err := c.Enqueue(ctx, email{"x"}, options...); !errors.Is(err, queue.ErrRedisFull) || errors.Is(err, queue.ErrUnavailable) {
				t.Error(err)
			}
		}
		// Nothing would be added, so it is told as it is.
		if _, err := c.Enqueue(ctx, email{"x"}, queue.ID("ready")); !errors.Is(err, queue.ErrDuplicate) {
			t.Errorf("a duplicate: %v", err)
		}
		items := queue.Items(make([]email, 5000))
		items[4000].Options = []queue.Option{queue.ID("ready")}
		results, err := c.EnqueueMany(ctx, items)
		if !errors.Is(err, queue.ErrRedisFull) {
			t.Error(err)
		}
		for i, r := range results {
			if !errors.Is(r.Err, queue.ErrRedisFull) {
				t.Fatalf("result %d: %v", i, r.Err)
			}
		}
		var pending *queue.Pending
		_, err = c.Redis().TxPipelined(ctx, func(pipe redis.Pipeliner) (err error) {
			pipe.Del(ctx, "rest") // frees memory, so that a full Redis would do it
			pending, err = c.EnqueueTx(ctx, pipe, email{"x"})
			return err
		})
		if err == nil || !errors.Is(pending.Result(), queue.ErrRedisFull) || errors.Is(pending.Result(), queue.ErrOutcomeUnknown) {
			t.Errorf("transaction: %v, %v", err, pending.Result())
		}
		if rest := rdb.Get(ctx, "rest").Val(); rest != "still there" {
			t.Errorf("the rest of the transaction was carried out without the job: %q", rest)
		}
		within(t, "saying so", time.Since(start), 0, 10*time.Second) // and not the 60 s of an unknown outcome
		if n := counts(t, c, "default"); n.Ready != 1 || n.Scheduled != 0 || n.Enqueued != 1 {
			t.Errorf("%+v", n)
		}
		if state, err := c.Cancel(ctx, "default", "ready"); err != nil || state != queue.Cancelled {
			t.Errorf("cancel: %s, %v", state, err)
		}
		if err := c.Ping(ctx); err != nil {
			t.Error(err)
		}
		rdb.ConfigSet(ctx, "maxmemory", "0")
		enqueue(t, c, email{"x"})
		enqueue(t, c, email{"x"}, queue.Queue("new"))
	})
}

// TestWrongKeyTypes: a key of another type stops the call before anything moved, and is named.
func TestWrongKeyTypes(t *testing.T) {
	everywhere(t, func(t *testing.T, c *queue.Client) {
		ctx := t.Context()
		enqueue(t, c, email{"x"}, queue.ID("x"), queue.Queue("good"))
		for _, key := range []string{"tm:{bad}:scheduled", "tm:{bad}:ready:0", "tm:{bad}:producers", "tm:{bad}:meta"} {
			c.Redis().Set(ctx, key, "a string", 0)
			options := []queue.Option{queue.Queue("bad")}
			if key == "tm:{bad}:scheduled" { // others do not touch it
				options = append(options, queue.In(time.Hour))
			}
			_, err := c.Enqueue(ctx, email{"x"}, options...)
			want := `enqueue email: key "` + key + `" holds another type than Tidemill's; rename or delete it, nothing was changed`
			if err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
			if _, err := c.EnqueueMany(ctx, queue.Items(make([]email, 3)), options...); err == nil || errors.Is(err, queue.ErrUnavailable) {
				t.Errorf("batch: %v", err)
			}
			if keys := c.Redis().Keys(ctx, "tm:{bad}:*").Val(); len(keys) != 1 {
				t.Errorf("keys %q", keys)
			}
			c.Redis().Del(ctx, key)
		}
		enqueue(t, c, email{"x"}, queue.Queue("bad"))
		c.Redis().Del(ctx, "tm:queues")
		c.Redis().Set(ctx, "tm:queues", "a string", 0)
		if _, err := c.Queues(ctx); err == nil || errors.Is(err, queue.ErrUnavailable) {
			t.Errorf("queues: %v", err)
		}
		results, err := c.EnqueueMany(ctx, queue.Items(make([]email, 3000)), queue.Queue("third"))
		if err == nil || len(results) != 3000 || results[2999].Err == nil {
			t.Errorf("a queue whose name cannot be written: %v", err)
		}
		expectReady(t, c, "good", 1)
	})
}
