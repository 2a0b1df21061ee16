package worker

import (
	"context"
	"sync"
	"time"

	"github.com/tidemill/tidemill/queue"
)

// list gathers what handlers have to tell. Safe for concurrent use.
type list[T any] struct {
	mu    sync.Mutex
	items []T
}

func (l *list[T]) add(item T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.items = append(l.items, item)
}

func (l *list[T]) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.items)
}

func (l *list[T]) all() []T {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]T(nil), l.items...)
}

// rig is a mux with one kind, "job", and what its attempts saw.
type rig struct {
	*Mux
	attempts list[seen]
}

type seen struct {
	at    time.Time
	token int64
	info  queue.Info
}

// newRig serves "job" by fn.
func newRig(fn Handler, options ...HandleOption) *rig {
	r := &rig{Mux: NewMux()}
	r.HandleKind("job", func(ctx context.Context, job *queue.Job[queue.Raw]) error {
		r.attempts.add(seen{time.Now(), job.Token(), job.Info})
		return fn(ctx, job)
	}, options...)
	return r
}

// n is how many attempts were started.
func (r *rig) n() int { return r.attempts.len() }

func (r *rig) at(i int) time.Time      { return r.attempts.all()[i].at }
func (r *rig) info(i int) queue.Info   { return r.attempts.all()[i].info }
func (r *rig) token(i int) int64       { return r.attempts.all()[i].token }
func (r *rig) times() (at []time.Time) { return pick(r, func(s seen) time.Time { return s.at }) }
func (r *rig) infos() []queue.Info     { return pick(r, func(s seen) queue.Info { return s.info }) }

func pick[T any](r *rig, of func(seen) T) (out []T) {
	for _, s := range r.attempts.all() {
		out = append(out, of(s))
	}
	return out
}

// gauge counts handlers that run at once.
type gauge struct {
	mu              sync.Mutex
	now, most, runs int
}

// enter notes a start; call what it answers at the end.
func (g *gauge) enter() (leave func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.runs++
	g.now++
	g.most = max(g.most, g.now)
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.now--
	}
}

func (g *gauge) read() (runs, most int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.runs, g.most
}
