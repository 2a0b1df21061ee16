package broker_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/wire"
)

// said renders an answer, or the error in its place.
func said(err error, answer string) string {
	for word, known := range map[string]error{"LOST": broker.ErrLost, "STALE": broker.ErrStale, "EXPIRED": broker.ErrExpired} {
		if errors.Is(err, known) {
			return word
		}
	}
	if err != nil {
		return "error " + err.Error()
	}
	return answer
}

func renderPulse(p broker.Pulse) string {
	word := said(p.Err, "OK")
	if p.Gone {
		word = "BYE"
	}
	page := ""
	for _, c := range p.Page {
		page += fmt.Sprintf(" %x %d", c.ID[15], c.Token)
	}
	var marks []string
	for _, c := range p.Cancels {
		marks = append(marks, fmt.Sprintf("%x %d", c.ID[15], c.Token))
	}
	slices.Sort(marks)
	slices.Sort(p.Expired)
	return fmt.Sprintf("%s token %d claimable %v paused %v due %d next %d expired %v cancels %v running %d page%s sweep %v",
		word, p.Token, p.Claimable, p.Paused, p.NextDue, p.NextExpiry, p.Expired, marks, p.Running, page, p.Sweep)
}

// outcomes renders what a verb on several jobs answered.
func outcomes(states []broker.State, err error) string {
	words := make([]string, len(states))
	for i, s := range states {
		words[i] = string(s)
	}
	return said(err, strings.Join(words, " "))
}

// known lists the sessions as a verb that is called now reads them.
func (r *runner) known() []string {
	var out []string
	for s := range r.w.sessions {
		out = append(out, s)
	}
	return out
}

// verb carries out what operators and timers do.
func (r *runner) verb(s step) {
	id, until, read := modelID(s.N[0]), nowMS()+5000, r.known()
	list := []uuid.UUID{id, modelID(s.N[1]), modelID(s.N[2])}[:1+s.pick(3, 3)]
	switch s.Do {
	case "promote":
		r.both(s.Lost, s.Do, func() string {
			p, err := r.b.Promote(r.ctx, r.q)
			return said(err, fmt.Sprint(p.Moved, p.Next))
		}, r.w.promote)
	case "sweep":
		r.both(s.Lost, s.Do, func() string {
			f, d, next, err := r.b.Sweep(r.ctx, r.q, "0")
			return said(err, fmt.Sprint(f, d, next))
		}, r.w.sweep)
	case "nudge":
		r.both(s.Lost, s.Do, func() string { return said(r.b.Nudge(r.ctx, r.q), "") }, r.w.nudge)
	case "cancel":
		r.both(s.Lost, s.Do, func() string {
			return outcomes(r.b.Cancel(r.ctx, r.q, list))
		}, func() string {
			return r.w.several(list, func(id uuid.UUID) string { return r.w.cancel(id, until, read) })
		})
	case "delete":
		r.both(s.Lost, s.Do, func() string {
			return outcomes(r.b.Delete(r.ctx, r.q, list))
		}, func() string {
			return r.w.several(list, func(id uuid.UUID) string { return r.w.delete(id, until, read) })
		})
	case "edit":
		r.edit(s, id, until, read)
	case "redrive":
		list := []uuid.UUID{id, modelID(s.N[1])}
		if dead := r.w.in(dead); len(dead) > 0 {
			list = append(list, dead[s.pick(2, len(dead))].id)
		}
		r.both(s.Lost, s.Do, func() string {
			out, err := r.b.Redrive(r.ctx, r.q, list)
			letters := ""
			for _, o := range out {
				letters += string(rune(o))
			}
			return said(err, letters)
		}, func() string { return r.w.redrive(list, until) })
	case "pause", "resume":
		r.both(s.Lost, s.Do, func() string {
			changed, err := r.b.Pause(r.ctx, r.q, s.Do == "pause")
			return said(err, fmt.Sprint(changed))
		}, func() string { return r.w.pause(s.Do == "pause", until) })
	case "purge":
		state := []string{"ready", "scheduled", "dead", "finished"}[s.pick(0, 4)]
		r.both(s.Lost, s.Do, func() string {
			gone, more, err := r.b.Purge(r.ctx, r.q, state)
			return said(err, fmt.Sprint(gone, more))
		}, func() string { return r.w.purge(state, until) })
	case "look":
		r.look(id)
	}
}

func (r *runner) edit(s step, id uuid.UUID, until int64, read []string) {
	old := modelEnvelope(s.N[0], 0, 0)
	if j := r.w.jobs[id]; j != nil && s.pick(1, 9) > 0 {
		old = j.envelope
	}
	var envelope []byte
	if s.pick(2, 4) > 0 {
		envelope = modelEnvelope(s.N[0], priorities[s.pick(3, len(priorities))], s.N[4])
	}
	var due *broker.Due
	if s.pick(1, 2) == 0 {
		d := s.due(5, nowMS(), 0)
		due = &d
	}
	r.both(s.Lost, "edit", func() string {
		word, err := r.b.Edit(r.ctx, r.q, id, old, envelope, due)
		return said(err, string(word))
	}, func() string { return r.w.edit(id, old, envelope, due, until, read) })
}

// look reads one job and the counts.
func (r *runner) look(id uuid.UUID) {
	r.both(false, "get", func() string {
		f, err := r.b.Get(r.ctx, r.q, id)
		if err != nil || f.State == broker.StateUnknown {
			return said(err, string(f.State))
		}
		var record *wire.State
		if len(f.Record) > 0 {
			record = decoded(f.Record)
			record.Generation = 0
		}
		return fmt.Sprintf("%s %d %s %d %q %s", f.State, f.Score, f.Session, f.Cancel, f.Result, renderJob(id, 0, f.Envelope, record))
	}, func() string { return r.w.get(id) })
	r.both(false, "counts", func() string {
		c, err := r.b.Counts(r.ctx, r.q)
		for name, n := range c.Totals {
			if n != r.w.counters[name] {
				r.fail("total of %s is %d, should be %d", name, n, r.w.counters[name])
			}
		}
		return said(err, fmt.Sprint(c.Ready, c.Scheduled, c.Running, c.Dead, c.Finished, c.Suspects, c.Paused))
	}, r.w.counts)
	for _, state := range []broker.State{broker.StateReady, broker.StateSuspect, broker.StateScheduled, broker.StateRunning,
		broker.StateDead, broker.StateFinished} {
		r.both(false, "list "+string(state), func() string { return r.list(state, 1+int(id[15])%7) }, func() string { return r.w.listing(state) })
	}
}

// list reads a state in pages of some size.
func (r *runner) list(state broker.State, count int) string {
	out, from := "", broker.Place{}
	if state == broker.StateReady {
		from.Priority = wire.MaxPriority
	}
	for range 1000 {
		page, err := r.b.List(r.ctx, r.q, state, count, from)
		if err != nil {
			return said(err, "")
		}
		for _, j := range page.Jobs {
			out += fmt.Sprintf(" %x@%d", j.ID[15], j.Score)
		}
		if from = page.Next; page.Done {
			return out
		}
	}
	return "no end"
}
