package pitfalls

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

const (
	ttl = 2 * time.Second // the shortest there is
	// slow is how long anything may take where only slowness is the matter.
	slow = 60 * time.Second
)

// world is a server of the test's own, and a client that no fault touches.
type world struct {
	*testing.T
	ctx    context.Context
	srv    *redisserver.Server
	rdb    *redis.Client
	client *queue.Client
	space  string
	added  int // jobs
}

func newWorld(t *testing.T, options ...redistest.Option) *world {
	t.Helper()
	t.Parallel()
	return worldOn(t, redistest.Server(t, options...), "tm")
}

// worldOn is a namespace of a server.
func worldOn(t *testing.T, srv *redisserver.Server, space string) *world {
	t.Helper()
	x := &world{T: t, ctx: context.Background(), srv: srv, rdb: redistest.Client(t, srv), space: space}
	x.client = x.open(srv.Addr(), 0)
	return x
}

// open makes a client of the server behind an address: its own, or a proxy's. connections 0 is the default.
func (x *world) open(addr string, connections int) *queue.Client {
	x.Helper()
	client, err := queue.Open(x.ctx, "redis://"+addr, queue.Config{Namespace: x.space, MaxConnections: connections})
	x.must(err)
	x.Cleanup(func() { _ = client.Close() })
	return client
}

func (x *world) must(err error) {
	x.Helper()
	if err != nil {
		x.Fatal(err)
	}
}

// key names a key of the default queue.
func (x *world) key(part string) string { return x.space + ":{default}:" + part }

// wait polls a condition that asks Redis, so not too often.
func (x *world) wait(what string, cond func() bool) {
	x.Helper()
	var last time.Time
	redistest.WaitFor(x, slow, func() bool {
		if time.Since(last) < 20*time.Millisecond {
			return false
		}
		last = time.Now()
		return cond()
	}, what)
}

// pass lets time go by.
func (x *world) pass(d time.Duration) {
	x.Helper()
	over := time.Now().Add(d)
	redistest.WaitFor(x, d+slow, func() bool { return time.Now().After(over) }, "time to pass")
}

func (x *world) counts() queue.Counts {
	x.Helper()
	n, err := x.client.Counts(x.ctx, queue.DefaultQueue)
	x.must(err)
	return n
}

// drained waits until nothing is left to do.
func (x *world) drained() queue.Counts {
	x.Helper()
	var n queue.Counts
	x.wait("the queue to be empty", func() bool {
		n = x.counts()
		return n.Ready+n.Scheduled+n.Running == 0
	})
	return n
}

// sessions are the living ones of the default queue.
func (x *world) sessions() []string {
	return x.rdb.ZRangeArgs(x.ctx, redis.ZRangeArgs{Key: x.key("sessions"), Start: "0", Stop: "+inf", ByScore: true}).Val()
}

// add enqueues n naps.
func (x *world) add(n int, d time.Duration, options ...queue.Option) {
	x.Helper()
	items := make([]nap, n)
	for i := range items {
		items[i].MS = int(d.Milliseconds())
	}
	_, err := x.client.EnqueueMany(x.ctx, queue.Items(items, options...))
	x.must(err)
	x.added += n
}

// addKind enqueues a job that has nothing but its kind.
func (x *world) addKind(kind string, options ...queue.Option) uuid.UUID {
	x.Helper()
	id, err := x.client.Enqueue(x.ctx, queue.Raw{Name: kind, Payload: []byte("{}")}, options...)
	x.must(err)
	x.added++
	return id
}

// running is a worker in the test's own process.
type running struct {
	*worker.Worker
	end  context.CancelFunc
	done chan struct{}
	err  error // of Run, once done is closed
}

// work runs a worker, which ends with the test.
func (x *world) work(client *queue.Client, mux *worker.Mux, config worker.Config) *running {
	x.Helper()
	if config.SessionTTL == 0 {
		config.SessionTTL = ttl
	}
	w, err := worker.New(client, mux, config)
	x.must(err)
	p := &running{Worker: w, done: make(chan struct{})}
	var ctx context.Context
	ctx, p.end = context.WithCancel(x.ctx)
	go func() {
		defer close(p.done)
		p.err = w.Run(ctx)
	}()
	x.Cleanup(func() {
		p.end()
		<-p.done
	})
	return p
}

func (p *running) stop() error {
	p.end()
	<-p.done
	return p.err
}

// run is one attempt of a job.
type run struct {
	id               uuid.UUID
	token            int64
	attempt, crashes int
}

// ledger keeps the attempts that were started, and those that came to their end. Safe for concurrent use.
type ledger struct {
	mu             sync.Mutex
	started, ended []run
	now            map[uuid.UUID]int // handlers at work
	most, together int               // handlers at once; overlaps of one id
}

func (l *ledger) start(info queue.Info, token int64) run {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := run{info.ID, token, info.Attempt, info.Crashes}
	l.started = append(l.started, r)
	if l.now == nil {
		l.now = make(map[uuid.UUID]int)
	}
	if l.now[r.id]++; l.now[r.id] > 1 {
		l.together++
	}
	l.most = max(l.most, len(l.started)-len(l.ended))
	return r
}

func (l *ledger) end(r run) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = append(l.ended, r)
	if l.now[r.id]--; l.now[r.id] == 0 {
		delete(l.now, r.id)
	}
}

// read answers the attempts that were started.
func (l *ledger) read() [][]run {
	l.mu.Lock()
	defer l.mu.Unlock()
	return [][]run{append([]run(nil), l.started...)}
}

func (l *ledger) starts() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.started)
}

// middleware notes every attempt.
func (l *ledger) middleware(next worker.Handler) worker.Handler {
	return func(ctx context.Context, job *queue.Job[queue.Raw]) error {
		defer l.end(l.start(job.Info, job.Token()))
		return next(ctx, job)
	}
}

// mux serves naps, and the kinds that a test adds.
func (l *ledger) mux() *worker.Mux {
	mux := worker.NewMux()
	mux.Use(l.middleware)
	worker.Handle(mux, takeNap)
	return mux
}

// nap is a job that sleeps, whatever its context says.
type nap struct{ MS int }

func (nap) Kind() string { return "nap" }

func takeNap(_ context.Context, job *queue.Job[nap]) error {
	<-time.After(time.Duration(job.Args.MS) * time.Millisecond)
	return nil
}

// perID counts runs by job.
func perID(runs ...[]run) map[uuid.UUID]int {
	n := make(map[uuid.UUID]int)
	for _, list := range runs {
		for _, r := range list {
			n[r.id]++
		}
	}
	return n
}

// conserved holds, once the queue is empty, that all jobs ended in success, each after at most so many starts, and none
// at the cost of an attempt.
func (x *world) conserved(jobs, most int, runs func() [][]run) queue.Counts {
	x.Helper()
	n := x.drained()
	all := runs()
	if n.Enqueued != int64(jobs) || n.Succeeded != int64(jobs) || n.Failed != 0 || n.Dead != 0 {
		x.Errorf("%d jobs: %+v", jobs, n)
	}
	starts := perID(all...)
	if len(starts) != jobs {
		x.Errorf("%d of %d jobs were started", len(starts), jobs)
	}
	for id, k := range starts {
		if k > most {
			x.Errorf("%s was started %d times, allowed %d", id, k, most)
		}
	}
	for _, list := range all {
		for _, r := range list {
			if r.attempt != 1 {
				x.Errorf("%s was charged an attempt: %s", r.id, fmt.Sprint(r))
			}
		}
	}
	return n
}
