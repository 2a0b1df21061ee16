package worker

import "time"

// stuckLocked reports handlers that ignore the end of their context, once each. They keep their slot.
func (w *Worker) stuckLocked() {
	w.stuck = 0
	tell := func(r *run) {
		if r.phase != started {
			return
		}
		if r.told {
			w.stuck++
			return
		}
		if at, cause := r.ctx.over(); cause != nil && time.Since(at) >= w.config.StuckAfter {
			r.told = true
			w.stuck++
			w.log.Error().Str("queue", r.c.name).Stringer("job_id", r.claim.ID).AnErr("cause", cause).
				Dur("for", time.Since(at)).Msg("handler is stuck: it ignores its ended context and keeps its slot")
		}
	}
	for _, c := range w.consumers {
		c.each(func(r *run) {
			if !r.lost { // else it is among the zombies
				tell(r)
			}
		})
	}
	for _, r := range w.zombies {
		tell(r)
	}
}
