package queue_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// Ten thousand who wait in one process take one subscription, and few round trips for the hints.
func TestManyWait(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		const many = 2000
		c, workers, observer := open(t, srv.URL()), open(t, srv.URL()), redistest.Client(t, srv)
		monitor := redistest.NewMonitor(t, srv)
		stop := work(t, workers, endingMux(0), worker.Config{Concurrency: 50})
		items := make([]queue.Item, many)
		for i := range items {
			items[i] = queue.Item{Args: kind([]string{"good", "bad"}[i%2])}
		}
		results, err := c.EnqueueMany(t.Context(), items, queue.Retain(time.Hour), queue.Notify(), queue.In(500*time.Millisecond))
		if err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		for i, r := range results {
			group.Go(func() {
				s, err := c.Wait(t.Context(), "default", r.ID.String())
				if err != nil || s.State != []queue.State{queue.Succeeded, queue.DeadState}[i%2] {
					t.Errorf("%d: %+v, %v", i, s, err)
				}
			})
		}
		redistest.WaitFor(t, soon, func() bool { return len(channels(t, observer)) > 0 }, "the subscription")
		if names := channels(t, observer); len(names) != 1 || !strings.HasPrefix(names[0], "tm:ended:") {
			t.Errorf("channels %q", names)
		}
		group.Wait()
		stop()
		if n := monitor.Count("PUBLISH"); n == 0 || n > many/4 {
			t.Errorf("%d hints for %d jobs: they are sent together", n, many)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		redistest.WaitFor(t, soon, func() bool { return len(channels(t, observer)) == 0 }, "the subscription to end with its client")
	})
}

// channels are those of waiting clients that somebody is subscribed to.
func channels(t testing.TB, rdb *redis.Client) []string {
	t.Helper()
	names, err := rdb.PubSubChannels(t.Context(), "*:ended:*").Result()
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// Redis restarts under those who wait: they go on, and are told by the new subscription.
func TestWaitSurvivesRestart(t *testing.T) {
	srv := redistest.Server(t, redistest.WithAOF("always"))
	c, workers := open(t, srv.URL()), open(t, srv.URL())
	id := enqueue(t, c, kind("good"), queue.Retain(time.Hour), queue.Notify())
	done := make(chan error, 1)
	go func() {
		s, err := c.Wait(t.Context(), "default", id)
		if err == nil && s.State != queue.Succeeded {
			err = fmt.Errorf("it is %s", s.State)
		}
		done <- err
	}()
	rdb := redistest.Client(t, srv)
	redistest.WaitFor(t, soon, func() bool { return len(channels(t, rdb)) == 1 }, "the subscription")
	if err := srv.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	redistest.WaitFor(t, soon, func() bool {
		names, err := rdb.PubSubChannels(t.Context(), "*:ended:*").Result()
		return err == nil && len(names) == 1
	},
		"the new subscription")
	work(t, workers, endingMux(0), worker.Config{})
	if err := <-done; err != nil {
		t.Error(err)
	}
}
