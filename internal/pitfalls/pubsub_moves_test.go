package pitfalls

import (
	"slices"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/pubsub"
)

// opened is a range whose publishers and listener find the servers by a URL.
func opened(t *testing.T, url string, publishers int, options ...pubsub.TopicOption) *range17 {
	t.Helper()
	r := &range17{T: t}
	r.listener = r.open(url)
	r.topics = r.make(r.listener, publishers, options...)
	return r
}

// listenAll is an ear for each topic.
func (r *range17) listenAll() (ears []*ear) {
	r.Helper()
	for p, topic := range r.topics {
		ears = append(ears, listen(r.T, topic.Name(), []int{p}, topic, 0, pubsub.Buffer(1<<18)))
	}
	return ears
}

// flows waits until messages arrive again.
func (r *range17) flows() {
	r.Helper()
	had := r.listener.Stats().Received
	redistest.WaitFor(r, slow, func() bool { return r.listener.Stats().Received > had+100 }, "messages")
}

// judgeAll ends the barrage and judges all ears, which are to have been told of a gap each.
func (r *range17) judgeAll(ears []*ear) {
	r.Helper()
	r.barrage.finish(ears...)
	for _, e := range ears {
		if sum := r.barrage.judge(e); sum.gaps == 0 || sum.dropped != 0 || sum.delivered < 100 {
			r.Errorf("%s: %v", e.name, sum)
		}
	}
	redistest.WaitFor(r, slow, func() bool { return r.listener.Stats().Connections == 0 }, "the connections to go")
}

// Sharded topics in a Cluster, a plain one beside them: the subscription connections are killed again and again, and channels
// move to other servers under way.
func TestPitfall17PubSubSharded(t *testing.T) {
	if !alone(t) {
		return
	}
	cluster := redistest.NewCluster(t, 3, false)
	r := opened(t, cluster.URL(t), 6, pubsub.Sharded())
	ears := r.listenAll()
	plain, err := pubsub.NewTopic[shot](r.listener, "fire.plain")
	if err != nil {
		t.Fatal(err)
	}
	ears = append(ears, listen(t, "plain", []int{6}, plain, 0, pubsub.Buffer(1<<18)))
	publisher := r.open(cluster.URL(t))
	also, err := pubsub.NewTopic[shot](publisher, "fire.plain")
	if err != nil {
		t.Fatal(err)
	}
	r.barrage = shoot(t, append(r.make(publisher, 6, pubsub.Sharded()), also))
	for turn := range 6 {
		r.flows()
		for _, srv := range cluster.Primaries {
			if err := redistest.Client(t, srv).Do(t.Context(), "CLIENT", "KILL", "TYPE", "pubsub").Err(); err != nil {
				t.Error(err)
			}
		}
		name := r.topics[turn].Name()
		other := cluster.Primaries[(slices.Index(cluster.Primaries, cluster.Owner(t, name))+1)%3]
		if turn%2 == 0 {
			r.flows()
		}
		cluster.Move(t, name, other)
	}
	r.judgeAll(ears)
	for _, srv := range cluster.Primaries {
		rdb := redistest.Client(t, srv)
		redistest.WaitFor(t, slow, func() bool { return len(subscriptions(t, rdb)) == 0 }, "Redis to have no subscriber")
	}
}

// Sentinels hand over to another primary, and replace one that stands still and lives on later: subscriptions follow, with a
// gap told.
func TestPitfall17PubSubFailover(t *testing.T) {
	if !alone(t) {
		return
	}
	for name, fail := range map[string]func(t *testing.T, s *redistest.Sentinel, old *redisserver.Server) (after func()){
		"handed over": func(t *testing.T, s *redistest.Sentinel, _ *redisserver.Server) func() {
			s.Failover(t)
			return func() {}
		},
		"frozen": func(t *testing.T, s *redistest.Sentinel, old *redisserver.Server) func() {
			if err := old.Freeze(); err != nil {
				t.Fatal(err)
			}
			s.AwaitOther(t, old)
			return func() {
				if err := old.Thaw(); err != nil {
					t.Error(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.NewSentinel(t, 1, 1)
			old := s.Primary(t)
			r := opened(t, s.URL(), 2)
			ears := r.listenAll()
			r.barrage = shoot(t, r.make(r.open(s.URL()), 2))
			r.flows()
			after := fail(t, s, old)
			r.flows()
			after()
			r.flows()
			r.judgeAll(ears)
		})
	}
}

// Redis dies and comes back, twice.
func TestPitfall17PubSubRestart(t *testing.T) {
	if !alone(t) {
		return
	}
	srv := redistest.Server(t)
	r := opened(t, srv.URL(), 2)
	ears := r.listenAll()
	r.barrage = shoot(t, r.make(r.open(srv.URL()), 2))
	for range 2 {
		r.flows()
		srv.Kill()
		over := time.Now().Add(300 * time.Millisecond)
		redistest.WaitFor(t, slow, func() bool { return time.Now().After(over) }, "time to pass")
		if err := srv.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	r.flows()
	r.judgeAll(ears)
}
