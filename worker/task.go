package worker

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/wire"
	"github.com/tidemill/tidemill/queue"
)

// task is one attempt under way: the job's stored forms and the route that serves its kind. Tasks are used again: nothing
// that outlives an attempt may point into one.
type task struct {
	w      *Worker
	r      *run
	e      wire.Envelope
	s      wire.State
	rules  *routing // as they were when the attempt began
	route  *route   // nil: nobody serves the kind
	number int      // of the attempt, from 1
	since  int64    // ms: how long the job had been ready; 0 = not known
	called bool     // its handler was
	began  time.Time
	end    outcome
}

// task answers a task without a job. Whoever is done with it may put it back into w.tasks.
func (w *Worker) task() *task {
	t, _ := w.tasks.Get().(*task)
	if t == nil {
		t = &task{w: w}
		t.e.Intern = t.kind
	}
	return t
}

// of makes it the task of a run, which begins now (zero: look).
func (t *task) of(r *run, now time.Time) {
	if now.IsZero() {
		now = time.Now()
	}
	t.r, t.rules, t.route, t.number, t.since, t.called, t.began = r, t.w.rules.Load(), nil, 1, 0, false, now
	t.end = outcome{}
}

// kind finds who serves a kind, while the envelope is decoded.
func (t *task) kind(b []byte) string {
	name, route := t.rules.find(b)
	t.route = route
	return name
}

// read decodes the job's stored forms.
func (t *task) read() error {
	err := t.e.Decode(t.r.envelope)
	if err == nil {
		err = t.s.Decode(t.r.state)
		t.number, t.since = int(t.s.Attempts)+1, t.s.WaitingSince(&t.e)
	}
	if t.e.Notify != "" || t.r.c.tells.Load() {
		t.begin()
	}
	if err == nil && t.route != nil && t.s.UnknownAt != 0 { // should its kind be unknown again, the day counts anew
		t.s.UnknownAt, t.s.Snoozes = 0, 0
	}
	return err
}

// early ends an attempt before its handler is called: too late, or no handler for the kind.
func (t *task) early() bool {
	var now int64 // needed by few
	if t.e.ExpiresAt > 0 || t.e.Deadline > 0 {
		now = t.w.serverNow()
	}
	switch {
	case t.e.ExpiresAt > 0 && now > t.e.ExpiresAt && !t.startedBefore():
		t.end = t.settle(verdict{kind: broker.Expired}, nil, "")
	case t.e.Deadline > 0 && now > t.e.Deadline:
		t.end = t.settle(verdict{kind: broker.Dead, failed: true}, errors.New("its deadline passed before it was started"), "")
	case t.route == nil:
		t.w.tellUnknown(t.e.Kind, t.r.c.name)
		t.end = t.unknown(fmt.Errorf("no worker knew the kind %q for 24 hours", t.e.Kind))
	default:
		return false
	}
	return true
}

// startedBefore tells whether a handler was ever called for the job.
func (t *task) startedBefore() bool { return t.s.Attempts > 0 || t.s.Crashes > 0 || t.s.StartedAt > 0 }

// unknown snoozes a job that this worker can't run yet, and gives it up after a day.
func (t *task) unknown(reason error) outcome {
	now := t.w.serverNow()
	if t.s.UnknownAt == 0 {
		t.s.UnknownAt, t.s.Snoozes = now, 0
	}
	v := classifyUnknown(time.Duration(now-t.s.UnknownAt)*time.Millisecond, t.s.Snoozes)
	t.s.Snoozes++
	return t.settle(v, reason, "")
}

// info tells what the handler is told of the job: where the job brings no limits of its own, those that hold.
func (t *task) info(i *queue.Info) {
	*i = queue.NewInfo(t.r.c.name, t.r.claim.ID, &t.e, &t.s)
	i.MaxAttempts = t.route.attempts(i.MaxAttempts)
	i.Timeout = t.timeout()
	if i.Retention == 0 {
		i.Retention = t.route.retention
	}
}

// timeout bounds the attempt: by what the job brings, else by its kind's, else by the worker's; 0 = not.
func (t *task) timeout() time.Duration {
	return cmp.Or(time.Duration(t.e.Timeout)*time.Millisecond, t.route.timeout, t.rules.timeout)
}

// ceilMS rounds up, so that the shortest time is one.
func ceilMS(d time.Duration) int64 {
	ms := d.Milliseconds()
	if d%time.Millisecond > 0 {
		ms++
	}
	return ms
}

// limit arms the attempt's timeout and answers what disarms it, nil if there is none.
func (t *task) limit(ctx *jobContext) func() bool {
	timeout := t.timeout()
	if t.e.Deadline > 0 {
		if left := time.Duration(t.e.Deadline-t.w.serverNow()) * time.Millisecond; timeout == 0 || left < timeout {
			timeout = max(left, 1)
		}
	}
	if timeout == 0 {
		return nil
	}
	ctx.deadline = t.began.Add(timeout)
	return time.AfterFunc(timeout, func() { ctx.end(queue.ErrTimeout) }).Stop
}

