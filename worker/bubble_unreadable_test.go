package worker

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/wire"
	"github.com/tidemill/tidemill/queue"
)

// A kind without a handler waits for a worker that has one, as in a rolling deploy, and is given up after a day.
func TestUnknownKindWaits(t *testing.T) {
	inBubble(t, func(e *env) {
		// An hour between heartbeats' expiries: a day of fake time costs little then.
		e.start(NewMux(), Config{SessionTTL: time.Hour})
		id := e.add("from-tomorrow")
		other := e.add("from-tomorrow")
		var delays []time.Duration
		for range 6 {
			e.wait(11*time.Minute, "a snooze", func() bool { return e.state(id) == queue.Scheduled })
			s := e.get(id)
			delays = append(delays, time.Until(s.DueAt).Round(5*time.Second))
			if s.Attempts != 0 {
				t.Fatalf("it cost an attempt: %+v", s)
			}
			time.Sleep(time.Until(s.DueAt) + 50*time.Millisecond)
		}
		for i, want := range []time.Duration{30, 60, 120, 240, 480, 600} {
			if delays[i] != want*time.Second {
				t.Errorf("snooze %d: %v, want %v", i+1, delays[i], want*time.Second)
			}
		}
		if lines := e.logs.find("no handler for this kind"); len(lines) != 1 || lines[0]["kind"] != "from-tomorrow" {
			t.Errorf("logged %v", lines)
		}
		e.backdate(id, 23*time.Hour+30*time.Minute)
		e.backdate(other, 23*time.Hour+30*time.Minute)
		time.Sleep(11 * time.Minute)
		for _, id := range []uuid.UUID{id, other} {
			s := e.get(id)
			if s.State != queue.DeadState || !strings.Contains(s.Reason, `no worker knew the kind "from-tomorrow" for 24 hours`) {
				t.Errorf("after a day: %s, %q", s.State, s.Reason)
			}
			if lived := s.EndedAt.Sub(s.CreatedAt) + 23*time.Hour + 30*time.Minute; lived < 24*time.Hour || lived > 24*time.Hour+11*time.Minute {
				t.Errorf("it was given up after %v", lived)
			}
		}
	})
}

// Whoever looks at such a job is told what it waits for, until somebody serves its kind.
func TestUnknownKindIsTold(t *testing.T) {
	inBubble(t, func(e *env) {
		old := e.start(NewMux(), Config{SessionTTL: time.Hour})
		began := time.Now()
		id := e.add("job")
		e.wait(time.Second, "a snooze", func() bool { return e.state(id) == queue.Scheduled })
		if s := e.get(id); s.UnknownSince.Sub(began).Abs() > time.Second || !s.EndedAt.IsZero() || !s.StartedAt.IsZero() {
			t.Errorf("unknown since %v, ended %v, started %v", s.UnknownSince, s.EndedAt, s.StartedAt)
		}
		old.stopClean()
		e.start(newRig(func(context.Context, *queue.Job[queue.Raw]) error { return queue.Snooze(time.Hour) }).Mux, Config{})
		e.wait(time.Minute, "the handler", func() bool { return !e.get(id).StartedAt.IsZero() })
		e.wait(time.Second, "it to sleep again", func() bool { return e.state(id) == queue.Scheduled })
		if s := e.get(id); !s.UnknownSince.IsZero() {
			t.Errorf("still unknown since %v", s.UnknownSince)
		}
	})
}

// The day counts from when the kind was last unknown: a job that was handled since starts anew.
func TestUnknownKindIsForgivenOnceKnown(t *testing.T) {
	inBubble(t, func(e *env) {
		old := e.start(NewMux(), Config{SessionTTL: time.Hour})
		id := e.add("job")
		e.wait(time.Second, "a snooze", func() bool { return e.state(id) == queue.Scheduled })
		old.stopClean()
		r := newRig(func(context.Context, *queue.Job[queue.Raw]) error { return queue.Snooze(10 * time.Minute) })
		p := e.start(r.Mux, Config{})
		e.wait(time.Minute, "the handler", func() bool { return r.n() == 1 })
		p.stopClean()
		e.backdate(id, 25*time.Hour)
		e.start(NewMux(), Config{})
		time.Sleep(10*time.Minute + time.Second)
		s := e.wantState(id, queue.Scheduled)
		if in := time.Until(s.DueAt); in > time.Minute {
			t.Errorf("the next look is in %v", in)
		}
	})
}

func TestMalformedArgsAreDead(t *testing.T) {
	inBubble(t, func(e *env) {
		mux := NewMux()
		var calls list[string]
		Handle(mux, func(_ context.Context, job *queue.Job[greeting]) error {
			calls.add(job.Args.To)
			return nil
		})
		e.start(mux, Config{})
		bad, err := e.client.Enqueue(e.ctx, queue.Raw{Name: "greeting", Payload: []byte(`{"to": 7`)})
		e.must(err)
		good, err := e.client.Enqueue(e.ctx, greeting{"you"})
		e.must(err)
		e.drained(time.Second)
		s := e.wantState(bad, queue.DeadState)
		if !strings.HasPrefix(s.Reason, `args of kind "greeting": `) || s.Attempts != 1 || calls.len() != 1 {
			t.Errorf("reason %q, %d attempts, calls %v", s.Reason, s.Attempts, calls.all())
		}
		e.wantState(good, "")
	})
}

