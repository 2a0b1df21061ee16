package execjob

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/internal/supervise"
	"github.com/tidemill/tidemill/queue"
)

// TestLossesAreBounded: what is forgotten is charged later, never more often.
func TestLossesAreBounded(t *testing.T) {
	l := losses{jobs: make(map[jobID]int)}
	one := uuid.New()
	if a, b := l.count(one), l.count(one); a != 1 || b != 2 {
		t.Errorf("counted %d and %d", a, b)
	}
	for range 10 * maxLosses {
		l.count(uuid.New())
	}
	if len(l.jobs) > maxLosses {
		t.Errorf("%d jobs are remembered", len(l.jobs))
	}
	l.count(one)
	l.forget(one)
	if n := l.count(one); n != 1 {
		t.Errorf("counted %d after it was forgotten", n)
	}
}

// TestSupervisorLost: a job that loses the supervisor costs no attempt the first time, and one each time after that.
func TestSupervisorLost(t *testing.T) {
	r := newRig(t)
	a := r.shell(`kill -KILL $PPID; sleep 3600`) // which is the supervisor
	h := a.handler()
	var snooze *queue.SnoozeError
	for range 5 { // once it is started and lost, then, for a while, there is no supervisor to start it
		if err := a.by(h); !errors.As(err, &snooze) {
			t.Errorf("%v, want a snooze", err)
		}
	}
	redistest.WaitFor(t, time.Minute, func() bool { return len(r.log.with("supervisor of exec handlers started")) > 1 }, "another supervisor")
	if err := a.by(h); !errors.Is(err, supervise.ErrLost) || err.Error() != "exec: "+supervise.ErrLost.Error() {
		t.Errorf("%v, want %v", err, supervise.ErrLost)
	}
	redistest.WaitFor(t, time.Minute, func() bool { return len(r.log.with("supervisor of exec handlers started")) > 2 }, "a third supervisor")
	b := r.shell("echo on")
	if err := b.run(); err != nil || string(b.result) != "on\n" {
		t.Errorf("%v, %q", err, b.result)
	}
	if n := len(r.log.with("the supervisor of exec handlers is gone")); n != 2 {
		t.Errorf("%d lines in the log", n)
	}
}