// outcome classifies a handler's return and prepares what is to be written.
func (t *task) outcome(err error, stack string, cause error, result []byte) outcome {
	policy := t.rules.retry
	if t.route.retry != nil {
		policy = *t.route.retry
	}
	if err != nil && errors.Is(cause, queue.ErrTimeout) && !errors.Is(err, queue.ErrTimeout) {
		err = fmt.Errorf("%w (%w)", err, queue.ErrTimeout)
	}
	v := classify(err, cause, t.number, t.route.attempts(t.e.MaxAttempts), policy, nil)
	switch {
	case v.drop:
		t.event(t.w.log.Warn(), err).AnErr("cause", cause).Msg("job's claim was lost; its outcome is ignored")
		return outcome{drop: true}
	case v.kind == "":
		t.ending(v, nil)
		t.event(t.w.log.Debug(), nil).Msg("job done")
		return t.success(result)
	}
	return t.settle(v, err, stack)
}

// success acknowledges; a job with a retention is kept with its result.
func (t *task) success(result []byte) outcome {
	retention := t.e.Retention
	if retention == 0 {
		retention = ceilMS(t.route.retention)
	}
	if retention == 0 {
		return outcome{}
	}
	t.s.Attempts = uint16(min(int(t.s.Attempts)+1, math.MaxUint16))
	t.s.StartedAt = t.w.serverNow() - time.Since(t.began).Milliseconds()
	t.s.FinishedAt, t.s.DueAt = t.w.serverNow(), 0
	t.s.Flags = 0
	record, _ := t.s.Append(nil)
	return outcome{kept: &broker.Kept{Claim: t.r.claim, Retention: retention, State: record, Result: result}}
}

// settle prepares a verdict other than success, with the job's new record.
func (t *task) settle(v verdict, err error, stack string) outcome {
	s := &broker.Settle{Verdict: v.kind, Delay: v.delay.Milliseconds()}
	if v.kind == broker.Retry && s.Delay == 0 && v.delay > 0 {
		s.Delay = 1
	}
	if v.failed {
		t.s.Attempts = uint16(min(int(t.s.Attempts)+1, math.MaxUint16))
		f := wire.Failure{Attempt: int(t.s.Attempts), At: t.w.serverNow(), Error: "unknown error", Stack: stack}
		if err != nil {
			f.Error = err.Error()
		}
		var printed *queue.OutputError
		if errors.As(err, &printed) {
			f.Output = printed.Output
		}
		t.s.AddFailure(f)
	}
	if v.kind == broker.Snooze && t.route != nil {
		t.s.Snoozes++
	}
	if t.called {
		t.s.StartedAt = t.w.serverNow() - time.Since(t.began).Milliseconds()
	}
	if t.called || v.kind != broker.Snooze { // a job that nobody could run did not end
		t.s.FinishedAt = t.w.serverNow()
	}
	switch t.s.DueAt = 0; v.kind {
	case broker.Retry, broker.Snooze, broker.Release:
		t.s.DueAt = t.w.serverNow() + s.Delay
	}
	s.State, s.Brief = t.s.Append(nil)
	t.ending(v, err)
	t.tell(v, err)
	return outcome{settle: s}
}

// fail is the outcome of an attempt that ended in an error outside its handler's return.
func (w *Worker) fail(r *run, err error) outcome {
	t := w.task()
	t.of(r, r.began)
	if e := t.read(); e != nil {
		o := t.unreadable(e)
		t.note(&o)
		return o
	}
	if t.route == nil {
		t.route = &route{}
	}
	t.called = true
	o := t.outcome(err, "", r.ctx.free(), nil)
	t.note(&o)
	return o
}

// unreadable is the outcome for an envelope or record that cannot be read: dead with the reason, or, where a newer
// version wrote it, left for workers that are newer too.
func (t *task) unreadable(err error) outcome {
	if !errors.Is(err, wire.ErrNewer) {
		if t.s.Decode(t.r.state) != nil { // where the envelope is the unreadable one, what is here is still of the job before
			t.s = wire.State{}
		}
		t.number = int(t.s.Attempts) + 1
		return t.settle(verdict{kind: broker.Dead, failed: true}, err, "")
	}
	t.w.tellUnknown("(newer version)", t.r.c.name)
	if t.s.Decode(t.r.state) != nil { // the record itself is of a newer version: leave it as it is
		return outcome{settle: &broker.Settle{Verdict: broker.Snooze, Delay: unknownFirst.Milliseconds()}}
	}
	return t.unknown(err)
}
