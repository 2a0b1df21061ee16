package pitfalls

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// parts are the keys of a queue that scripts write; a session's name belongs behind those that end in a colon.
var parts = []string{"jobs", "state", "suspect", "scheduled", "sessions", "producers", "dead", "finished", "results", "cancels", "wake", "due",
	"meta", "ready:0", "running:", "lanes:"}

// spoilt is a queue one of whose keys has a wrong type.
type spoilt struct {
	queue, key string
	own        bool // the key is the session's: nobody else notices
}

// spare is where the key's own value is meanwhile.
func (s spoilt) spare() string { return "tm:{" + s.queue + "}:spare" }

// spoil takes a key of a queue that is at work.
func (x *world) spoil(name, part string) spoilt {
	x.Helper()
	s := spoilt{queue: name, key: "tm:{" + name + "}:" + part}
	if s.own = part[len(part)-1] == ':'; s.own {
		s.key += x.rdb.ZRange(x.ctx, "tm:{"+name+"}:sessions", 0, 0).Val()[0]
	}
	const swap = `if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('RENAME', KEYS[1], KEYS[2]) end
		redis.call('SET', KEYS[1], 'not ours')`
	if err := x.rdb.Eval(x.ctx, swap, []string{s.key, s.spare()}).Err(); err != redis.Nil {
		x.must(err)
	}
	return s
}

// mend puts the key back.
func (x *world) mend(s spoilt) {
	x.Helper()
	const swap = `redis.call('DEL', KEYS[1])
		if redis.call('EXISTS', KEYS[2]) == 1 then redis.call('RENAME', KEYS[2], KEYS[1]) end`
	if err := x.rdb.Eval(x.ctx, swap, []string{s.key, s.spare()}).Err(); err != redis.Nil {
		x.must(err)
	}
}

// enqueued is the keys that a job's enqueueing touches: another of a wrong type does not keep it out.
var enqueued = []string{"jobs", "producers", "wake", "meta", "ready:0"}

// wrongKeys gives a key of each queue a wrong type while they are worked on: each stops alone, with an error that names
// the key, and once it is mended all goes on as if nothing had been.
func wrongKeys(x *world) {
	const jobs = 100
	queues := []worker.Queue{{Name: "healthy"}}
	for i := range parts {
		queues = append(queues, worker.Queue{Name: fmt.Sprint("q", i)})
	}
	var l ledger
	x.work(x.open(x.srv.Addr(), 0), l.mux(), worker.Config{Queues: queues, Concurrency: 20})
	for _, q := range queues {
		x.add(jobs, 5e6, queue.Queue(q.Name))
	}
	x.wait("work to be under way", func() bool { return l.starts() > 100 })
	var all []spoilt
	for i, part := range parts {
		all = append(all, x.spoil(queues[i+1].Name, part))
	}
	x.wait("the healthy queue", func() bool { return x.left("healthy") == 0 })
	for _, s := range all {
		var wrong *queue.KeyTypeError
		_, err := x.client.Enqueue(x.ctx, nap{}, queue.Queue(s.queue))
		apart := s.own || !slices.ContainsFunc(enqueued, func(part string) bool { return strings.HasSuffix(s.key, "}:"+part) })
		if apart && err != nil || !apart && (!errors.As(err, &wrong) || wrong.Key != s.key) {
			x.Errorf("%s: enqueue: %v", s.key, err)
		}
	}
	for _, s := range all {
		x.mend(s)
	}
	succeeded := int64(0)
	for _, q := range queues {
		x.wait("queue "+q.Name, func() bool { return x.left(q.Name) == 0 })
		n, err := x.client.Counts(x.ctx, q.Name)
		x.must(err)
		if n.Succeeded != n.Enqueued || n.Enqueued < jobs || n.Failed+n.Dead+n.Recovered+n.Refused != 0 {
			x.Errorf("%+v", n)
		}
		succeeded += n.Succeeded
	}
	if starts := perID(l.read()...); int64(len(starts)) != succeeded || int64(l.starts()) != succeeded {
		x.Errorf("%d jobs, %d starts, %d succeeded", len(starts), l.starts(), succeeded)
	}
}

// left is how many jobs a queue has to do, also one that cannot be counted: one at least.
func (x *world) left(name string) int64 {
	n, err := x.client.Counts(x.ctx, name)
	if err != nil {
		return 1
	}
	return n.Ready + n.Scheduled + n.Running
}

// fullMidRun turns the memory limit on and off under producers and a worker whose jobs fail once.
func fullMidRun(x *world) {
	var l ledger
	mux := l.mux()
	mux.HandleKind("twice", failOnce)
	x.work(x.open(x.srv.Addr(), 0), mux, worker.Config{Concurrency: 4})
	acknowledged := 0
	enqueue := func(until func(err error) bool) {
		x.Helper()
		x.wait("enqueue to change its mind", func() bool {
			for range 100 {
				_, err := x.client.Enqueue(x.ctx, queue.Raw{Name: "twice", Payload: []byte("{}")})
				if err == nil {
					acknowledged++
				} else if !errors.Is(err, queue.ErrRedisFull) {
					x.Fatal(err)
				}
				if until(err) {
					return true
				}
			}
			return false
		})
	}
	for round := range 5 {
		after := acknowledged + 100 + 37*round
		enqueue(func(err error) bool { return err == nil && acknowledged >= after })
		redistest.SetMaxMemory(x, x.srv, "1") // in the middle of whatever is going on
		enqueue(func(err error) bool { return err != nil })
		if n := x.drained(); n.Enqueued != int64(acknowledged) || n.Succeeded != n.Enqueued || n.Failed != n.Enqueued {
			x.Errorf("round %d: %d jobs were acknowledged, %+v", round, acknowledged, n)
		}
		redistest.SetMaxMemory(x, x.srv, "0")
	}
	x.nothingLeft()
	if starts := perID(l.read()...); len(starts) != acknowledged || l.starts() != 2*acknowledged {
		x.Errorf("%d jobs were started of %d, %d times", len(starts), acknowledged, l.starts())
	}
}
