package worker

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/queue"
)

// startLocked starts one more executor when there is something to run and a slot for it. Each executor starts the next
// when it has taken a job, so that short jobs are run by a few goroutines and blocking ones by as many as allowed.
func (w *Worker) startLocked() {
	if w.starting || len(w.buffer) == 0 || w.executors >= w.config.Concurrency {
		return
	}
	w.starting = true
	w.executors++
	go w.execute()
}

// execute runs buffered jobs until there are none. A slot is free only when its handler has returned.
func (w *Worker) execute() {
	var current *run
	var now time.Time // when the job before ended; zero = not known
	t := w.task()
	defer func() {
		if current != nil { // the handler ended this goroutine (runtime.Goexit)
			o := w.fail(current, errors.New("the handler ended its goroutine (runtime.Goexit)"))
			w.finish(current, &o)
		}
	}()
	w.mu.Lock()
	w.starting = false
	for {
		var r *run
		if w.executors <= w.config.Concurrency { // a reload may have lowered it
			r = w.takeLocked()
		}
		if r == nil {
			w.leaveLocked()
			w.mu.Unlock()
			w.tasks.Put(t)
			return
		}
		w.startLocked()
		w.mu.Unlock()
		current = r
		result := w.attempt(t, r, now)
		current, now = nil, result.note.at
		w.mu.Lock()
		w.finishLocked(r, result)
	}
}

func (w *Worker) leaveLocked() {
	w.executors--
	if w.executors == 0 && w.stopping {
		w.drained.Set()
	}
}

// takeLocked starts the first buffered job.
func (w *Worker) takeLocked() *run {
	r := w.popLocked()
	for r != nil && w.twinLocked(r) {
		w.failLocked(r, broker.Settle{Verdict: broker.Snooze, Delay: time.Second.Milliseconds()})
		r = w.popLocked()
	}
	if r == nil {
		return nil
	}
	r.phase = started
	r.c.enter(r)
	w.running++
	return r
}

func (w *Worker) popLocked() *run {
	if len(w.buffer) == 0 {
		return nil
	}
	r := w.buffer[0]
	w.buffer[0] = nil
	if w.buffer = w.buffer[1:]; len(w.buffer) == 0 {
		w.buffer = nil
	}
	r.c.buffered--
	return r
}

// twinLocked tells whether a job's former claim still runs here: no two attempts of one id overlap in a process. That
// claim is lost then, noticed or not: a Redis that lost its last second lists its jobs again.
func (w *Worker) twinLocked(r *run) bool {
	twin := r.c.twin(r.claim.ID)
	if twin != nil {
		w.gone(r.c, twin.claim, twin)
	}
	return twin != nil
}

// finish is finishLocked for an executor that ends with its job.
func (w *Worker) finish(r *run, o *outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.finishLocked(r, o)
	w.leaveLocked()
	w.startLocked()
}

// outcome is what an attempt came to: the zero value is a success that leaves nothing behind.
type outcome struct {
	drop   bool
	kept   *broker.Kept
	settle *broker.Settle
	note   note // what is measured of it
}

// finishLocked frees the slot and hands the outcome to those who tell Redis.
func (w *Worker) finishLocked(r *run, o *outcome) {
	c := r.c
	w.running--
	c.leave(r)
	w.pace.finished++
	w.unsuspectLocked(r)
	if o.note.series != nil {
		o.note.add(r.lost || o.drop)
	}
	switch {
	case r.lost || o.drop:
		delete(w.zombies, claimKey{c, r.claim.ID})
		r.settled()
	case o.settle != nil:
		w.failLocked(r, *o.settle)
	default:
		if len(c.done)+len(c.kept) == 0 {
			c.since = time.Now()
		}
		r.phase = settling
		if o.kept != nil {
			c.kept = append(c.kept, kept{run: r, Kept: *o.kept})
		} else {
			c.done = append(c.done, r)
		}
	}
	if w.idleLanes > 0 && w.worthLocked(c) {
		w.nudgeLane()
	}
}

// worthLocked tells whether a lane that sleeps has a reason to look: something to send now, or a timer to set.
func (w *Worker) worthLocked(c *consumer) bool {
	acks := len(c.done) + len(c.kept)
	ahead := len(w.buffer) + w.wanted
	return acks == 1 || acks >= ackBatch || w.running == 0 && ahead == 0 || w.freeLocked() > 0 || ahead < w.pace.prefetch/2
}

// failLocked hands a claim that ends other than in success to the settler.
func (w *Worker) failLocked(r *run, s broker.Settle) {
	w.unsuspectLocked(r)
	r.phase = settling
	s.Claim = r.claim
	r.c.fails = append(r.c.fails, failure{run: r, Settle: s})
	r.c.unpaid.Set()
}

// releaseStuckLocked gives a job back whose handler did not return.
func (w *Worker) releaseStuckLocked(r *run) {
	r.phase = settling
	r.batch.held = true
	r.c.fails = append(r.c.fails, failure{run: r, Settle: broker.Settle{Claim: r.claim, Verdict: broker.Release}})
	r.c.unpaid.Set()
}

// attempt runs one job: decode, call, classify. What it answers is what to settle, until the task's next attempt. now may be zero.
//
// Up to the handler little stack is taken: as long as a goroutine has not used about 3 KB of it, 4 KB of memory are what a handler
// that waits takes, else 8. So what is large is in the task, or in functions that have returned by then.
func (w *Worker) attempt(t *task, r *run, now time.Time) *outcome {
	t.of(r, now)
	r.began = t.began
	if err := t.read(); err != nil {
		t.end = t.unreadable(err)
	} else if !t.early() {
		t.conclude(t.run())
	}
	t.note(&t.end)
	return &t.end
}

// run calls the handler, within its time.
func (t *task) run() (result []byte, stack string, err error) {
	if stop := t.limit(t.r.ctx); stop != nil {
		defer stop()
	}
	t.called = true
	if t.r.tale != nil {
		t.started()
	}
	return t.call()
}

// conclude classifies what the handler returned.
func (t *task) conclude(result []byte, stack string, err error) {
	t.end = t.outcome(err, stack, t.r.ctx.free(), result)
}

// call runs the handler and makes a panic an error. Without middleware a typed handler is called with its job alone.
func (t *task) call() (result []byte, stack string, err error) {
	defer func() {
		if p := recover(); p != nil {
			err, stack = fmt.Errorf("panic: %v", p), string(debug.Stack())
		}
	}()
	if t.route.typed != nil {
		result, err = t.route.typed(t)
	} else {
		result, err = t.untyped()
	}
	return result, "", err
}

// untyped calls the handler as middleware wraps it.
func (t *task) untyped() ([]byte, error) {
	job := queue.NewJob(queue.Info{}, queue.Raw{Name: t.e.Kind, Payload: t.e.Args}, t.r.claim.Token)
	t.info(&job.Info)
	ctx := t.r.ctx
	ctx.describe(&job.Info)
	err := t.route.handler(ctx, job)
	return job.Result(), err
}
