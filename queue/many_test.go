package queue_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// expectOrder checks that a queue's list holds the created ones of a batch, all of them, once, and in order.
func expectOrder(t testing.TB, c *queue.Client, name string, results []queue.Result) {
	t.Helper()
	q, err := c.Engine().Space.Queue(name)
	if err != nil {
		t.Fatal(err)
	}
	list, err := c.Redis().LRange(t.Context(), q.Key(keys.Ready), 0, -1).Result()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, r := range results {
		if r.Err == nil {
			want = append(want, string(r.ID[:]))
		}
	}
	if len(list) != len(want) {
		t.Fatalf("queue %s has %d jobs, the results say %d", name, len(list), len(want))
	}
	for i := range list {
		if list[i] != want[i] {
			t.Fatalf("queue %s: place %d is taken by another job", name, i)
		}
	}
	expectReady(t, c, name, int64(len(want)))
}

func TestEnqueueManySizes(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		c := open(t, srv.URL())
		withExpress(t, c)
		for _, n := range []int{1, 500, 501, 1000, 100_000} {
			name := fmt.Sprint("n", n)
			results, err := c.EnqueueMany(t.Context(), queue.Items(make([]email, n)), queue.Queue(name))
			if err != nil || len(results) != n {
				t.Fatalf("%d results, %v", len(results), err)
			}
			expectOrder(t, c, name, results)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		c := around(t, redistest.NewBubble(t).Client())
		results, err := c.EnqueueMany(t.Context(), queue.Items(make([]email, 2500)))
		if err != nil {
			t.Fatal(err)
		}
		expectOrder(t, c, "default", results)
	})
}

func TestEnqueueManyRefusesSizes(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		c := open(t, srv.URL())
		m := redistest.NewMonitor(t, srv)
		for n, text := range map[int]string{0: "invalid batch: 0 items; allowed: 1 to 1000000",
			queue.MaxMany + 1: "invalid batch: 1000001 items; allowed: 1 to 1000000"} {
			results, err := c.EnqueueMany(t.Context(), make([]queue.Item, n))
			if !errors.Is(err, queue.ErrInvalid) || err.Error() != text || results != nil {
				t.Errorf("%d results, %v", len(results), err)
			}
		}
		if n := m.Count(); n != 0 {
			t.Errorf("%d commands", n)
		}
	})
}

// mixedBatch is 1,400 good jobs over three queues, with 140 others between them, and what each must come to.
func mixedBatch() (items []queue.Item, want []error) {
	add := func(err error, args queue.Args, options ...queue.Option) {
		items, want = append(items, queue.Item{Args: args, Options: options}), append(want, err)
	}
	for i := range 1400 {
		name := queue.Queue([]string{"a", "b", "c"}[i%3])
		add(nil, email{fmt.Sprint(i)}, name, queue.ID(fmt.Sprint("id", i)))
		switch i % 70 {
		case 0:
			add(queue.ErrDuplicate, email{"there"}, queue.Queue("a"), queue.ID("there"))
		case 10:
			add(queue.ErrDuplicate, email{"gone"}, queue.Queue("b"), queue.ID("gone"))
		case 20:
			add(queue.ErrDuplicate, email{"twice"}, name, queue.ID(fmt.Sprint("id", i)))
		case 30:
			add(queue.ErrInvalid, queue.Raw{Name: "a b"}, name)
		case 40:
			add(queue.ErrPayloadTooLarge, queue.Raw{Name: "big", Payload: make([]byte, 2<<20)}, name)
		case 50:
			add(queue.ErrInvalid, email{}, name, queue.In(-1))
		case 60:
			add(queue.ErrInvalid, nil, name)
		}
	}
	return items, want
}

// TestEnqueueManyMixed: one batch in which everything happens, over three queues; each result is true and the good ones
// keep their order.
func TestEnqueueManyMixed(t *testing.T) {
	everywhere(t, func(t *testing.T, c *queue.Client) {
		enqueue(t, c, email{"there"}, queue.ID("there"), queue.Queue("a"))
		enqueue(t, c, email{"gone"}, queue.ID("gone"), queue.Queue("b"))
		if _, err := c.Cancel(t.Context(), "b", "gone"); err != nil {
			t.Fatal(err)
		}
		items, want := mixedBatch()
		results, err := c.EnqueueMany(t.Context(), items, queue.Meta("batch", "1"))
		var batch *queue.BatchError
		if !errors.As(err, &batch) || batch.Of != len(items) || batch.Failed != 140 || !errors.Is(err, queue.ErrDuplicate) {
			t.Fatal(err)
		}
		byQueue := map[string][]queue.Result{}
		place := 0
		for i, r := range results {
			if !errors.Is(r.Err, want[i]) {
				t.Errorf("item %d: %v, want %v", i, r.Err, want[i])
			}
			if (r.ID == uuid.Nil) != (errors.Is(want[i], queue.ErrInvalid) || errors.Is(want[i], queue.ErrPayloadTooLarge)) {
				t.Errorf("item %d (%v): id %s", i, r.Err, r.ID)
			}
			var duplicate *queue.DuplicateError
			if errors.As(r.Err, &duplicate) && (duplicate.ID != r.ID || duplicate.Cancelled != (items[i].Args == email{"gone"})) {
				t.Errorf("item %d: %+v", i, duplicate)
			}
			if want[i] == nil {
				name := []string{"a", "b", "c"}[place%3]
				byQueue[name] = append(byQueue[name], r)
				place++
			}
		}
		first, _ := c.Get(t.Context(), "a", "there")
		byQueue["a"] = append([]queue.Result{{ID: first.ID}}, byQueue["a"]...)
		for _, name := range []string{"a", "c"} {
			expectOrder(t, c, name, byQueue[name])
		}
		if s, err := c.Get(t.Context(), "c", "id2"); err != nil || s.Meta["batch"] != "1" || string(s.Payload) != `{"to":"2"}` {
			t.Errorf("%+v, %v", s, err)
		}
	})
}

