package worker

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/tidemill/tidemill/queue"
)

// Handler runs one attempt at a job of any kind, its payload undecoded. nil acknowledges it; an error retries it with
// backoff, unless it is one of queue.Dead, queue.Snooze, queue.RetryAfter.
type Handler func(ctx context.Context, job *queue.Job[queue.Raw]) error

// Middleware wraps handlers. The first one given to Use is the outermost.
type Middleware func(next Handler) Handler

// Mux maps kinds to handlers. Fill it before the worker is made; it is not safe to change afterwards.
type Mux struct {
	routes     map[string]*route
	middleware []Middleware
	codecs     atomic.Pointer[map[string]queue.Codec] // replaced by each worker made, while others read it
}

// route is one kind's handler and settings.
type route struct {
	kind    string
	handler Handler
	retry   *Backoff
}

// NewMux makes an empty Mux.
func NewMux() *Mux {
	m := &Mux{routes: make(map[string]*route)}
	m.codecs.Store(&map[string]queue.Codec{queue.JSON.Name(): queue.JSON})
	return m
}

// HandleOption is a choice for one kind.
type HandleOption func(*route)

// Retry gives a kind its own retry policy.
func Retry(policy Backoff) HandleOption { return func(r *route) { r.retry = &policy } }

// Use adds middleware around every handler, also those added before.
func (m *Mux) Use(middleware ...Middleware) { m.middleware = append(m.middleware, middleware...) }

// Handle serves the kind of A, and its OlderKinds. It panics when the kind is not valid or served already, as
// http.ServeMux does: both are faults of the program.
func Handle[A queue.Args](m *Mux, fn func(ctx context.Context, job *queue.Job[A]) error, options ...HandleOption) {
	var zero A
	kinds := []string{zero.Kind()}
	if older, ok := any(zero).(queue.OlderKinds); ok {
		kinds = append(kinds, older.OlderKinds()...)
	}
	m.HandleKind(kinds[0], typed(m, fn), options...)
	for _, older := range kinds[1:] {
		m.HandleKind(older, m.routes[kinds[0]].handler, options...)
	}
}

// HandleKind serves a kind without a Go type. It panics as Handle does.
func (m *Mux) HandleKind(kind string, handler Handler, options ...HandleOption) {
	if err := queue.CheckKind(kind); err != nil {
		panic("worker: " + err.Error())
	}
	if m.routes[kind] != nil {
		panic(fmt.Sprintf("worker: kind %q has a handler already", kind))
	}
	r := &route{kind: kind, handler: handler}
	for _, option := range options {
		option(r)
	}
	if r.retry != nil {
		if err := r.retry.Validate(); err != nil {
			panic(fmt.Sprintf("worker: kind %q: %v", kind, err))
		}
	}
	m.routes[kind] = r
}

// Kinds lists the kinds served, sorted.
func (m *Mux) Kinds() []string {
	kinds := make([]string, 0, len(m.routes))
	for kind := range m.routes {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	return kinds
}

// typed decodes the payload once and calls the typed handler.
func typed[A queue.Args](m *Mux, fn func(context.Context, *queue.Job[A]) error) Handler {
	return func(ctx context.Context, raw *queue.Job[queue.Raw]) error {
		name := raw.Encoding
		if name == "" {
			name = queue.JSON.Name()
		}
		codec := (*m.codecs.Load())[name]
		if codec == nil {
			return queue.Dead(fmt.Errorf("args are in encoding %q, which this worker has no codec for", name))
		}
		var args A
		if err := codec.Unmarshal(raw.Args.Payload, &args); err != nil {
			return queue.Dead(fmt.Errorf("args of kind %q: %w", raw.Kind, err))
		}
		job := queue.NewJob(raw.Info, args, raw.Token())
		err := fn(ctx, job)
		if result := job.Result(); result != nil {
			_ = raw.SetResult(result) // its size was checked when it was set
		}
		return err
	}
}

// sealed is the mux as a worker uses it: routes by kind with the middleware around them.
func (m *Mux) sealed(codecs []queue.Codec) map[string]*route {
	known := maps.Clone(*m.codecs.Load())
	for _, codec := range codecs {
		known[codec.Name()] = codec
	}
	m.codecs.Store(&known)
	out := make(map[string]*route, len(m.routes))
	for kind, r := range m.routes {
		wrapped := *r
		for _, middleware := range slices.Backward(m.middleware) {
			wrapped.handler = middleware(wrapped.handler)
		}
		out[kind] = &wrapped
	}
	return out
}
