package worker

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemill/tidemill/queue"
)

// blocking is a handler whose runs are counted and end when they are let go.
type blocking struct {
	gauge
	gone chan struct{}
}

func newBlocking() *blocking { return &blocking{gone: make(chan struct{})} }

func (b *blocking) handle(context.Context, *queue.Job[queue.Raw]) error {
	defer b.enter()()
	<-b.gone
	return nil
}

func (b *blocking) now() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.gauge.now
}

func muxOf(kind string, handler Handler) *Mux {
	m := NewMux()
	m.HandleKind(kind, handler)
	return m
}

// More slots are filled at once; with fewer nothing starts until enough handlers have returned.
func TestReloadConcurrency(t *testing.T) {
	inBubble(t, func(e *env) {
		b := newBlocking()
		p := e.start(muxOf("job", b.handle), Config{Concurrency: 2})
		e.addMany(40)
		e.wait(time.Second, "2 runs", func() bool { return b.now() == 2 })
		e.must(p.w.Reload(nil, Config{Concurrency: 9}))
		e.wait(time.Second, "9 runs", func() bool { return b.now() == 9 })
		e.must(p.w.Reload(nil, Config{Concurrency: 3}))
		for range 6 {
			b.gone <- struct{}{}
			time.Sleep(time.Second)
		}
		if n := b.now(); n != 3 {
			t.Errorf("%d run, want 3", n)
		}
		b.gone <- struct{}{}
		time.Sleep(time.Second)
		if n := b.now(); n != 3 {
			t.Errorf("%d run, want 3 again", n)
		}
		close(b.gone)
		e.drained(time.Minute)
		if _, most := b.read(); most != 9 {
			t.Errorf("%d ran at once at most, want 9", most)
		}
	})
}

// A queue's own bound follows a reload, and its share too.
func TestReloadQueues(t *testing.T) {
	inBubble(t, func(e *env) {
		a, b := newBlocking(), newBlocking()
		mux := NewMux()
		mux.HandleKind("a", a.handle)
		mux.HandleKind("b", b.handle)
		p := e.start(mux, Config{Concurrency: 10, Queues: []Queue{{Name: "a", Concurrency: 1}, {Name: "b", Concurrency: 8}}})
		for range 30 {
			e.add("a", queue.Queue("a"))
			e.add("b", queue.Queue("b"))
		}
		e.wait(time.Second, "1 and 8 runs", func() bool { return a.now() == 1 && b.now() == 8 })
		// In any order: by weight it means nothing.
		e.must(p.w.Reload(nil, Config{Concurrency: 10, Queues: []Queue{{Name: "b", Concurrency: 2, Weight: 3}, {Name: "a"}}}))
		e.wait(time.Second, "2 and 8 runs", func() bool { return a.now() == 2 && b.now() == 8 })
		for range 6 {
			b.gone <- struct{}{}
			time.Sleep(time.Second)
		}
		if a.now() != 8 || b.now() != 2 {
			t.Errorf("%d and %d run, want 8 and 2", a.now(), b.now())
		}
		close(a.gone)
		close(b.gone)
		e.wait(time.Minute, "the end", func() bool { runs, _ := a.read(); more, _ := b.read(); return runs+more == 60 })
	})
}

// Jobs that start after a reload get the new handlers and rules; those under way end as they began.
func TestReloadHandlers(t *testing.T) {
	inBubble(t, func(e *env) {
		old := newBlocking()
		fail := errors.New("no luck")
		m := NewMux()
		m.HandleKind("job", func(ctx context.Context, job *queue.Job[queue.Raw]) error {
			_ = old.handle(ctx, job)
			return fail
		}, Retry(Backoff{Base: 5 * time.Minute, Cap: 5 * time.Minute, Factor: 1}), MaxAttempts(2))
		p := e.start(m, Config{})
		began := e.add("job")
		unknown := e.add("late")
		e.wait(time.Second, "the first to run", func() bool { return old.now() == 1 })
		e.wait(time.Second, "the unknown one to wait", func() bool { return e.state(unknown) == queue.Scheduled })

		var fresh atomic.Int64
		next := NewMux()
		next.HandleKind("*", func(context.Context, *queue.Job[queue.Raw]) error { fresh.Add(1); return nil }, RetainResult(time.Hour))
		e.must(p.w.Reload(next, Config{}))
		if kinds := p.w.rules.Load().kinds(); !slices.Equal(kinds, []string{"*"}) {
			t.Errorf("kinds %q", kinds)
		}
		second := e.add("job")
		e.wait(time.Second, "the second", func() bool { return e.state(second) == queue.Succeeded })
		old.gone <- struct{}{}
		e.wait(time.Second, "the first to fail", func() bool { return e.state(began) == queue.Scheduled })
		if due := time.Until(e.get(began).DueAt); due < 4*time.Minute {
			t.Errorf("the first is tried again in %v, want the 5 minutes that held when it began", due)
		}
		e.wait(20*time.Minute, "the rest", func() bool { return e.state(began) == queue.Succeeded && e.state(unknown) == queue.Succeeded })
		if fresh.Load() != 3 {
			t.Errorf("%d runs of the new handler, want 3", fresh.Load())
		}
	})
}

