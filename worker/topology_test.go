package worker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// site is a test on a topology.
type site struct {
	*testing.T
	ctx    context.Context
	client *queue.Client
	logs   *logBook
}

func newSite(t *testing.T, url string, config queue.Config) *site {
	t.Helper()
	s := &site{T: t, ctx: context.Background(), logs: &logBook{}}
	config.Logger = zerolog.New(s.logs).Level(zerolog.InfoLevel)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("logged:\n%s", strings.Join(s.logs.all(), "\n"))
		}
	})
	client, err := queue.Open(s.ctx, url, config)
	s.must(err)
	t.Cleanup(func() { _ = client.Close() })
	s.client = client
	return s
}

func (s *site) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// start runs a worker until the function it answers is called, which fails the test unless it drains clean.
func (s *site) start(client *queue.Client, mux *Mux, config Config) (stop func()) {
	s.Helper()
	w, err := New(client, mux, config)
	s.must(err)
	ctx, end := context.WithCancel(s.ctx)
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			end()
			if err := <-done; err != nil {
				s.Errorf("the worker ended with %v", err)
			}
		})
	}
	s.Cleanup(stop)
	inner := &proc{w: w}
	s.wait("the worker's sessions", inner.joined)
	return stop
}

func (s *site) wait(what string, cond func() bool) {
	s.Helper()
	redistest.WaitFor(s, time.Minute, cond, what)
}

func (s *site) left(queues []string) (left int64) {
	for _, name := range queues {
		n, err := s.client.Counts(s.ctx, name)
		if err != nil {
			return -1
		}
		left += n.Ready + n.Scheduled + n.Running
	}
	return left
}

func names(n int) (queues []string) {
	for i := range n {
		queues = append(queues, fmt.Sprintf("q%d", i))
	}
	return queues
}

func serve(queues []string) (out []Queue) {
	for _, name := range queues {
		out = append(out, Queue{Name: name})
	}
	return out
}

// What an application does in an hour, on every topology: jobs over five queues, of all priorities, now and later; a pause,
// a cancelled handler, scripts forgotten, connections cut.
func TestEachTopologyEndToEnd(t *testing.T) {
	t.Parallel()
	redistest.EachTopology(t, func(t *testing.T, topo *redistest.Topology) {
		s := newSite(t, topo.URL, queue.Config{})
		queues := names(5)
		const each = 400
		var items []queue.Item
		for i := range each * len(queues) {
			options := []queue.Option{queue.Queue(queues[i%len(queues)]), queue.Priority(i % 10)}
			if i%4 == 0 {
				options = append(options, queue.In(time.Duration(100+i%400)*time.Millisecond))
			}
			items = append(items, queue.Item{Args: nap{}, Options: options})
		}
		_, err := s.client.Pause(s.ctx, queues[3])
		s.must(err)
		results, err := s.client.EnqueueMany(s.ctx, items)
		s.must(err)
		if listed, err := s.client.Queues(s.ctx); err != nil || strings.Join(listed, " ") != strings.Join(queues, " ") {
			t.Errorf("queues are %q, %v", listed, err)
		}

		runs := &ledger{}
		mux := runs.sleeper()
		stuck := make(chan struct{}, 1)
		mux.HandleKind("wait", func(ctx context.Context, _ *queue.Job[queue.Raw]) error {
			stuck <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		})
		config := Config{Queues: serve(queues), Concurrency: 20}
		stops := []func(){s.start(s.client, mux, config)}
		other, err := queue.Open(s.ctx, topo.URL)
		s.must(err)
		t.Cleanup(func() { _ = other.Close() })
		stops = append(stops, s.start(other, mux, config))

		topo.Forget(t)
		topo.Disconnect(t)
		s.wait("all but the paused queue to be empty", func() bool { return s.left([]string{"q0", "q1", "q2", "q4"}) == 0 })
		if n := s.left(queues[3:4]); n != each {
			t.Errorf("%d jobs are left of %d in the paused queue", n, each)
		}
		_, err = s.client.Resume(s.ctx, queues[3])
		s.must(err)
		s.wait("all queues to be empty", func() bool { return s.left(queues) == 0 })
		jobs, repeated := runs.read()
		if jobs != len(results) {
			t.Errorf("%d jobs ran of %d", jobs, len(results))
		}
		if repeated > 0 { // the connections were cut, and yet nobody lost a session
			t.Errorf("%d jobs ran more than once", repeated)
		}

		id, err := s.client.Enqueue(s.ctx, queue.Raw{Name: "wait", Payload: []byte("{}")}, queue.Queue("q1"), queue.Retain(time.Hour))
		s.must(err)
		<-stuck
		if state, err := s.client.Cancel(s.ctx, "q1", id.String()); err != nil || state != queue.Running {
			t.Errorf("cancel: %v %v", state, err)
		}
		s.wait("the job to be cancelled", func() bool {
			got, err := s.client.Get(s.ctx, "q1", id.String())
			return err == nil && got.State == queue.Cancelled
		})
		s.transact("q2")
		s.wait("the jobs of transactions to run", func() bool { jobs, _ := runs.read(); return jobs == len(results)+2 })
		for _, stop := range stops {
			stop()
		}
		for _, line := range append(s.logs.find("queue stopped"), s.logs.find("session lost")...) {
			t.Errorf("logged %v", line)
		}
	})
}

