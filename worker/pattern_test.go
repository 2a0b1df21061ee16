package worker

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/queue"
)

func routingOf(kinds ...string) *routing {
	m := NewMux()
	for _, kind := range kinds {
		m.HandleKind(kind, succeed)
	}
	return newRouting(m.sealed(nil), &Config{})
}

func TestPatterns(t *testing.T) {
	g := routingOf("image.*", "image.resize", "image.resize.*", "*", "mail")
	for kind, want := range map[string]string{
		"image.resize": "image.resize", "image.resize.fast": "image.resize.*", "image.crop": "image.*", "image.": "image.*",
		"image": "*", "mail": "mail", "mail.x": "*", "x": "*",
	} {
		for range 2 { // the second time from memory
			name, r := g.find([]byte(kind))
			if r == nil || name != kind || r.kind != want {
				t.Errorf("%s is served by %+v, want %s", kind, r, want)
			}
		}
	}
	if want := []string{"*", "image.*", "image.resize", "image.resize.*", "mail"}; !slices.Equal(g.kinds(), want) {
		t.Errorf("kinds %q, want %q", g.kinds(), want)
	}
	if name, r := routingOf("image.*").find([]byte("mail")); r != nil || name != "mail" {
		t.Errorf("nobody serves mail, and yet %q %v", name, r)
	}
}

// Kinds come from jobs: what is remembered of them is bounded, and the rest is found all the same.
func TestPatternMemoryIsBounded(t *testing.T) {
	g := routingOf("*", "a.*")
	for i := range 3 * maxFound {
		kind := fmt.Sprintf("a.%d", i)
		if name, r := g.find([]byte(kind)); name != kind || r.kind != "a.*" {
			t.Fatalf("%s: %q by %v", kind, name, r)
		}
	}
	if n := len(*g.found.Load()); n != maxFound {
		t.Errorf("%d kinds are remembered, want %d", n, maxFound)
	}
}

// The way to a handler is walked for every job: no allocation, for an exact kind nor for one of a pattern.
func TestFindAllocatesNothing(t *testing.T) {
	g := routingOf("exact", "image.*")
	for _, kind := range [][]byte{[]byte("exact"), []byte("image.resize")} {
		g.find(kind)
		if n := testing.AllocsPerRun(1000, func() {
			_, r := g.find(kind)
			runtime.KeepAlive(r)
		}); n != 0 {
			t.Errorf("%s: %v allocations", kind, n)
		}
	}
}

func TestPatternAndOptionPanics(t *testing.T) {
	for want, register := range map[string]func(m *Mux){
		`kind "a*b": a * stands for any text at the end of a pattern, and nowhere else`: func(m *Mux) { m.HandleKind("a*b", succeed) },
		`kind "**": a * stands`:                                        func(m *Mux) { m.HandleKind("**", succeed) },
		`kind "a.*" has a handler already`:                             func(m *Mux) { m.HandleKind("a.*", succeed); m.HandleKind("a.*", succeed) },
		`kind "x": max attempts: 0; allowed: 1 to 10000`:               func(m *Mux) { m.HandleKind("x", succeed, MaxAttempts(0)) },
		`kind "x": max attempts: 10001; allowed: 1 to 10000`:           func(m *Mux) { m.HandleKind("x", succeed, MaxAttempts(10001)) },
		`kind "x": retention: -1s; allowed: 0 or more`:                 func(m *Mux) { m.HandleKind("x", succeed, RetainResult(-time.Second)) },
		"kind \"x\": timeout: 0s; allowed: more than 0":                func(m *Mux) { m.HandleKind("x", succeed, Timeout(0)) },
		"kind \"x\": timeout: -1s; allowed: more than 0\nmax attempts": func(m *Mux) { m.HandleKind("x", succeed, Timeout(-time.Second), MaxAttempts(-1)) },
	} {
		func() {
			defer func() {
				if p := fmt.Sprint(recover()); !strings.HasPrefix(p, "worker: "+want) {
					t.Errorf("panic %q, want %q", p, want)
				}
			}()
			register(NewMux())
		}()
	}
}

