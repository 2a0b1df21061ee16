package pitfalls

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// produce makes one call of each kind until one fails, and answers what was acknowledged: by id, whether it is to run.
func (x *world) produce(ctx context.Context, client *queue.Client) map[uuid.UUID]bool {
	acknowledged := make(map[uuid.UUID]bool)
	job := queue.Raw{Name: "done", Payload: []byte("{}")}
	one := func(id string, options ...queue.Option) (uuid.UUID, bool) {
		uid, err := client.Enqueue(ctx, job, append(options, queue.ID(id))...)
		acknowledged[uid] = err == nil
		return uid, err == nil
	}
	if _, ok := one("a"); !ok {
		return acknowledged
	}
	unwanted, ok := one("b", queue.In(1))
	if !ok {
		return acknowledged
	}
	delete(acknowledged, unwanted) // from here on it may be gone, or not
	if _, err := client.Cancel(ctx, queue.DefaultQueue, unwanted.String()); err != nil {
		return acknowledged
	}
	unwanted, ok = one("c")
	if !ok {
		return acknowledged
	}
	delete(acknowledged, unwanted)
	if err := client.Delete(ctx, queue.DefaultQueue, unwanted.String()); err != nil {
		return acknowledged
	}
	items := make([]queue.Raw, 1200) // three calls in one pipeline
	for i := range items {
		items[i] = job
	}
	results, _ := client.EnqueueMany(ctx, queue.Items(items))
	for _, r := range results {
		acknowledged[r.ID] = r.Err == nil
	}
	return acknowledged
}

// producerCrash cuts a producer off and answers what it had sent. What it was told is there, and is there once; of the
// rest each job is there once or not at all.
func producerCrash(x *world, at int, late bool) int {
	c := newCrash(x.T, x.srv.Addr(), never)
	client := x.open(c.Addr(), 0)
	c.sent.Store(0)
	c.at.Store(int64(at))
	ctx, end := context.WithCancel(x.ctx)
	defer end()
	done := make(chan map[uuid.UUID]bool, 1)
	go func() { done <- x.produce(ctx, client) }()
	var acknowledged map[uuid.UUID]bool
	x.wait("the crash, or the end", func() bool {
		select {
		case acknowledged = <-done:
			return true
		default:
			return c.reached()
		}
	})
	sent := int(c.sent.Load())
	c.kill()
	end() // a process that was killed asks no more
	if acknowledged == nil {
		acknowledged = <-done
	}
	if late {
		c.late()
	}
	places := make(map[uuid.UUID]string)
	for s, err := range x.client.List(x.ctx, queue.DefaultQueue, queue.ListOptions{}) {
		x.must(err)
		if at, twice := places[s.ID]; twice {
			x.Errorf("%s is %s and %s", s.ID, at, s.State)
		}
		places[s.ID] = string(s.State)
	}
	for id, ok := range acknowledged {
		if ok && places[id] == "" {
			x.Errorf("%s was acknowledged and is nowhere", id)
		}
	}
	n := x.counts()
	if gone := n.Cancelled + int64(x.total("deleted")); n.Enqueued-gone != int64(len(places)) || n.Ready+n.Scheduled != int64(len(places)) {
		x.Errorf("%d jobs are listed: %+v, %d gone", len(places), n, gone)
	}
	var l ledger
	mux := l.mux()
	mux.HandleKind("done", succeed)
	x.work(x.open(x.srv.Addr(), 0), mux, worker.Config{})
	n = x.drained()
	if starts := perID(l.read()...); len(starts) != len(places) || l.starts() != len(places) || n.Succeeded != int64(len(places)) {
		x.Errorf("%d jobs, %d of them were started, %d times: %+v", len(places), len(starts), l.starts(), n)
	}
	return sent
}

// total is a counter of the default queue that an inspection does not show.
func (x *world) total(name string) int {
	x.Helper()
	n := 0
	if text := x.rdb.HGet(x.ctx, x.key("meta"), name).Val(); text != "" {
		_, err := fmt.Sscan(text, &n)
		x.must(err)
	}
	return n
}