func TestEnqueueManyManyQueues(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		c := open(t, srv.URL())
		items := make([]queue.Item, 3000)
		for i := range items {
			items[i] = queue.Item{Args: email{fmt.Sprint(i)}, Options: []queue.Option{queue.Queue(fmt.Sprint("q", i%500))}}
		}
		results, err := c.EnqueueMany(t.Context(), items)
		if err != nil {
			t.Fatal(err)
		}
		names, err := c.Queues(t.Context())
		if err != nil || len(names) != 500 || names[0] != "q0" || names[1] != "q1" || names[2] != "q10" {
			t.Errorf("%d queues, %v", len(names), err)
		}
		for q := range 500 {
			var own []queue.Result
			for i := q; i < len(results); i += 500 {
				own = append(own, results[i])
			}
			expectOrder(t, c, fmt.Sprint("q", q), own)
		}
	})
}

// TestEnqueueManyCancelledHalfWay: what the results call created is there, what they call not sent is not.
func TestEnqueueManyCancelledHalfWay(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		c, p := behind(t, srv)
		enqueue(t, c, email{"loads the script"}, queue.Queue("other"))
		withExpress(t, c)
		ctx, cancel := context.WithCancelCause(t.Context())
		enough, reason := redistest.Nth(10, scripts), errors.New("enough")
		p.DropReply(func(cmd string, args []string) bool {
			if enough(cmd, args) {
				cancel(reason)
			}
			return false
		})
		results, err := c.EnqueueMany(ctx, queue.Items(make([]email, 50_000)))
		var batch *queue.BatchError
		if !errors.As(err, &batch) || !errors.Is(err, reason) {
			t.Fatal(err)
		}
		created, unknown := 0, 0
		for i, r := range results {
			switch {
			case errors.Is(r.Err, queue.ErrOutcomeUnknown) && errors.Is(r.Err, reason) && created+unknown == i: // the machine stood still
				unknown++
			case r.Err == nil && created == i:
				created++
			case r.Err == nil:
				t.Fatalf("item %d was created after one that was not", i)
			case !errors.Is(r.Err, reason) || !strings.HasPrefix(r.Err.Error(), "not sent: "):
				t.Fatalf("item %d: %v", i, r.Err)
			}
		}
		if created < 1000 || created+unknown > 10_000 || batch.Failed != 50_000-created {
			t.Errorf("%d created, %d unknown, %v", created, unknown, err)
		}
		if unknown == 0 {
			expectOrder(t, c, "default", results)
		}
	})
}

func TestEnqueueManyLostRepliesKeepOrder(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		c, p := behind(t, srv)
		enqueue(t, c, email{"loads the script"}, queue.Queue("other"))
		withExpress(t, c)
		p.DropReply(someOf(scripts))
		results, err := c.EnqueueMany(t.Context(), queue.Items(make([]email, 20_000)))
		if err != nil {
			t.Fatal(err)
		}
		p.DropReply(nil)
		expectOrder(t, c, "default", results)
	})
}

// explosive panics when it is asked for its kind.
type explosive struct{}

func (explosive) Kind() string { panic("boom") }

// TestPanicInABatchLeavesNothingBehind: a server that recovers from panics, as net/http does, must not collect
// goroutines; TestMain counts them.
func TestPanicInABatchLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := around(t, redistest.NewBubble(t).Client())
		items := append(queue.Items(make([]email, 4000)), queue.Item{Args: explosive{}})
		func() {
			defer func() {
				if p := recover(); p != "boom" {
					t.Errorf("recovered %v", p)
				}
			}()
			_, err := c.EnqueueMany(t.Context(), items)
			t.Errorf("no panic, %v", err)
		}()
		time.Sleep(time.Second)
		if n := counts(t, c, "default"); n.Ready%500 != 0 || n.Ready == 0 {
			t.Errorf("%d jobs of the batch were created", n.Ready)
		}
	})
}
