package worker

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// keepGoing enqueues one job after another until stopped, and answers how many were acknowledged.
func (s *site) keepGoing(queues []string) (stop func() int) {
	ctx, end := context.WithCancel(s.ctx)
	done, n := make(chan struct{}), 0
	go func() {
		defer close(done)
		for i := 0; ctx.Err() == nil; i++ {
			_, err := s.client.Enqueue(ctx, nap{}, queue.Queue(queues[i%len(queues)]))
			if err == nil {
				n++
			} else if ctx.Err() == nil && !errors.Is(err, queue.ErrOutcomeUnknown) && !errors.Is(err, queue.ErrUnavailable) {
				s.Errorf("enqueue: %v", err)
			}
		}
	}()
	return func() int { end(); <-done; return n }
}

// After a failover workers and producers go on by themselves.
func TestFailover(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(t *testing.T) (url string, fail func())
	}{
		{"sentinel", func(t *testing.T) (string, func()) {
			x := redistest.NewSentinel(t, 1, 1)
			return x.URL(), func() {
				old := x.Primary(t)
				old.Kill()
				x.AwaitOther(t, old)
			}
		}},
		{"cluster", func(t *testing.T) (string, func()) {
			x := redistest.NewCluster(t, 3, true)
			return x.URL(t), func() {
				old := x.Owner(t, "tm:{q1}:meta")
				old.Kill()
				at := x.Client(t)
				redistest.WaitFor(t, time.Minute, func() bool {
					at.ReloadState(context.Background())
					return at.Get(context.Background(), "tm:{q1}:none").Err().Error() == "redis: nil"
				}, "a replica to take over")
			}
		}},
		{"cluster, a slot moves", func(t *testing.T) (string, func()) {
			x := redistest.NewCluster(t, 3, false)
			return x.URL(t), func() {
				to := x.Primaries[0]
				if x.Owner(t, "tm:{q1}:meta") == to {
					to = x.Primaries[1]
				}
				x.Move(t, "tm:{q1}:meta", to)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			url, fail := c.set(t)
			s := newSite(t, url, queue.Config{})
			queues := names(4)
			runs := &ledger{}
			stop := s.start(s.client, runs.sleeper(), Config{Queues: serve(queues)})
			before := s.keepGoing(queues)
			s.wait("jobs to run", func() bool { jobs, _ := runs.read(); return jobs > 50 })
			fail()
			began := time.Now()
			before()
			// From here on nothing may be lost any more.
			had, _ := runs.read()
			for i := range 200 {
				_, err := s.client.Enqueue(s.ctx, nap{}, queue.Queue(queues[i%len(queues)]))
				s.must(err)
			}
			s.wait("the queues to be empty", func() bool { return s.left(queues) == 0 })
			t.Logf("resumed within %v", time.Since(began))
			if now, _ := runs.read(); now < had+200 {
				t.Errorf("%d jobs ran of 200", now-had)
			}
			stop()
		})
	}
}

// A shard that is down stops its own queues only, and they go on once it is back.
func TestClusterShardDown(t *testing.T) {
	t.Parallel()
	c := redistest.NewCluster(t, 3, false, redistest.WithAOF("always"), redistest.WithConfig("cluster-require-full-coverage no"))
	s := newSite(t, c.URL(t), queue.Config{})
	queues := names(6)
	down := c.Owner(t, "tm:{q1}:meta")
	var gone, up []string
	for _, name := range queues {
		if c.Owner(t, "tm:{"+name+"}:meta") == down {
			gone = append(gone, name)
		} else {
			up = append(up, name)
		}
	}
	runs := &ledger{}
	// Few slots: they must not be kept for a queue that does not answer.
	stop := s.start(s.client, runs.sleeper(), Config{Queues: serve(queues), Concurrency: 4})
	for i := range 300 {
		_, err := s.client.Enqueue(s.ctx, nap{MS: 5}, queue.Queue(gone[i%len(gone)]))
		s.must(err)
	}
	s.wait("some jobs to run", func() bool { jobs, _ := runs.read(); return jobs > 20 })
	down.Kill()
	for i := range 100 {
		_, err := s.client.Enqueue(s.ctx, nap{}, queue.Queue(up[i%len(up)]))
		s.must(err)
	}
	redistest.WaitFor(t, time.Minute, func() bool { return s.left(up) == 0 }, "the other queues to be empty") // while it is down
	s.must(down.Restart(s.ctx))
	s.wait("all queues to be empty", func() bool { return s.left(queues) == 0 })
	if jobs, repeated := runs.read(); jobs != 400 || repeated > 0 {
		t.Errorf("%d jobs ran of 400, %d of them more than once", jobs, repeated)
	}
	stop()
}