// transact enqueues a job within a transaction, and another within one that watches a key of the same slot.
func (s *site) transact(name string) {
	s.Helper()
	mine := "tm:{" + name + "}:mine"
	pipe := s.client.Redis().TxPipeline()
	pending, err := s.client.EnqueueTx(s.ctx, pipe, nap{}, queue.Queue(name))
	s.must(err)
	pipe.Set(s.ctx, mine, "1", 0)
	_, err = pipe.Exec(s.ctx)
	s.must(err)
	s.must(pending.Result())
	s.must(s.client.Watch(s.ctx, func(tx *redis.Tx) error {
		if err := tx.Get(s.ctx, mine).Err(); err != nil {
			return err
		}
		_, err := tx.TxPipelined(s.ctx, func(pipe redis.Pipeliner) error {
			pipe.Del(s.ctx, mine)
			pending, err = s.client.EnqueueTx(s.ctx, pipe, nap{}, queue.Queue(name))
			return err
		})
		return err
	}, mine))
	s.must(pending.Result())
}

// A shard that does not answer, though its connections stand, is away like a dead one: its queues are not given up, and the
// others go on.
func TestClusterShardFrozen(t *testing.T) {
	t.Parallel()
	cluster := redistest.NewCluster(t, 3, false, redistest.WithConfig("cluster-require-full-coverage no"))
	s := newSite(t, cluster.URL(t), queue.Config{})
	runs := &ledger{}
	s.start(s.client, runs.sleeper(), Config{Queues: serve(names(6)), Concurrency: 20, SessionTTL: queue.MinSessionTTL})
	frozen := cluster.Owner(t, "tm:{q0}:jobs")
	if frozen != cluster.Owner(t, "tm:queues") {
		t.Fatal("the names of the queues are elsewhere: this shows less")
	}
	var others []string
	for _, name := range names(6) {
		if cluster.Owner(t, "tm:{"+name+"}:jobs") != frozen {
			others = append(others, name)
		}
	}
	frozen.Freeze()
	began := time.Now()
	redistest.WaitFor(t, time.Minute, func() bool { return len(s.logs.find("heartbeat failed")) > 0 || len(s.logs.find("stopped")) > 0 }, "the frozen shard to be noticed")
	for _, name := range others {
		if _, err := s.client.Enqueue(s.ctx, nap{}, queue.Queue(name)); err != nil {
			t.Fatal(err)
		}
		redistest.WaitFor(t, time.Minute, func() bool {
			n, err := s.client.Counts(s.ctx, name)
			return err == nil && n.Succeeded == 1
		}, "a job of another shard's queue "+name)
	}
	redistest.WaitFor(t, time.Minute, func() bool { return time.Since(began) > 8*time.Second }, "time to pass")
	frozen.Thaw()
	redistest.WaitFor(t, time.Minute, func() bool { return len(s.logs.find("redis answers again")) > 0 }, "it to be back")
	back := 0 // of the other queues; on a loaded machine one or two may have had a heartbeat fail
	for _, line := range s.logs.find("redis answers again") {
		if name, _ := line["queue"].(string); slices.Contains(others, name) {
			back++
		}
	}
	if lost := s.logs.find("session lost"); back > 3 || len(lost) > 0 {
		t.Errorf("the other shards' heartbeats failed too, %d times; %v", back, lost)
	}
	for _, line := range s.logs.find("queue stopped") {
		t.Errorf("taken for a refusal: %v", line)
	}
	if _, err := s.client.Enqueue(s.ctx, nap{}, queue.Queue("q0")); err != nil {
		t.Fatal(err)
	}
	redistest.WaitFor(t, time.Minute, func() bool {
		n, err := s.client.Counts(s.ctx, "q0")
		return err == nil && n.Succeeded == 1
	}, "a job of its queue to run")
}

// A control channel that Redis refuses is asked for again: who may listen later is told at once from then on.
func TestControlIsAskedForAgain(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	admin := redistest.Client(t, srv)
	allow := func(rules ...any) {
		t.Helper()
		if err := admin.Do(t.Context(), append([]any{"ACL", "SETUSER", "guest"}, rules...)...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	allow("on", ">secret", "~*", "+@all", "resetchannels")
	s := newSite(t, strings.Replace(srv.URL(), "redis://", "redis://guest:secret@", 1), queue.Config{})
	stop := s.start(s.client, (&ledger{}).sleeper(), Config{})
	s.wait("the refusal", func() bool { return len(s.logs.find("the control channel is not to be had")) == 1 })
	allow("&*")
	listening := func() bool {
		return admin.PubSubNumSub(t.Context(), "tm:control").Val()["tm:control"] == 1
	}
	s.wait("the subscription", listening)
	allow("resetchannels") // Redis ends the connection
	s.wait("its end", func() bool { return !listening() })
	allow("&*")
	s.wait("the subscription", listening)
	stop()
}
