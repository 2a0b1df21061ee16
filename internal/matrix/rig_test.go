package matrix

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// patience bounds waits where slowness alone is no fault.
const patience = 2 * time.Minute

// rig is a test on a server: a client and a connection of the test's own, and what clients and workers in this process
// log.
type rig struct {
	*testing.T
	ctx    context.Context
	url    string
	srv    *redisserver.Server
	rdb    *redis.Client
	client *queue.Client
	logs   *book
}

// onServer runs a test on a server of its own, beside other tests: most of them wait.
func onServer(t *testing.T, options ...redistest.Option) *rig {
	t.Helper()
	t.Parallel()
	r := &rig{T: t, ctx: context.Background(), srv: redistest.Server(t, options...), logs: &book{}}
	r.url = r.srv.URL()
	r.rdb = redistest.Client(t, r.srv)
	r.client = r.open(r.url)
	return r
}

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *rig) open(url string, config ...queue.Config) *queue.Client {
	r.Helper()
	config = append(config, queue.Config{})
	config[0].Logger = zerolog.New(r.logs).Level(zerolog.InfoLevel)
	client, err := queue.Open(r.ctx, url, config[0])
	r.must(err)
	r.Cleanup(func() { _ = client.Close() })
	return client
}

// running is a worker in this process.
type running struct {
	*worker.Worker
	end  context.CancelFunc
	done chan struct{}
	err  error // of Run, once done is closed
}

// start runs a worker, which ends with the test at the latest, and waits until it consumes.
func (r *rig) start(client *queue.Client, mux *worker.Mux, config worker.Config) *running {
	r.Helper()
	first := queue.DefaultQueue
	if len(config.Queues) > 0 {
		first = config.Queues[0].Name
	}
	before := r.sessions(first)
	w, err := worker.New(client, mux, config)
	r.must(err)
	p := &running{Worker: w, done: make(chan struct{})}
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
	r.wait("the worker's session", func() bool { return r.sessions(first) > before })
	return p
}

// stop ends the worker as a first signal does, and answers what Run returned.
func (p *running) stop() error {
	p.end()
	<-p.done
	return p.err
}

func (r *rig) sessions(name string) int64 {
	return r.rdb.ZCard(r.ctx, "tm:{"+name+"}:sessions").Val()
}

func (r *rig) wait(what string, cond func() bool) {
	r.Helper()
	redistest.WaitFor(r, patience, cond, what)
}

// pass lets time go by.
func (r *rig) pass(d time.Duration) {
	r.Helper()
	over := time.After(d)
	redistest.WaitFor(r, d+patience, func() bool {
		select {
		case <-over:
			return true
		default:
			return false
		}
	}, "time to pass")
}

// counts reads a queue's counts; of the default queue unless named.
func (r *rig) counts(name ...string) queue.Counts {
	r.Helper()
	n, err := r.client.Counts(r.ctx, append(name, queue.DefaultQueue)[0])
	r.must(err)
	return n
}

// drained waits until nothing is ready, scheduled or running.
func (r *rig) drained() {
	r.Helper()
	r.wait("the queue to be empty", func() bool {
		n := r.counts()
		return n.Ready+n.Scheduled+n.Running == 0
	})
}

// back waits until a server that was away serves the test again.
func (r *rig) back() {
	r.Helper()
	r.wait("the test's own connections", func() bool { return r.rdb.Ping(r.ctx).Err() == nil && r.client.Ping(r.ctx) == nil })
}

func (r *rig) add(args queue.Args, options ...queue.Option) string {
	r.Helper()
	id, err := r.client.Enqueue(r.ctx, args, options...)
	r.must(err)
	return id.String()
}

func (r *rig) addAll(n int, args queue.Args, options ...queue.Option) {
	r.Helper()
	items := make([]queue.Item, n)
	for i := range items {
		items[i] = queue.Item{Args: args, Options: options}
	}
	_, err := r.client.EnqueueMany(r.ctx, items)
	r.must(err)
}

func (r *rig) get(id string) *queue.Snapshot {
	r.Helper()
	s, err := r.client.Get(r.ctx, queue.DefaultQueue, id)
	r.must(err)
	return s
}

// resumes enqueues a job once the server is back and holds when it starts against what is promised.
func (r *rig) resumes(within time.Duration, started func() bool) {
	r.Helper()
	began := time.Now()
	r.add(nap{}, queue.Priority(9))
	r.wait("a new job to start", started)
	took := time.Since(began)
	r.Logf("a new job started %v after the server was back", took.Round(time.Millisecond))
	if took > within+slack(began) {
		r.Errorf("workers took %v to go on, want %v at most", took, within)
	}
}

// ledger counts the attempts of each job. Safe for concurrent use.
type ledger struct {
	mu     sync.Mutex
	starts map[string]int
}

func (l *ledger) note(job queue.Info) (starts int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.starts == nil {
		l.starts = make(map[string]int)
	}
	l.starts[job.ID.String()]++
	return l.starts[job.ID.String()]
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

func (l *ledger) jobs() int {
	jobs, _ := l.read()
	return jobs
}

// sleeper serves naps, ignoring the context and noting each start. A job that comes again does not sleep again.
func (l *ledger) sleeper() *worker.Mux {
	mux := worker.NewMux()
	worker.Handle(mux, func(_ context.Context, job *queue.Job[nap]) error {
		if starts := l.note(job.Info); starts == 1 && job.Args != (nap{}) {
			job.Args.sleep()
		}
		return nil
	})
	return mux
}

// book keeps log lines. Safe for concurrent use.
type book struct {
	mu    sync.Mutex
	lines []string
}

func (l *book) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(bytes.TrimSpace(p)))
	return len(p), nil
}

// find answers the lines that contain text.
func (l *book) find(text string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}

// silent fails the test where something was logged that must not be.
func (r *rig) silent(texts ...string) {
	r.Helper()
	for _, text := range texts {
		if found := r.logs.find(text); len(found) > 0 {
			r.Errorf("logged %.500s", fmt.Sprint(found))
		}
	}
}

// uuidText is the canonical text of 16 raw bytes.
func uuidText(raw string) string {
	id, err := uuid.FromBytes([]byte(raw))
	if err != nil {
		return ""
	}
	return id.String()
}
