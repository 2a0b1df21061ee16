package broker_test

import (
	"fmt"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/wire"
)

func (w *world) purge(state string, until int64) string {
	if nowMS() > until {
		return "EXPIRED"
	}
	gone := 0
	if state == "ready" {
		var all []*job
		for at := range w.lists {
			for len(w.lists[at]) > 0 {
				if j := w.pop(at); j != nil {
					all = append(all, j)
				}
			}
		}
		for _, j := range all {
			w.bury(j)
			gone++
		}
	} else {
		at, head := map[string]place{"scheduled": scheduled, "dead": dead, "finished": finished}[state], w.headDue()
		for _, j := range w.in(at) {
			w.bury(j)
			gone++
		}
		w.arm(head)
	}
	w.count("deleted", gone)
	return fmt.Sprint(gone, false)
}

func (w *world) sweep() string {
	now, f, d := nowMS(), 0, 0
	for _, j := range w.in(finished) {
		if j.score <= now {
			w.bury(j)
			f++
		}
	}
	for _, j := range w.in(dead) {
		if j.score <= now-keepDead {
			w.bury(j)
			d++
		}
	}
	w.count("dead_purged", d)
	for field, s := range w.producers {
		if now-s.at > stampFor {
			delete(w.producers, field)
		}
	}
	return fmt.Sprint(f, d, "0")
}

func (w *world) nudge() string {
	for _, list := range w.lists {
		if len(list) > 0 {
			w.wake(1)
		}
	}
	return ""
}

// stale counts the stale entries: all, and those among the suspects.
func (w *world) stale() (all, suspected int) {
	for at, list := range w.lists {
		for _, e := range list {
			if !e.live {
				all++
				if at == suspects {
					suspected++
				}
			}
		}
	}
	return all, suspected
}

// counts renders what broker.Counts should say.
func (w *world) counts() string {
	ghosts, among := w.stale()
	length := 0
	for _, list := range w.lists {
		length += len(list)
	}
	return fmt.Sprint(length-ghosts, len(w.in(scheduled)), len(w.in(running)), len(w.in(dead)), len(w.in(finished)),
		len(w.lists[suspects])-among, w.paused)
}

// listing renders the jobs of a state in the order in which broker.List should answer them.
func (w *world) listing(state broker.State) string {
	out := ""
	if state == broker.StateReady || state == broker.StateSuspect {
		from, to := wire.MaxPriority, 0
		if state == broker.StateSuspect {
			from, to = suspects, suspects
		}
		for at := from; at >= to; at-- {
			for _, e := range w.lists[at] {
				if e.live {
					out += fmt.Sprintf(" %x@0", e.id[15])
				}
			}
		}
		return out
	}
	for _, j := range w.in(place(state)) {
		out += fmt.Sprintf(" %x@%d", j.id[15], j.score)
	}
	return out
}

// get renders what broker.Get should say.
func (w *world) get(id uuid.UUID) string {
	j := w.jobs[id]
	if j == nil {
		return "UNKNOWN"
	}
	return fmt.Sprintf("%s %d %s %d %q %s", j.at, j.score, j.session, j.mark, j.result, renderJob(id, 0, j.envelope, recordOf(j)))
}
