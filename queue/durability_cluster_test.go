package queue_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// In a Cluster each queue's jobs are confirmed by the replicas of its own server, also while its slot moves and behind it.
func TestDurabilityInCluster(t *testing.T) {
	t.Parallel()
	x := redistest.NewCluster(t, 3, true)
	for name, c := range map[string]*queue.Client{"by URL": open(t, x.URL(t)), "passed in": around(t, x.Client(t))} {
		t.Run(name, func(t *testing.T) {
			many := func(d queue.Durability) []queue.Result {
				var items []queue.Item
				for i := range 600 {
					items = append(items, queue.Item{Args: email{"x"}, Options: []queue.Option{queue.Queue(fmt.Sprint("q", i%6)), queue.Durable(d)}})
				}
				results, _ := c.EnqueueMany(t.Context(), items)
				return results
			}
			for _, r := range many(patient) {
				if r.Err != nil {
					t.Fatal(r.Err)
				}
			}
			owner := x.Owner(t, "tm:{q1}:jobs")
			var here [6]bool
			for i := range here {
				here[i] = x.Owner(t, fmt.Sprintf("tm:{q%d}:jobs", i)) == owner
			}
			for i, srv := range x.Primaries {
				if srv != owner {
					continue
				}
				frozen := x.Replicas[i]
				if err := frozen.Freeze(); err != nil {
					t.Fatal(err)
				}
				id, err := c.Enqueue(t.Context(), email{"frozen"}, queue.Queue("q1"), queue.Durable(one))
				expectNotConfirmed(t, err, id, 0, 1)
				for i, r := range many(one) {
					if here[i%6] != errors.Is(r.Err, queue.ErrNotConfirmed) || !here[i%6] && r.Err != nil {
						t.Fatalf("queue q%d, of the frozen replica: %v: %v", i%6, here[i%6], r.Err)
					}
				}
				if err := frozen.Thaw(); err != nil {
					t.Fatal(err)
				}
			}
			to := x.Primaries[0]
			if owner == to {
				to = x.Primaries[1]
			}
			x.Move(t, "tm:{q1}:jobs", to)
			if _, err := c.Enqueue(t.Context(), email{"moved"}, queue.Queue("q1"), queue.Durable(patient)); err != nil {
				t.Errorf("after the slot moved: %v", err)
			}
		})
	}
}

// While a slot is on its way the call is refused or redirected, and the wait behind it goes where the call went in the end.
func TestDurabilityOfARedirectedCall(t *testing.T) {
	t.Parallel()
	x := redistest.NewCluster(t, 3, true)
	c := open(t, x.URL(t))
	enqueue(t, c, email{"warm"}, queue.Queue("other"), queue.Durable(patient))
	source := x.Owner(t, "tm:{new}:jobs")
	to, replica := x.Primaries[0], x.Replicas[0]
	if to == source {
		to = x.Primaries[1]
	}
	from, dest := redistest.Client(t, source), redistest.Client(t, to)
	slot := from.ClusterKeySlot(t.Context(), "tm:{new}:jobs").Val()
	set := func(rdb *redis.Client, word, id string) {
		t.Helper()
		if err := rdb.Do(t.Context(), "CLUSTER", "SETSLOT", slot, word, id).Err(); err != nil {
			t.Fatal(err)
		}
	}
	myid := func(rdb *redis.Client) string { return rdb.Do(t.Context(), "CLUSTER", "MYID").Val().(string) }
	set(dest, "IMPORTING", myid(from))
	set(from, "MIGRATING", myid(dest))
	done := make(chan error, 1)
	go func() {
		_, err := c.Enqueue(context.WithoutCancel(t.Context()), email{"under way"}, queue.Queue("new"), queue.Durable(patient))
		done <- err
	}()
	redistest.WaitFor(t, time.Minute, func() bool {
		return strings.Contains(from.Info(t.Context(), "errorstats").Val(), "errorstat_ASK:")
	}, "the call to be redirected")
	for _, rdb := range []*redis.Client{dest, from} {
		set(rdb, "NODE", myid(dest))
	}
	if err := <-done; err != nil {
		t.Errorf("under way: %v", err)
	}
	// Back, while the client still believes it there.
	x.Move(t, "tm:{new}:jobs", source)
	for i, srv := range x.Primaries {
		if srv == source {
			replica = x.Replicas[i]
		}
	}
	if err := replica.Freeze(); err != nil {
		t.Fatal(err)
	}
	// The old server's replica is well, and would confirm. Where the slots are now may be asked of the frozen one, so that the
	// wait does not come to the right place in time: that is told as not confirmed too.
	_, err := c.Enqueue(t.Context(), email{"moved"}, queue.Queue("new"), queue.Durable(one))
	var refused *queue.NotConfirmedError
	if !errors.As(err, &refused) || refused.Replicas != 0 || refused.Wanted.Replicas != 1 {
		t.Errorf("moved: %v", err)
	}
	if n := dest.Info(t.Context(), "errorstats").Val(); !strings.Contains(n, "errorstat_MOVED:") {
		t.Errorf("it was not redirected: %s", n)
	}
	if err := replica.Thaw(); err != nil {
		t.Fatal(err)
	}
	enqueue(t, c, email{"thawed"}, queue.Queue("new"), queue.Durable(patient))
}
