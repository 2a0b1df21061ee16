package worker

import (
	"errors"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// steered is a worker that can be told everything, and what shows that it obeyed.
type steered struct {
	*proc
	causes list[error]
	levels list[zerolog.Level]
	r      *rig
}

func (e *env) steer(name string) *steered {
	e.Helper()
	s := &steered{}
	s.r = newRig(blocked(&s.causes))
	s.proc = e.start(s.r.Mux, Config{Concurrency: 5, SetLogLevel: s.levels.add, Queues: []Queue{{Name: name}}})
	time.Sleep(time.Second) // it stands and waits
	return s
}

// state is what it does, under its lock.
func (s *steered) state() (paused, quiet, stopping bool) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	return s.w.consumers[0].paused, s.w.quiet, s.w.stopping
}

// orders are all that an operator may say to running workers, one after the other: what is said, and what shows that it
// was obeyed by the one that is meant.
var orders = []struct {
	name   string
	say    func(e *env, s *steered) error
	obeyed func(e *env, s *steered) bool
	other  bool // holds for all workers
}{
	{"cancel", func(e *env, s *steered) error {
		_, err := e.client.Cancel(e.ctx, "one", "job")
		return err
	}, func(_ *env, s *steered) bool {
		return s.causes.len() == 1 && errors.Is(s.causes.all()[0], queue.ErrCancelled)
	}, false},
	{"pause", func(e *env, s *steered) error { _, err := e.client.Pause(e.ctx, "one"); return err },
		func(_ *env, s *steered) bool { paused, _, _ := s.state(); return paused }, false},
	{"resume", func(e *env, s *steered) error { _, err := e.client.Resume(e.ctx, "one"); return err },
		func(_ *env, s *steered) bool { paused, _, _ := s.state(); return !paused }, false},
	{"log level", func(e *env, s *steered) error { return e.client.SetWorkerLogLevel(e.ctx, s.w.instance, "debug") },
		func(e *env, s *steered) bool { return s.levels.len() == 1 && s.levels.all()[0] == zerolog.DebugLevel }, false},
	{"quiet", func(e *env, s *steered) error { return e.client.QuietWorker(e.ctx, s.w.instance, true) },
		func(_ *env, s *steered) bool { _, quiet, _ := s.state(); return quiet }, false},
	{"work again", func(e *env, s *steered) error { return e.client.QuietWorker(e.ctx, s.w.instance, false) },
		func(_ *env, s *steered) bool { _, quiet, _ := s.state(); return !quiet }, false},
	{"log level of all", func(e *env, s *steered) error { return e.client.SetWorkerLogLevel(e.ctx, "", "error") },
		func(e *env, s *steered) bool {
			n := s.levels.len()
			return n > 0 && s.levels.all()[n-1] == zerolog.ErrorLevel
		}, true},
	{"quiet of all", func(e *env, s *steered) error { return e.client.QuietWorker(e.ctx, "", true) },
		func(_ *env, s *steered) bool { _, quiet, _ := s.state(); return quiet }, true},
	{"stop", func(e *env, s *steered) error { return e.client.StopWorker(e.ctx, s.w.instance) },
		func(_ *env, s *steered) bool { _, _, stopping := s.state(); return stopping }, false},
}

// What operators say takes effect within 10 ms of the call, on the worker that is meant and on no other.
func TestOrdersTakeEffectAtOnce(t *testing.T) {
	inBubble(t, func(e *env) {
		one, two := e.steer("one"), e.steer("two")
		e.add("job", queue.Queue("one"), queue.ID("job"))
		e.wait(time.Second, "the handler", func() bool { return one.r.n() == 1 })
		for _, o := range orders {
			time.Sleep(time.Second)
			began := time.Now()
			e.must(o.say(e, one))
			e.wait(10*time.Millisecond, o.name, func() bool { return o.obeyed(e, one) && (!o.other || o.obeyed(e, two)) })
			if took := time.Since(began); took > 10*time.Millisecond {
				t.Errorf("%s took %v", o.name, took)
			}
		}
		if _, _, stopping := two.state(); stopping || two.levels.len() != 1 || two.causes.len() != 0 {
			t.Error("the other worker was told too")
		}
		<-one.done
	})
}

// A worker that was cut off when something was said finds out as soon as it is back, from Redis and not from the hint.
func TestOrdersSurviveAGap(t *testing.T) {
	inBubble(t, func(e *env) {
		one := e.steer("one")
		e.add("job", queue.Queue("one"), queue.ID("job"))
		e.wait(time.Second, "the handler", func() bool { return one.r.n() == 1 })
		for _, o := range orders[:len(orders)-1] {
			one.gate.close()
			time.Sleep(300 * time.Millisecond)
			e.must(o.say(e, one))
			time.Sleep(200 * time.Millisecond)
			if o.name != "resume" && o.name != "work again" && o.obeyed(e, one) {
				t.Errorf("%s was heard through a wall", o.name)
			}
			one.gate.open()
			e.wait(2*time.Second, o.name, func() bool { return o.obeyed(e, one) })
			time.Sleep(5 * time.Second)
		}
		if n := one.levels.len(); n != 2 {
			t.Errorf("its level was set %d times", n)
		}
		if lines := e.logs.find("session lost"); len(lines) != 0 {
			t.Errorf("%v", lines)
		}
	})
}

// A hint that is lost alone costs a heartbeat for jobs and queues, and a minute for orders.
func TestOrdersWithoutHints(t *testing.T) {
	inBubble(t, func(e *env) {
		one := e.steer("one")
		e.add("job", queue.Queue("one"), queue.ID("job"))
		e.wait(time.Second, "the handler", func() bool { return one.r.n() == 1 })
		for i, o := range orders {
			release := e.b.HoldRequest(redistest.On("PUBLISH"))
			said := make(chan error, 1)
			go func() { said <- o.say(e, one) }()
			within := beatAtMost + 10*time.Millisecond
			if i > 2 {
				within = announceEvery + announceEvery/10 + time.Second
			}
			e.wait(within, o.name, func() bool { return o.obeyed(e, one) })
			release()
			<-said
			time.Sleep(time.Second)
		}
		<-one.done
	})
}

// The level stands in the listing; a strange one is told and does nothing.
func TestLogLevelIsListed(t *testing.T) {
	inBubble(t, func(e *env) {
		one := e.steer("one")
		e.must(e.client.SetWorkerLogLevel(e.ctx, one.w.instance, "warn"))
		e.wait(time.Second, "the level in the listing", func() bool { return e.listed(one.w.instance).LogLevel == "warn" })
		e.b.M.HSet("tm:orders", one.w.instance+"/log-level", "loud 1")
		e.wait(70*time.Second, "the strange order", func() bool { return len(e.logs.find("order that this worker does not know")) == 1 })
		if one.levels.len() != 1 || e.listed(one.w.instance).LogLevel != "warn" {
			t.Errorf("%v, listed %q", one.levels.all(), e.listed(one.w.instance).LogLevel)
		}
		if err := e.client.SetWorkerLogLevel(e.ctx, one.w.instance, "trace"); !errors.Is(err, queue.ErrInvalid) {
			t.Errorf("an unknown level: %v", err)
		}
		one.stopClean()
		if e.b.M.Exists("tm:orders") {
			t.Error("it left its orders behind")
		}
	})
}