// What is no envelope goes to the dead by itself; the jobs around it run.
func TestCorruptEnvelopeIsDeadAlone(t *testing.T) {
	for name, junk := range map[string]string{
		"binary": "\x01\x00\x00\x00\x05\xff\xff\xff\xff\xff\xff", "version 0": "\x00\x00\x00\x00\x05abc", "flags": "\x01\xff\x00\x00\x05\x0a\x01k",
		"no kind": "\x01\x00\x00\x00\x05", "short": "\x01\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(e *env) {
				for range 5 {
					e.add("job")
				}
				bad := e.add("job")
				for range 5 {
					e.add("job")
				}
				e.b.M.HSet(e.q.Key(keys.Jobs), string(bad[:]), junk)
				r := newRig(succeed)
				p := e.start(r.Mux, Config{Concurrency: 1})
				e.drained(5 * time.Second)
				p.stopClean()
				s := e.get(bad)
				if s == nil || s.State != queue.DeadState || !strings.Contains(s.Reason, "corrupt envelope") || !errors.Is(s.Corrupt, wire.ErrCorrupt) {
					t.Fatalf("%+v", s)
				}
				if r.n() != 10 {
					t.Errorf("%d of 10 others ran", r.n())
				}
			})
		})
	}
}

// It dies with its own record, not with that of the job that its executor had before.
func TestCorruptEnvelopeKeepsItsRecord(t *testing.T) {
	inBubble(t, func(e *env) {
		failed, bad := e.add("job", queue.MaxAttempts(1)), e.add("job")
		e.b.M.HSet(e.q.Key(keys.Jobs), string(bad[:]), "\x01\x00\x00")
		r := newRig(func(context.Context, *queue.Job[queue.Raw]) error { return errors.New("of the other one") })
		e.start(r.Mux, Config{Concurrency: 1})
		e.drained(5 * time.Second)
		e.wantState(failed, queue.DeadState)
		s := e.wantState(bad, queue.DeadState)
		if s.Attempts != 1 || len(s.Errors) != 1 || strings.Contains(s.Reason+s.Errors[0].Error, "of the other one") {
			t.Errorf("%d attempts, reason %q, %+v", s.Attempts, s.Reason, s.Errors)
		}
	})
}

// A record that cannot be read is no reason to lose the job.
func TestCorruptRecordIsDead(t *testing.T) {
	inBubble(t, func(e *env) {
		id := e.add("job")
		e.b.M.HSet(e.q.Key(keys.State), string(id[:]), "\x01\x00\x00\x00\x00\x00\x00\xff\xff")
		r := newRig(succeed)
		e.start(r.Mux, Config{})
		e.drained(time.Second)
		if s := e.wantState(id, queue.DeadState); !strings.Contains(s.Reason, "corrupt") || r.n() != 0 {
			t.Errorf("reason %q, %d starts", s.Reason, r.n())
		}
	})
}

func TestNewerVersionIsLeftAlone(t *testing.T) {
	for _, part := range []int{keys.Jobs, keys.State} {
		t.Run(map[int]string{keys.Jobs: "envelope", keys.State: "record"}[part], func(t *testing.T) {
			inBubble(t, func(e *env) {
				id := e.add("job")
				future := "\x09\x00\x00\x00\x05\x00\x00what will be"
				e.b.M.HSet(e.q.Key(part), string(id[:]), future)
				r := newRig(succeed)
				e.start(r.Mux, Config{})
				e.wait(time.Second, "a snooze", func() bool { return e.state(id) == queue.Scheduled })
				time.Sleep(31 * time.Second)
				e.wait(time.Second, "another", func() bool { return e.state(id) == queue.Scheduled })
				if r.n() != 0 {
					t.Error("it was run")
				}
				if got := e.b.M.HGet(e.q.Key(part), string(id[:])); part == keys.Jobs && got != future || got[0] != 9 && part == keys.State {
					t.Errorf("it was changed to %q", got)
				}
				if len(e.logs.find("no handler for this kind")) != 1 {
					t.Error("not logged once")
				}
			})
		})
	}
}

// backdate makes a kind unknown for longer than it is: days of fake time cost seconds of real time.
func (e *env) backdate(id uuid.UUID, by time.Duration) {
	e.Helper()
	var s wire.State
	e.must(s.Decode([]byte(e.b.M.HGet(e.q.Key(keys.State), string(id[:])))))
	if s.UnknownAt > 0 {
		s.UnknownAt -= by.Milliseconds()
	}
	record, _ := s.Append(nil)
	e.b.M.HSet(e.q.Key(keys.State), string(id[:]), string(record))
}

type greeting struct {
	To string `json:"to"`
}

func (greeting) Kind() string { return "greeting" }
