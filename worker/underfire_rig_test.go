package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// fire is a topology under load: producers with and without a Durability, and a worker. What was acknowledged to whom is
// noted, and each start of a job.
type fire struct {
	*site
	busy  string // the queue that is worked on,
	still string // and one of the same server that nobody serves

	mu        sync.Mutex
	confirmed map[uuid.UUID]time.Time // acknowledged when a replica had it, and when
	plain     map[uuid.UUID]time.Time // acknowledged without
	starts    map[uuid.UUID][]time.Time
}

// replicated is what the careful producers wait for.
var replicated = queue.Durability{Replicas: 1, Timeout: time.Second}

func newFire(t *testing.T, url, busy, still string) *fire {
	t.Helper()
	return &fire{site: newSite(t, url, queue.Config{}), busy: busy, still: still,
		confirmed: map[uuid.UUID]time.Time{}, plain: map[uuid.UUID]time.Time{}, starts: map[uuid.UUID][]time.Time{}}
}

// work starts the worker.
func (f *fire) work() (stop func()) {
	f.Helper()
	mux := NewMux()
	Handle(mux, func(_ context.Context, job *queue.Job[nap]) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.starts[job.ID] = append(f.starts[job.ID], time.Now())
		return nil
	})
	return f.start(f.client, mux, Config{Queues: serve([]string{f.busy}), Concurrency: 20, SessionTTL: queue.MinSessionTTL})
}

// enqueue adds one job and notes what it was told.
func (f *fire) enqueue(ctx context.Context, name string, d queue.Durability) error {
	id, err := f.client.Enqueue(ctx, nap{}, queue.Queue(name), queue.Durable(d))
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err == nil && d == replicated:
		f.confirmed[id] = time.Now()
	case err == nil:
		f.plain[id] = time.Now()
	}
	return err
}

// produce keeps two producers of each sort going, some 1000 jobs a second in all, until stopped.
func (f *fire) produce() (stop func()) {
	ctx, end := context.WithCancel(f.ctx)
	var all sync.WaitGroup
	for i := range 4 {
		d := queue.Durability{}
		if i%2 == 0 {
			d = replicated
		}
		all.Go(func() {
			tick := time.NewTicker(4 * time.Millisecond)
			defer tick.Stop()
			for ctx.Err() == nil {
				err := f.enqueue(ctx, f.busy, d)
				for _, known := range []error{queue.ErrNotConfirmed, queue.ErrUnavailable, queue.ErrOutcomeUnknown, context.Canceled} {
					if errors.Is(err, known) {
						err = nil
					}
				}
				if err != nil {
					f.Errorf("enqueue: %v", err)
					return
				}
				<-tick.C
			}
		})
	}
	return func() { end(); all.Wait() }
}

// acked is how many jobs of both sorts were acknowledged, and how many were started.
func (f *fire) acked() (confirmed, plain, started int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.confirmed), len(f.plain), len(f.starts)
}

// lost counts those of the jobs that were acknowledged, never started, and are not there any more; early are those of them
// that were acknowledged before a time.
func (f *fire) lost(jobs map[uuid.UUID]time.Time, before time.Time) (lost, early int) {
	f.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, at := range jobs {
		if len(f.starts[id]) > 0 {
			continue
		}
		_, err := f.client.Get(f.ctx, f.still, id.String())
		if errors.Is(err, queue.ErrUnknownJob) {
			if lost++; at.Before(before) {
				early++
			}
		} else if err != nil {
			f.Errorf("job %s: %v", id, err)
		}
	}
	return lost, early
}

// repeated counts the jobs that were started more than once, and of them those that no fault explains: whose first start
// was when all was well again.
func (f *fire) repeated(well time.Time) (repeated, unexplained int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, starts := range f.starts {
		if len(starts) > 1 {
			if repeated++; starts[0].After(well) {
				unexplained++
			}
		}
	}
	return repeated, unexplained
}

// firstAfter is how long after a time the next job was started; false where none was.
func (f *fire) firstAfter(at time.Time) (first time.Duration, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, starts := range f.starts {
		for _, start := range starts {
			if after := start.Sub(at); after > 0 && (!ok || after < first) {
				first, ok = after, true
			}
		}
	}
	return first, ok
}

// cutOff parts a primary from its replica: the replica stands still and its connection is gone. What is written now, the
// replica will never have. It answers how many jobs were acknowledged meanwhile without waiting for it.
func (f *fire) cutOff(primary, replica *redisserver.Server) (alone int) {
	f.Helper()
	f.must(replica.Freeze())
	f.must(redistest.Client(f, primary).Do(f.ctx, "CLIENT", "KILL", "TYPE", "replica").Err())
	const jobs = 30
	for range jobs {
		f.must(f.enqueue(f.ctx, f.still, queue.Durability{}))
	}
	if err := f.enqueue(f.ctx, f.still, queue.Durability{Replicas: 1, Timeout: 50 * time.Millisecond}); !errors.Is(err, queue.ErrNotConfirmed) {
		f.Errorf("one that nobody has: %v", err)
	}
	return jobs
}

// siblings are two queues of the server that has one.
func siblings(t *testing.T, x *redistest.Cluster) (busy, still string) {
	t.Helper()
	owner := x.Owner(t, "tm:{busy}:meta")
	for i := range 100 {
		still = fmt.Sprint("still", i)
		if x.Owner(t, "tm:{"+still+"}:meta") == owner {
			return "busy", still
		}
	}
	t.Fatal("no two queues on one server")
	return "", ""
}
