package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/wire"
	"github.com/tidemill/tidemill/queue"
)

// lives notes the events that are published.
type lives struct{ list[queue.Event] }

func (l *lives) watch(e *env) {
	e.b.DropReplies(func(cmd string, args []string) bool {
		if topic, ours := strings.CutPrefix(args0(args), "jobs."); ours && cmd == "PUBLISH" {
			m := wire.DecodeMessage([]byte(args[1]))
			var event queue.Event
			if err := json.Unmarshal(m.Data, &event); err != nil || m.ID == uuid.Nil || event.Queue != topic {
				e.Errorf("published: %q, %v", args, err)
			}
			l.add(event)
		}
		return false
	})
}

func args0(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// of is the names of a job's events, with their attempts.
func (l *lives) of(id uuid.UUID) string {
	var words []string
	for _, e := range l.all() {
		if e.ID == id {
			words = append(words, fmt.Sprintf("%s %d", e.Event, e.Attempt))
		}
	}
	return strings.Join(words, ", ")
}

// find is a job's first event of a name.
func (l *lives) find(id uuid.UUID, name queue.EventName) queue.Event {
	for _, e := range l.all() {
		if e.ID == id && e.Event == name {
			return e
		}
	}
	return queue.Event{}
}

func (l *lives) want(e *env, id uuid.UUID, want string) {
	e.Helper()
	e.wait(time.Second, "the events", func() bool { return strings.Count(l.of(id), ",") >= strings.Count(want, ",") })
	if got := l.of(id); got != want {
		e.Errorf("told: %s; want: %s", got, want)
	}
}

// telling serves the default queue and tells of it.
var telling = []Queue{{Name: queue.DefaultQueue, Lifecycle: true}}

// Each way through a life is told as it happened, with what is known of it.
func TestLivesAreTold(t *testing.T) {
	inBubble(t, func(e *env) {
		var told lives
		told.watch(e)
		r := newRig(func(ctx context.Context, job *queue.Job[queue.Raw]) error {
			switch {
			case job.Key == "snoozes" && job.Meta["again"] == "" && time.Since(job.CreatedAt) < time.Minute:
				return queue.Snooze(time.Minute)
			case strings.HasPrefix(job.Key, "fails"):
				time.Sleep(1500 * time.Microsecond)
				return errors.New("no luck " + strings.Repeat("x", 2000))
			case job.Key == "waits":
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		})
		p := e.start(r.Mux, Config{Queues: telling, Retry: steady})
		for name, c := range map[string]struct {
			options []queue.Option
			want    string
		}{
			"works":     {nil, "started 1, succeeded 1"},
			"is kept":   {[]queue.Option{queue.Retain(time.Hour)}, "started 1, succeeded 1"},
			"fails":     {[]queue.Option{queue.MaxAttempts(2)}, "started 1, failed 1, retried 1, started 2, failed 2, dead 2"},
			"snoozes":   {nil, "started 1, snoozed 1, started 1, succeeded 1"},
			"expires":   {[]queue.Option{queue.In(5 * time.Second), queue.ExpireIn(time.Second)}, "expired 1"},
			"was late":  {[]queue.Option{queue.In(5 * time.Second), queue.Deadline(time.Now().Add(time.Second))}, "failed 1, dead 1"},
			"waits too": {[]queue.Option{queue.Notify()}, "started 1, succeeded 1"},
		} {
			id := e.add("job", append(c.options, queue.ID(name))...)
			e.wait(5*time.Minute, "the job's end", func() bool { n := e.counts(); return n.Ready+n.Scheduled+n.Running == 0 })
			told.want(e, id, c.want)
			for _, event := range told.all() {
				if event.ID == id && (event.Key != name || event.Kind != "job" || event.Worker != p.w.instance || event.Namespace != "tm" ||
					time.Since(event.Time) > 5*time.Minute) {
					t.Errorf("%+v", event)
				}
			}
			if name == "fails" {
				retried, dead := told.find(id, queue.EventRetried), told.find(id, queue.EventDead)
				if !strings.HasPrefix(retried.Error, "no luck x") || len(retried.Error) > 1024 || retried.RunMS < 1.5 || retried.RunMS > 2 ||
					retried.Due.Sub(retried.Time).Round(time.Second) != steady.Base || !dead.Due.IsZero() {
					t.Errorf("retried: %+v, dead: %+v", retried, dead)
				}
			}
		}
	})
}

// A job is told as cancelled by whoever ended it: it ran, or was fetched ahead.
func TestCancelledIsTold(t *testing.T) {
	inBubble(t, func(e *env) {
		var told lives
		told.watch(e)
		var causes list[error]
		r := newRig(blocked(&causes))
		e.start(r.Mux, Config{Queues: telling})
		id := e.add("job", queue.ID("mine"))
		e.wait(time.Second, "the handler", func() bool { return r.n() == 1 })
		e.cancel(id, queue.Running)
		told.want(e, id, "started 1, cancelled 1")
		if event := told.find(id, queue.EventCancelled); event.Error == "" || event.Key != "mine" {
			t.Errorf("%+v", event)
		}
	})
}

// What a stopping worker gives back is told, before it is gone.
func TestReleasedIsTold(t *testing.T) {
	inBubble(t, func(e *env) {
		var told lives
		told.watch(e)
		var causes list[error]
		r := newRig(blocked(&causes))
		p := e.start(r.Mux, Config{Queues: telling, Drain: time.Second})
		id := e.add("job")
		e.wait(time.Second, "the handler", func() bool { return r.n() == 1 })
		if _, err := p.stop(); !errors.Is(err, ErrDrainTimeout) {
			t.Errorf("Run returned %v", err)
		}
		if got := told.of(id); got != "started 1, released 1" {
			t.Errorf("told: %s", got)
		}
	})
}

// Of what a lost claim came to nothing is told: the job is another worker's.
func TestLostIsNotTold(t *testing.T) {
	inBubble(t, func(e *env) {
		var told lives
		told.watch(e)
		release := make(chan struct{})
		first := newRig(func(context.Context, *queue.Job[queue.Raw]) error { <-release; return nil })
		p := e.start(first.Mux, Config{Queues: telling})
		id := e.add("job")
		e.wait(time.Second, "the handler", func() bool { return first.n() == 1 })
		e.start(newRig(succeed).Mux, Config{Queues: telling})
		p.gate.close()
		e.wait(10*time.Second, "the other worker", func() bool { return strings.Contains(told.of(id), "succeeded") })
		told.want(e, id, "started 1, started 1, succeeded 1")
		close(release)
		p.gate.open()
		time.Sleep(time.Minute)
		told.want(e, id, "started 1, started 1, succeeded 1")
	})
}

// Without Lifecycle nothing is published and a run carries nothing; Reload turns it on and off.
func TestLifecycleIsOptIn(t *testing.T) {
	inBubble(t, func(e *env) {
		var told lives
		told.watch(e)
		r := newRig(succeed)
		p := e.start(r.Mux, Config{})
		e.add("job")
		e.drained(time.Second)
		time.Sleep(time.Second)
		if got := told.all(); len(got) != 0 {
			t.Fatalf("told: %+v", got)
		}
		e.must(p.w.Reload(nil, Config{Queues: telling}))
		id := e.add("job")
		e.drained(time.Second)
		told.want(e, id, "started 1, succeeded 1")
		e.must(p.w.Reload(nil, Config{}))
		id = e.add("job")
		e.drained(time.Second)
		time.Sleep(time.Second)
		told.want(e, id, "")
	})
}

// A full Redis, a slow one or none: jobs go on without their events, which are counted.
func TestEventsNeverHoldUpWork(t *testing.T) {
	inBubble(t, func(e *env) {
		var last list[time.Time]
		r := newRig(func(context.Context, *queue.Job[queue.Raw]) error { last.add(time.Now()); return nil })
		p := e.start(r.Mux, Config{Queues: telling})
		time.Sleep(time.Second)
		release := e.b.HoldRequest(func(cmd string, args []string) bool { return cmd == "PUBLISH" && strings.HasPrefix(args[0], "jobs.") })
		began := time.Now()
		for range 500 {
			e.add("job")
		}
		e.drained(2 * time.Second)
		if at := slices.MaxFunc(last.all(), time.Time.Compare); at.Sub(began) > 500*time.Millisecond {
			t.Errorf("the last job ran %v after the first was enqueued", at.Sub(began))
		}
		time.Sleep(time.Minute) // what was sent has timed out
		release()
		e.wait(time.Minute, "all to be counted", func() bool {
			sent, dropped := p.w.client.EventCounts()
			return sent+dropped == 1000 && dropped > 0
		})
	})
}

// A job that takes its worker down for the last time is told as dead by the worker that found out.
func TestCrashedIsTold(t *testing.T) {
	inBubble(t, func(e *env) {
		var told lives
		told.watch(e)
		release := make(chan struct{})
		defer close(release)
		first := newRig(func(context.Context, *queue.Job[queue.Raw]) error { <-release; return nil })
		p := e.start(first.Mux, Config{Queues: telling, CrashLimit: 1})
		id := e.add("job", queue.ID("mine"))
		e.wait(time.Second, "the handler", func() bool { return first.n() == 1 })
		e.start(newRig(succeed).Mux, Config{Queues: telling, CrashLimit: 1})
		p.gate.close()
		e.wait(10*time.Second, "the other worker", func() bool { return strings.Contains(told.of(id), "dead") })
		if event := told.find(id, queue.EventDead); event.Key != "mine" || event.Kind != "job" || !strings.Contains(event.Error, "crashed") {
			t.Errorf("%+v", event)
		}
		e.wantState(id, queue.DeadState)
	})
}