// What a handler was registered with holds for jobs that bring nothing of their own; what a job brings wins.
func TestHandlerDefaults(t *testing.T) {
	inBubble(t, func(e *env) {
		mux := NewMux()
		var infos list[queue.Info]
		fail := errors.New("no luck")
		mux.HandleKind("flaky.*", func(_ context.Context, job *queue.Job[queue.Raw]) error {
			infos.add(job.Info)
			return fail
		}, MaxAttempts(2), Retry(steady))
		mux.HandleKind("kept", func(_ context.Context, job *queue.Job[queue.Raw]) error {
			infos.add(job.Info)
			return job.SetResult([]byte("done"))
		}, RetainResult(time.Minute), Timeout(time.Hour))
		e.start(mux, Config{Timeout: 2 * time.Hour})

		dead := e.add("flaky.one")
		own := e.add("flaky.one", queue.MaxAttempts(3))
		e.wait(time.Minute, "the dead", func() bool { return e.counts().Dead == 2 })
		if a, b := e.get(dead).Attempts, e.get(own).Attempts; a != 2 || b != 3 {
			t.Errorf("%d and %d attempts, want 2 and 3", a, b)
		}
		for _, info := range infos.all() {
			want := 2
			if info.ID == own {
				want = 3
			}
			if info.MaxAttempts != want || info.Timeout != 2*time.Hour {
				t.Errorf("told of %d attempts and a timeout of %v", info.MaxAttempts, info.Timeout)
			}
		}

		plain, longer := e.add("kept"), e.add("kept", queue.Retain(time.Hour), queue.Timeout(time.Second))
		e.wait(time.Second, "the results", func() bool { return e.counts().Succeeded == 2 })
		if s := e.wantState(plain, queue.Succeeded); string(s.Result) != "done" || time.Until(s.KeptUntil) > time.Minute {
			t.Errorf("result %q kept until %v", s.Result, s.KeptUntil)
		}
		for _, info := range infos.all()[infos.len()-2:] {
			retention, timeout := time.Minute, time.Hour
			if info.ID == longer {
				retention, timeout = time.Hour, time.Second
			}
			if info.Retention != retention || info.Timeout != timeout {
				t.Errorf("told of retention %v and timeout %v", info.Retention, info.Timeout)
			}
		}
		e.wait(5*time.Minute, "the shorter retention to end", func() bool { return e.state(plain) == "" })
		e.wantState(longer, queue.Succeeded)
	})
}

// A handler's own timeout bounds its attempts.
func TestHandlerTimeout(t *testing.T) {
	inBubble(t, func(e *env) {
		mux := NewMux()
		mux.HandleKind("slow", func(ctx context.Context, _ *queue.Job[queue.Raw]) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}, Timeout(3*time.Second), MaxAttempts(1))
		e.start(mux, Config{Timeout: time.Hour})
		began := time.Now()
		id := e.add("slow")
		e.wait(time.Minute, "the end", func() bool { return e.state(id) == queue.DeadState })
		if took := time.Since(began); took < 3*time.Second || took > 4*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// The end of what a failed attempt printed is kept with its error; only the newest attempt's.
func TestOutputIsKept(t *testing.T) {
	inBubble(t, func(e *env) {
		mux := NewMux()
		mux.HandleKind("job", func(_ context.Context, job *queue.Job[queue.Raw]) error {
			err := queue.WithOutput(fmt.Errorf("attempt %d", job.Attempt), strings.Repeat("x", 5000)+fmt.Sprintf("end %d", job.Attempt))
			if job.Attempt == 2 {
				return queue.Dead(fmt.Errorf("gave up: %w", err))
			}
			return err
		}, Retry(steady))
		e.start(mux, Config{})
		id := e.add("job")
		e.wait(time.Minute, "the end", func() bool { return e.state(id) == queue.DeadState })
		s := e.get(id)
		if len(s.Errors) != 2 || s.Errors[0].Output != "" || s.Errors[1].Error != "gave up: attempt 2" {
			t.Fatalf("%+v", s.Errors)
		}
		if out := s.Errors[1].Output; len(out) != 4096 || !strings.HasSuffix(out, "xend 2") {
			t.Errorf("%d bytes of output: ...%s", len(out), out[max(len(out)-20, 0):])
		}
	})
}
