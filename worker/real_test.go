package worker

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// real is a test on a real server of its own.
type real struct {
	*testing.T
	ctx    context.Context
	srv    *redisserver.Server
	rdb    *redis.Client // the test's own
	client *queue.Client
	logs   *logBook
}

func onServer(t *testing.T, options ...redistest.Option) *real {
	t.Helper()
	t.Parallel()
	r := &real{T: t, ctx: context.Background(), srv: redistest.Server(t, options...), logs: &logBook{}}
	r.rdb = redistest.Client(t, r.srv)
	r.client = r.open(queue.Config{})
	return r
}

func (r *real) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *real) open(config queue.Config) *queue.Client {
	r.Helper()
	config.Logger = zerolog.New(r.logs).Level(zerolog.InfoLevel)
	client, err := queue.Open(r.ctx, r.srv.URL(), config)
	r.must(err)
	r.Cleanup(func() { _ = client.Close() })
	return client
}

// running is a worker in this process.
type running struct {
	r    *real
	w    *Worker
	end  context.CancelFunc
	done chan struct{}
	err  error
}

func (r *real) start(client *queue.Client, mux *Mux, config Config) *running {
	r.Helper()
	w, err := New(client, mux, config)
	r.must(err)
	p := &running{r: r, w: w, done: make(chan struct{})}
	var ctx context.Context
	ctx, p.end = context.WithCancel(r.ctx)
	go func() {
		defer close(p.done)
		p.err = w.Run(ctx)
	}()
	r.Cleanup(func() {
		p.end()
		<-p.done
	})
	inner := &proc{w: w}
	r.wait(time.Minute, "the worker's sessions", inner.joined)
	return p
}

func (p *running) stop() (time.Duration, error) {
	began := time.Now()
	p.end()
	<-p.done
	return time.Since(began), p.err
}

func (r *real) wait(within time.Duration, what string, cond func() bool) {
	r.Helper()
	redistest.WaitFor(r, within, cond, what)
}

// pass lets time go by.
func (r *real) pass(d time.Duration) {
	r.Helper()
	over := time.After(d)
	r.wait(d+time.Minute, "time to pass", func() bool {
		select {
		case <-over:
			return true
		default:
			return false
		}
	})
}

func (r *real) counts() queue.Counts {
	r.Helper()
	n, err := r.client.Counts(r.ctx, queue.DefaultQueue)
	r.must(err)
	return n
}

func (r *real) drained(within time.Duration) {
	r.Helper()
	r.wait(within, "the queue to be empty", func() bool {
		n := r.counts()
		return n.Ready+n.Scheduled+n.Running == 0
	})
}

func addAll[A queue.Args](r *real, n int, args A, options ...queue.Option) []queue.Result {
	r.Helper()
	items := make([]A, n)
	for i := range items {
		items[i] = args
	}
	results, err := r.client.EnqueueMany(r.ctx, queue.Items(items, options...))
	r.must(err)
	return results
}

// nap is a job that sleeps, whatever its context says.
type nap struct{ MS int }

func (nap) Kind() string { return "nap" }

// ledger counts the attempts of each job. Safe for concurrent use.
type ledger struct {
	mu     sync.Mutex
	starts map[string]int
	first  map[string]time.Time
}

func (l *ledger) note(job queue.Info) (starts int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.starts == nil {
		l.starts, l.first = make(map[string]int), make(map[string]time.Time)
	}
	id := job.ID.String()
	if l.starts[id]++; l.starts[id] == 1 {
		l.first[id] = time.Now()
	}
	return l.starts[id]
}

// read answers how many jobs were started, and how many of them more than once.
func (l *ledger) read() (jobs, repeated int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.starts {
		if n > 1 {
			repeated++
		}
	}
	return len(l.starts), repeated
}

// sleeper serves naps, ignoring the context and noting each start. A job that comes again does not sleep again.
func (l *ledger) sleeper() *Mux {
	mux := NewMux()
	Handle(mux, func(_ context.Context, job *queue.Job[nap]) error {
		if starts := l.note(job.Info); starts == 1 && job.Args.MS > 0 {
			<-time.After(time.Duration(job.Args.MS) * time.Millisecond)
		}
		return nil
	})
	return mux
}