// Retry and Timeout of the Config follow without a new mux; what a drain may take as well.
func TestReloadDefaults(t *testing.T) {
	inBubble(t, func(e *env) {
		var handled list[time.Duration]
		var starts list[time.Time]
		p := e.start(muxOf("job", func(ctx context.Context, _ *queue.Job[queue.Raw]) error {
			began := time.Now()
			starts.add(began)
			<-ctx.Done()
			handled.add(time.Since(began))
			return context.Cause(ctx)
		}), Config{Timeout: time.Minute, Retry: steady, Drain: time.Hour})
		e.must(p.w.Reload(nil, Config{Timeout: 2 * time.Second, Retry: Backoff{Base: 90 * time.Second, Cap: 90 * time.Second, Factor: 1}, Drain: time.Second}))
		id := e.add("job")
		e.wait(time.Minute, "the first attempt", func() bool { return handled.len() == 1 })
		e.wait(time.Second, "the retry", func() bool { return e.state(id) == queue.Scheduled })
		if took, due := handled.all()[0], time.Until(e.get(id).DueAt); took != 2*time.Second || due < 85*time.Second {
			t.Errorf("timed out after %v, tried again in %v", took, due)
		}
		e.add("job", queue.Timeout(time.Hour))
		e.wait(time.Second, "its handler", func() bool { return starts.len() == 2 }) // claimed alone, it would go back unharmed
		if took, err := p.stop(); !errors.Is(err, ErrDrainTimeout) || took > 5*time.Second {
			t.Errorf("it took %v to stop: %v", took, err)
		}
	})
}

// What cannot change is named, and then nothing changes; so it is with what is not valid.
func TestReloadRefuses(t *testing.T) {
	inBubble(t, func(e *env) {
		p := e.start(muxOf("job", succeed), Config{Concurrency: 4, Queues: []Queue{{Name: "a"}, {Name: "b"}}})
		for _, tt := range []struct {
			config Config
			fields []string
		}{
			{Config{}, []string{"Queues"}},
			{Config{Queues: []Queue{{Name: "a"}, {Name: "b"}, {Name: "c"}}}, []string{"Queues"}},
			{Config{Queues: []Queue{{Name: "b"}, {Name: "a"}}, Strict: true}, []string{"Strict"}},
			{Config{Queues: []Queue{{Name: "a"}, {Name: "b"}}, SessionTTL: time.Minute, CrashLimit: 9, ExitWhenEmpty: true}, []string{"SessionTTL", "CrashLimit", "ExitWhenEmpty"}},
			{Config{Queues: []Queue{{Name: "a"}, {Name: "b"}}, Codecs: []queue.Codec{queue.JSON}, Logger: &p.w.log}, []string{"Codecs", "Logger"}},
		} {
			err := p.w.Reload(muxOf("other", succeed), tt.config)
			var refused *ReloadError
			if !errors.As(err, &refused) || !slices.Equal(refused.Fields, tt.fields) || !strings.Contains(err.Error(), strings.Join(tt.fields, ", ")) {
				t.Errorf("%+v: %v, want %v", tt.config, err, tt.fields)
			}
		}
		if err := p.w.Reload(nil, Config{Concurrency: -1, Timeout: -1}); !errors.Is(err, queue.ErrInvalid) || !strings.Contains(err.Error(), "Timeout") {
			t.Errorf("not valid: %v", err)
		}
		if got := p.w.settings(); got.Concurrency != 4 || !slices.Equal(p.w.rules.Load().kinds(), []string{"job"}) {
			t.Errorf("changed to %+v", got)
		}
	})
}

// In strict order the order is the setting.
func TestReloadStrictOrder(t *testing.T) {
	inBubble(t, func(e *env) {
		p := e.start(muxOf("job", succeed), Config{Strict: true, Queues: []Queue{{Name: "a"}, {Name: "b"}}})
		var refused *ReloadError
		if err := p.w.Reload(nil, Config{Strict: true, Queues: []Queue{{Name: "b"}, {Name: "a"}}}); !errors.As(err, &refused) || !slices.Equal(refused.Fields, []string{"Queues"}) {
			t.Errorf("other order: %v", err)
		}
		e.must(p.w.Reload(nil, Config{Strict: true, Queues: []Queue{{Name: "a", Concurrency: 5}, {Name: "b"}}}))
	})
}

// Reloads that come all the time lose no job, run none twice and race with nothing.
func TestReloadUnderLoad(t *testing.T) {
	r := onServer(t)
	const jobs = 20_000
	var calls tally
	var ran, twice atomic.Int64
	handler := func(_ context.Context, job *queue.Job[queue.Raw]) error {
		ran.Add(1)
		if calls.count(job.ID.String()) > 0 {
			twice.Add(1)
		}
		return nil
	}
	var items []queue.Item
	for i := range jobs {
		kind := []string{"a", "b.x", "b.y", "c"}[i%4]
		items = append(items, queue.Item{Args: queue.Raw{Name: kind, Payload: []byte("{}")}, Options: []queue.Option{queue.Queue([]string{"one", "two"}[i%2])}})
	}
	muxes := []*Mux{NewMux(), NewMux()}
	for i, kinds := range [][]string{{"a", "b.*", "c"}, {"*"}} {
		for _, kind := range kinds {
			muxes[i].HandleKind(kind, handler)
		}
	}
	config := func(i int) Config {
		return Config{Concurrency: 1 + i%40, Queues: []Queue{{Name: "one", Weight: 1 + i%7, Concurrency: i % 5}, {Name: "two"}}, Timeout: time.Hour}
	}
	w := r.start(r.open(queue.Config{}), muxes[0], config(3))
	results, err := r.client.EnqueueMany(r.ctx, items)
	r.must(err)
	if len(results) != jobs {
		t.Fatal(len(results))
	}
	reloads := 0
	r.wait(time.Minute, "the jobs", func() bool {
		for range 20 {
			reloads++
			r.must(w.w.Reload(muxes[reloads%2], config(reloads)))
		}
		return ran.Load() >= jobs
	})
	if _, err := w.stop(); err != nil {
		t.Error(err)
	}
	if ran.Load() != jobs || twice.Load() > 0 {
		t.Errorf("%d of %d jobs ran, %d more than once, with %d reloads", ran.Load(), jobs, twice.Load(), reloads)
	}
}
