package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tidemill/tidemill/internal/loop"
	"github.com/tidemill/tidemill/queue"
)

// drain ends the work in order: nothing is claimed any more and what was fetched ahead goes back; handlers finish, within
// Config.Drain; then their contexts end; what they came to is told to Redis; the sessions end. The steps after the
// handlers' time have Config.Settle together, also when Redis does not answer.
func (w *Worker) drain(plumbing context.Context, lanes, intake *errgroup.Group) error {
	w.mu.Lock()
	within, settle := w.config.Drain, w.config.Settle
	w.stopping = true
	w.giveBackLocked(func(*run) bool { return true })
	left := w.running
	if w.executors == 0 {
		w.drained.Set()
	}
	w.mu.Unlock()
	w.nudgeLane()
	w.announcer.tell()
	w.log.Info().Int("running", left).Dur("within", within).Msg("worker stops: waiting for running jobs")

	done := w.awaitHandlers(plumbing, within)
	ctx, cancel := context.WithTimeout(plumbing, settle)
	defer cancel()
	var err error
	if !done {
		err = w.cutHandlers(min(settle/2, 2*time.Second))
	}
	if w.flush(ctx, lanes, intake) {
		w.keeper.goodbye(ctx)
		w.announcer.leave(ctx)
	}
	w.mu.Lock()
	untold := w.untoldLocked()
	w.mu.Unlock()
	if untold > 0 {
		err = errors.Join(err, fmt.Errorf("%w: %d jobs", ErrUntold, untold))
	}
	if w.config.ExitWhenEmpty {
		err = errors.Join(err, w.unserved())
	}
	if err != nil {
		w.log.Error().Err(err).Msg("worker stopped")
	} else {
		w.log.Info().Msg("worker stopped")
	}
	return err
}

// awaitHandlers waits for the handlers, false when their time is over.
func (w *Worker) awaitHandlers(plumbing context.Context, within time.Duration) bool {
	limit := time.NewTimer(within)
	defer limit.Stop()
	select {
	case <-w.drained.C():
		return true
	case <-limit.C:
	case <-w.aborted:
	case <-plumbing.Done():
	}
	return false
}

// cutHandlers ends the handlers' contexts and gives those up that have not returned after the grace.
func (w *Worker) cutHandlers(within time.Duration) error {
	w.mu.Lock()
	cut := w.running
	for _, c := range w.consumers {
		c.each(func(r *run) {
			if r.phase == started {
				r.ctx.end(queue.ErrDraining)
			}
		})
	}
	w.mu.Unlock()
	if cut == 0 {
		return nil
	}
	w.log.Warn().Int("running", cut).Msg("worker stops: running jobs are told to end")
	// Well-behaved handlers return at once; the others must not hold the process up.
	grace := time.NewTimer(within)
	defer grace.Stop()
	select {
	case <-w.drained.C():
	case <-grace.C:
		w.mu.Lock()
		stuck := w.abandonLocked()
		w.mu.Unlock()
		w.log.Error().Int("stuck", stuck).Msg("handlers ignored the end of their context: their jobs go back while they still run")
	}
	return ErrDrainTimeout
}

// abandonLocked releases the jobs of handlers that did not return: the process is about to end.
func (w *Worker) abandonLocked() int {
	stuck := 0
	for _, c := range w.consumers {
		c.each(func(r *run) {
			if r.phase == started && !r.lost {
				stuck++
				r.lost = true // what the handler may still return is not heard
				w.releaseStuckLocked(r)
			}
		})
	}
	return stuck
}

// flush waits until every outcome was told to Redis, false when ctx ends before.
func (w *Worker) flush(ctx context.Context, lanes, intake *errgroup.Group) bool {
	w.mu.Lock()
	w.closing = true
	w.mu.Unlock()
	w.nudgeLane()
	// The lanes first: what a call under way still claims has to go back.
	if !waitAll(ctx, lanes, intake) {
		return false
	}
	for {
		w.mu.Lock()
		unpaid := w.unpaidLocked()
		w.mu.Unlock()
		if unpaid == 0 {
			return true
		}
		if loop.Sleep(ctx, 2*time.Millisecond) != nil {
			return false
		}
	}
}

// untoldLocked counts the jobs whose outcome Redis has not confirmed.
func (w *Worker) untoldLocked() int {
	n := 0
	for _, c := range w.consumers {
		c.each(func(r *run) {
			if r.phase == settling {
				n++
			}
		})
	}
	return n
}
