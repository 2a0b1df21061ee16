package metrics

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/tidemill/tidemill/queue"
)

// readsAtOnce bounds the queues that are asked for side by side: they share the connections that jobs need.
const readsAtOnce = 4

// reader asks Redis for what it knows of the queues, for all scrapes that want it at once and a moment longer.
type reader struct {
	client            *queue.Client
	queues            []string
	timeout, cacheFor time.Duration

	mu     sync.Mutex
	last   answers
	at     time.Time
	flight chan struct{} // closed when the reading under way is over; nil = none is
}

// answers is what Redis said.
type answers struct {
	up     bool // it answered for every queue, be it with an error of its own
	queues []answer
}

type answer struct {
	counts queue.Counts
	heads  queue.Heads
}

// read answers what Redis says, or said a moment ago. It does not wait longer than the timeout: a reading that takes
// longer goes on for those who ask later.
func (r *reader) read() answers {
	r.mu.Lock()
	if !r.at.IsZero() && time.Since(r.at) < r.cacheFor {
		defer r.mu.Unlock()
		return r.last
	}
	if r.flight == nil {
		r.flight = make(chan struct{})
		go r.ask()
	}
	flight := r.flight
	r.mu.Unlock()
	limit := time.NewTimer(r.timeout)
	defer limit.Stop()
	select {
	case <-flight:
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.last
	case <-limit.C:
		return answers{}
	}
}

// ask reads all queues once.
func (r *reader) ask() {
	ctx, cancel := context.WithTimeout(context.Background(), r.timeout)
	defer cancel()
	read, errs := make([]answer, len(r.queues)), make([]error, len(r.queues))
	turns := make(chan struct{}, readsAtOnce)
	var all sync.WaitGroup
	for i, name := range r.queues {
		all.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			read[i], errs[i] = r.one(ctx, name)
		})
	}
	all.Wait()
	now := answers{up: true}
	for i, err := range errs {
		if err == nil {
			now.queues = append(now.queues, read[i])
			continue
		}
		var wrong *queue.KeyTypeError // of one queue: it answers, and tidemill_worker_queue_ready tells
		now.up = now.up && errors.As(err, &wrong)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last, r.at = now, time.Now()
	close(r.flight)
	r.flight = nil
}

func (r *reader) one(ctx context.Context, name string) (a answer, err error) {
	if a.counts, err = r.client.Counts(ctx, name); err == nil {
		a.heads, err = r.client.Heads(ctx, name)
	}
	return a, err
}

func (a answers) collect(out sink) {
	out.put(redisUp, bit(a.up))
	for _, q := range a.queues {
		n, name := q.counts, q.counts.Queue
		out.put(jobs, float64(n.Ready-min(n.Suspect, n.Ready)), name, "ready")
		out.put(jobs, float64(n.Suspect), name, "suspect")
		out.put(jobs, float64(n.Scheduled), name, "scheduled")
		out.put(jobs, float64(n.Running), name, "running")
		out.put(jobs, float64(n.Dead), name, "dead")
		out.put(jobs, float64(n.Finished), name, "finished")
		out.put(paused, bit(n.Paused), name)
		out.put(oldest, since(q.heads.Now, q.heads.Oldest), name)
		out.put(late, since(q.heads.Now, q.heads.NextDue), name)
		out.put(sessions, float64(q.heads.Sessions), name)
		out.put(enqueued, float64(n.Enqueued), name)
		out.put(succeededJobs, float64(n.Succeeded), name)
		out.put(failedAttempts, float64(n.Failed), name)
		out.put(cancelledJobs, float64(n.Cancelled), name)
		out.put(expiredJobs, float64(n.Expired), name)
		out.put(repeats, float64(n.Recovered), name)
		out.put(refused, float64(n.Refused), name)
	}
}

// since is how long ago a time was, in seconds; 0 where there is none, or it is still to come.
func since(now, at time.Time) float64 {
	if at.IsZero() {
		return 0
	}
	return max(now.Sub(at).Seconds(), 0)
}
