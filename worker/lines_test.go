package worker

import (
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/bus"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// More queues than connections may wait for: they take turns, and work is found all the same.
func TestClusterQueuesShareConnections(t *testing.T) {
	t.Parallel()
	c := redistest.NewCluster(t, 3, false)
	s := newSite(t, c.URL(t), queue.Config{MaxConnections: 10}) // 5 for commands, heartbeat, subscription, 1 for waiting, 2 spare
	queues := names(6)
	runs := &ledger{}
	stop := s.start(s.client, runs.sleeper(), Config{Queues: serve(queues)})
	if told := s.logs.find("Redis Cluster:"); len(told) != 1 || !strings.Contains(told[0]["message"].(string), "6 queues share 1 ") {
		t.Errorf("told %v", told)
	}
	for i, name := range queues {
		_, err := s.client.Enqueue(s.ctx, nap{}, queue.Queue(name), queue.In(time.Duration(i%2)*50*time.Millisecond))
		s.must(err)
	}
	s.wait("the jobs to run", func() bool { jobs, _ := runs.read(); return jobs == len(queues) })
	stop()
}

func TestBlockingLines(t *testing.T) {
	for _, c := range []struct {
		queues  int
		cluster bool
		left    int
		want    int
	}{{1, false, 0, 1}, {40, false, 40, 1}, {1, true, 40, 1}, {5, true, 40, 5}, {40, true, 40, 16}, {40, true, 6, 4}, {40, true, 0, 1}} {
		if got := blockingLines(c.queues, c.cluster, c.left); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
	for want, got := range map[string]string{
		"one blocking connection waits for work":                  BlockingPlan(1, false),
		"one blocking connection waits for work in all 7 queues":  BlockingPlan(7, false),
		"Redis Cluster: a blocking connection for each queue (7)": BlockingPlan(7, true),
		"Redis Cluster: 40 queues share 16 blocking connections (up to 3 each) in turns of 1s: " +
			"a job on an idle queue may wait up to 2s to be noticed": BlockingPlan(40, true),
		"Redis Cluster: 17 queues share 16 blocking connections (up to 2 each) in turns of 1s: " +
			"a job on an idle queue may wait up to 1s to be noticed": BlockingPlan(17, true),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// The budget names the number that is needed.
func TestBudgetOfAWorker(t *testing.T) {
	srv := redistest.Server(t)
	s := newSite(t, srv.URL(), queue.Config{MaxConnections: 5})
	first, err := s.client.Engine().Conn.Dedicated("mine", 2)
	s.must(err)
	defer first.Close()
	w, err := New(s.client, NewMux(), Config{})
	s.must(err)
	if err := w.Run(s.ctx); err == nil || !strings.Contains(err.Error(), "MaxConnections must be at least") {
		t.Errorf("got %v", err)
	}
}

// deaf is a bus.Receiver that does nothing.
type deaf struct{}

func (deaf) Message(string, []byte) {}
func (deaf) Missed(bus.Gap)         {}
func (deaf) Ended(error)            {}

// A process has one connection for subscriptions, whatever subscribes: its workers, those who wait for jobs to end, and
// others who are given its client.
func TestOneSubscriptionConnection(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	s := newSite(t, srv.URL(), queue.Config{})
	runs := &ledger{}
	s.start(s.client, runs.sleeper(), Config{Queues: serve([]string{"a"})})
	s.start(s.client, runs.sleeper(), Config{Queues: serve([]string{"b"})})
	id, err := s.client.Enqueue(s.ctx, nap{}, queue.Queue("a"), queue.In(100*time.Millisecond), queue.Notify(), queue.Retain(time.Minute))
	s.must(err)
	_, err = s.client.Wait(s.ctx, "a", id.String())
	s.must(err)
	beside, err := queue.New(s.client.Redis(), queue.Config{})
	s.must(err)
	defer func() { _ = beside.Close() }()
	_, err = bus.HubOf(beside.Engine().Conn).Subscribe(s.ctx, bus.Channel, "ch", deaf{})
	s.must(err)
	list := redistest.Client(t, srv).Do(s.ctx, "CLIENT", "LIST", "TYPE", "pubsub").String()
	if strings.Count(list, "id=") != 1 || !strings.Contains(list, "name=tidemill:subscription ") || !strings.Contains(list, " sub=3 ") {
		t.Errorf("want one connection with the control channel, the ends of jobs and ch:\n%s", list)
	}
}
