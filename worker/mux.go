package worker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tidemill/tidemill/queue"
)

// Handler runs one attempt at a job of any kind, its payload undecoded. nil acknowledges it; an error retries it with
// backoff, unless it is one of queue.Dead, queue.Snooze, queue.RetryAfter.
type Handler func(ctx context.Context, job *queue.Job[queue.Raw]) error

// Middleware wraps handlers. The first one given to Use is the outermost.
type Middleware func(next Handler) Handler

// Mux maps kinds to handlers. Fill it before the worker is made: what is added afterwards is not served, and a running
// worker gets another one by Reload.
type Mux struct {
	routes     map[string]*route
	middleware []Middleware
	codecs     atomic.Pointer[map[string]queue.Codec] // replaced by each worker made, while others read it
}

// route is the handler and settings of one kind, or of the kinds that match a pattern.
type route struct {
	kind    string // as it was given: a pattern ends in "*"
	prefix  string // of a pattern's kinds
	handler Handler
	typed   typedHandler // the same without a detour, where no middleware is in between

	// What holds for jobs that bring none themselves; zero = the worker's.
	retry       *Backoff
	maxAttempts int
	retention   time.Duration
	timeout     time.Duration

	faults []error // of its options
}

// typedHandler decodes a task's payload and calls a handler for its Go type; it answers the result that was set.
type typedHandler func(t *task) ([]byte, error)

// NewMux makes an empty Mux.
func NewMux() *Mux {
	m := &Mux{routes: make(map[string]*route)}
	m.codecs.Store(&map[string]queue.Codec{queue.JSON.Name(): queue.JSON})
	return m
}

// HandleOption is a choice for one kind or pattern.
type HandleOption func(*route)

// Retry gives a kind its own retry policy (default: Config.Retry). What is 0 in it is Backoff's default, not Config.Retry's.
func Retry(policy Backoff) HandleOption {
	policy = policy.Filled()
	return func(r *route) {
		r.retry = &policy
		r.check(policy.Validate())
	}
}

// MaxAttempts is how often a job of the kind is tried that brings no limit of its own (default
// queue.DefaultMaxAttempts): 1 to 10000.
func MaxAttempts(n int) HandleOption {
	return func(r *route) {
		r.maxAttempts = n
		if n < 1 || n > maxMaxAttempts {
			r.check(fmt.Errorf("max attempts: %d; allowed: 1 to %d", n, maxMaxAttempts))
		}
	}
}

// maxMaxAttempts bounds MaxAttempts as package queue does.
const maxMaxAttempts = 10_000

// RetainResult keeps a job of the kind that succeeded, with its result, for d where the job brings no retention of its
// own (default: it leaves nothing behind). Fractions of a ms round up; 0 is the default.
func RetainResult(d time.Duration) HandleOption {
	return func(r *route) {
		r.retention = d
		if d < 0 {
			r.check(fmt.Errorf("retention: %v; allowed: 0 or more", d))
		}
	}
}

// Timeout bounds an attempt at a job of the kind that brings no timeout of its own (default: Config.Timeout).
func Timeout(d time.Duration) HandleOption {
	return func(r *route) {
		r.timeout = d
		if d <= 0 {
			r.check(fmt.Errorf("timeout: %v; allowed: more than 0", d))
		}
	}
}

func (r *route) check(err error) {
	if err != nil {
		r.faults = append(r.faults, err)
	}
}

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
	direct := typed(m, fn)
	for _, kind := range kinds {
		m.HandleKind(kind, untyped(m, fn), options...)
		m.routes[kind].typed = direct
	}
}

// HandleKind serves a kind without a Go type. A kind that ends in "*" is a pattern: "image.*" serves every kind that
// begins with "image.", and "*" every kind. A kind of its own wins over patterns, and a longer pattern over a shorter
// one. It panics as Handle does, and where a "*" stands elsewhere than at the end.
func (m *Mux) HandleKind(kind string, handler Handler, options ...HandleOption) {
	if err := queue.CheckKind(kind); err != nil {
		panic("worker: " + err.Error())
	}
	if at := strings.Index(kind, anything); at >= 0 && at < len(kind)-1 {
		panic(fmt.Sprintf("worker: kind %q: a * stands for any text at the end of a pattern, and nowhere else", kind))
	}
	if m.routes[kind] != nil {
		panic(fmt.Sprintf("worker: kind %q has a handler already", kind))
	}
	r := &route{kind: kind, handler: handler}
	for _, option := range options {
		option(r)
	}
	if err := errors.Join(r.faults...); err != nil {
		panic(fmt.Sprintf("worker: kind %q: %v", kind, err))
	}
	m.routes[kind] = r
}

// Kinds lists the kinds and patterns served, as they were given, sorted.
func (m *Mux) Kinds() []string {
	kinds := make([]string, 0, len(m.routes))
	for kind := range m.routes {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	return kinds
}

// decode reads a job's payload into its args.
func (m *Mux) decode(info *queue.Info, payload []byte, args any) error {
	name := info.Encoding
	if name == "" {
		name = queue.JSON.Name()
	}
	codec := (*m.codecs.Load())[name]
	if codec == nil {
		return queue.Dead(fmt.Errorf("args are in encoding %q, which this worker has no codec for", name))
	}
	if err := codec.Unmarshal(payload, args); err != nil {
		return queue.Dead(fmt.Errorf("args of kind %q: %w", info.Kind, err))
	}
	return nil
}

// typed calls a handler with its job.
func typed[A queue.Args](m *Mux, fn func(context.Context, *queue.Job[A]) error) typedHandler {
	return func(t *task) ([]byte, error) {
		var none A
		job := queue.NewJob(queue.Info{}, none, t.r.claim.Token)
		t.info(&job.Info)
		if err := m.decode(&job.Info, t.e.Args, &job.Args); err != nil {
			return nil, err
		}
		ctx := t.r.ctx
		ctx.describe(&job.Info)
		err := fn(ctx, job)
		return job.Result(), err
	}
}

// untyped is the same as a Handler, for middleware to wrap.
func untyped[A queue.Args](m *Mux, fn func(context.Context, *queue.Job[A]) error) Handler {
	return func(ctx context.Context, raw *queue.Job[queue.Raw]) error {
		var none A
		job := queue.NewJob(raw.Info, none, raw.Token())
		if err := m.decode(&raw.Info, raw.Args.Payload, &job.Args); err != nil {
			return err
		}
		err := fn(ctx, job)
		if result := job.Result(); result != nil {
			_ = raw.SetResult(result) // its size was checked when it was set
		}
		return err
	}
}

// sealed is the mux as a worker uses it: routes by kind and pattern with the middleware around them.
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
			wrapped.handler, wrapped.typed = middleware(wrapped.handler), nil
		}
		out[kind] = &wrapped
	}
	return out
}
