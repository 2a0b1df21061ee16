package worker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// env is one bubble: a server in memory, a client that no fault of a worker's touches, and what the workers logged.
type env struct {
	*testing.T
	ctx    context.Context
	b      *redistest.Bubble
	client *queue.Client
	q      *keys.Queue // of the queue "default"
	logs   *logBook

	retries int // of the workers' shared clients: go-redis repeats commands 3 times unless told otherwise
}

// inBubble runs a test under fake time. A goroutine that is left behind fails it.
func inBubble(t *testing.T, run func(e *env)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &env{T: t, ctx: context.Background(), b: redistest.NewBubble(t), logs: &logBook{}}
		// go-redis looks once a second whether a pool that could not dial was closed; only the bubble's time shows it.
		t.Cleanup(func() { time.Sleep(3 * time.Second) })
		space, err := keys.NewSpace("")
		e.must(err)
		e.q, err = space.Queue(queue.DefaultQueue)
		e.must(err)
		e.client = e.connect(nil)
		run(e)
	})
}

func (e *env) must(err error) {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
}

// connect makes a client that reaches the server through a gate of its own, if any.
func (e *env) connect(g *gate) *queue.Client {
	e.Helper()
	rdb := e.b.Client(func(o *redis.Options) {
		if g != nil {
			o.Dialer = g.dial
			if e.retries > 0 {
				o.MaxRetries = e.retries
			}
		}
		o.ContextTimeoutEnabled, o.DialerRetries = true, 1 // as of a client that Open made
	})
	client, err := queue.New(rdb, queue.Config{Logger: zerolog.New(e.logs)})
	e.must(err)
	e.Cleanup(func() { _ = client.Close() })
	return client
}

// proc is a worker with a way to Redis of its own, as a process has.
type proc struct {
	e    *env
	w    *Worker
	gate *gate
	end  context.CancelFunc
	done chan struct{}
	err  error // of Run, once done is closed
}

// start runs a worker and waits until it has its sessions. It is stopped with the test, and has to stop cleanly then.
func (e *env) start(mux *Mux, config Config) *proc {
	e.Helper()
	p := e.launch(mux, config)
	e.wait(10*time.Second, "the worker's sessions", p.joined)
	return p
}

// launch is start without waiting.
func (e *env) launch(mux *Mux, config Config) *proc {
	e.Helper()
	p := &proc{e: e, gate: &gate{b: e.b}, done: make(chan struct{})}
	var err error
	p.w, err = New(e.connect(p.gate), mux, config)
	e.must(err)
	var ctx context.Context
	ctx, p.end = context.WithCancel(e.ctx)
	go func() {
		defer close(p.done)
		p.err = p.w.Run(ctx)
	}()
	e.Cleanup(func() {
		p.gate.open()
		p.end()
		<-p.done
	})
	return p
}

func (p *proc) joined() bool {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	for _, c := range p.w.consumers {
		if !c.active && c.broken == nil {
			return false
		}
	}
	return true
}

// session is the worker's present session of its first queue.
func (p *proc) session() string {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	return p.w.consumers[0].session
}

// stop ends the worker as a first signal does and answers how long it took and what Run returned.
func (p *proc) stop() (time.Duration, error) {
	began := time.Now()
	p.end()
	<-p.done
	return time.Since(began), p.err
}

// stopClean is stop for a worker that has nothing to complain about.
func (p *proc) stopClean() {
	p.e.Helper()
	if _, err := p.stop(); err != nil {
		p.e.Errorf("Run returned %v", err)
	}
}

// gate is one process's way to the server. It can be shut, which breaks what is open, as a cable that is pulled does.
type gate struct {
	b     *redistest.Bubble
	mu    sync.Mutex
	shut  bool
	conns []net.Conn
}

func (g *gate) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		return nil, &net.OpError{Op: "dial", Net: "memory", Err: syscall.ECONNREFUSED}
	}
	c, err := g.b.Dial(ctx, network, addr)
	if err == nil {
		g.conns = append(g.conns, c)
	}
	return c, err
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
	for _, c := range g.conns {
		c.Close()
	}
	g.conns = nil
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = false
}

// add enqueues a job of a kind without args and answers its id.
func (e *env) add(kind string, options ...queue.Option) uuid.UUID {
	e.Helper()
	id, err := e.client.Enqueue(e.ctx, queue.Raw{Name: kind, Payload: []byte("{}")}, options...)
	e.must(err)
	return id
}

// get reads a job; nil when it is gone.
func (e *env) get(id uuid.UUID) *queue.Snapshot {
	e.Helper()
	s, err := e.client.Get(e.ctx, queue.DefaultQueue, id.String())
	if errors.Is(err, queue.ErrUnknownJob) {
		return nil
	}
	e.must(err)
	return s
}

// state is the state a job is in, "" when it is gone.
func (e *env) state(id uuid.UUID) queue.State {
	e.Helper()
	if s := e.get(id); s != nil {
		return s.State
	}
	return ""
}

func (e *env) wantState(id uuid.UUID, want queue.State) *queue.Snapshot {
	e.Helper()
	s := e.get(id)
	switch {
	case s == nil && want != "":
		e.Fatalf("the job is gone, want it %s", want)
	case s != nil && s.State != want:
		e.Fatalf("the job is %s (%q), want %q", s.State, s.Reason, want)
	}
	return s
}

func (e *env) counts() queue.Counts {
	e.Helper()
	n, err := e.client.Counts(e.ctx, queue.DefaultQueue)
	e.must(err)
	return n
}

// drained waits until nothing is ready, scheduled or running.
func (e *env) drained(within time.Duration) {
	e.Helper()
	e.wait(within, "the queue to be empty", func() bool {
		n := e.counts()
		return n.Ready+n.Scheduled+n.Running == 0
	})
}

// wait polls a condition under fake time, at steps that suit the limit: an hour in steps of 2 ms would take minutes.
func (e *env) wait(within time.Duration, what string, cond func() bool) {
	e.Helper()
	step := max(within/500, time.Millisecond)
	for began := time.Now(); !cond(); time.Sleep(step) {
		if time.Since(began) >= within {
			e.Fatalf("gave up after %v waiting for %s", within, what)
		}
	}
}

// logBook keeps log lines. Safe for concurrent use.
type logBook struct {
	mu    sync.Mutex
	lines []string
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(bytes.TrimSpace(p)))
	return len(p), nil
}

// all answers the lines.
func (l *logBook) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}

// find answers the fields of the lines whose message contains text.
func (l *logBook) find(text string) []map[string]any {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []map[string]any
	for _, line := range l.lines {
		fields := make(map[string]any)
		if json.Unmarshal([]byte(line), &fields) != nil {
			continue
		}
		if message, _ := fields["message"].(string); strings.Contains(message, text) {
			found = append(found, fields)
		}
	}
	return found
}
