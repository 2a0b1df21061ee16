package broker_test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/wire"
)

func (w *world) promote() string {
	moved := 0
	for _, j := range w.in(scheduled) {
		if j.score <= nowMS() {
			w.push(j, false)
			moved++
		}
	}
	if moved > 0 {
		w.wake(1)
	}
	return fmt.Sprint(moved, w.headDue())
}

func (w *world) heartbeat(b broker.Beat) string {
	now := nowMS()
	if b.Mode != broker.Bye {
		steady := w.beat > 0 && now >= w.beat && now-w.beat <= modelTTL/2
		if !steady && (w.beat > 0 || len(w.sessions) > 0) {
			w.guard = now + max(modelTTL, 5000)
			for s, expiry := range w.sessions {
				w.sessions[s] = min(expiry, now+modelTTL)
			}
		}
		w.beat = now
	}
	word := w.keep(b, now)
	if b.Mode != broker.Keep && w.headDue() != 0 && w.dues == 0 {
		w.dues = 1
	}
	claimable := false
	for _, list := range w.lists {
		claimable = claimable || len(list) > 0
	}
	expired, next := w.lapsed(b.Session, now)
	size, page := 0, ""
	mine := w.runs(b.Session)
	for _, j := range mine {
		if b.To > 0 && j.score <= b.To {
			size++
			if j.score > b.From {
				page += fmt.Sprintf(" %x %d", j.id[15], j.score)
			}
		}
	}
	var marks []string
	if len(mine) > 0 {
		for _, j := range w.jobs {
			if j.mark != 0 {
				marks = append(marks, fmt.Sprintf("%x %d", j.id[15], j.mark))
			}
		}
	}
	slices.Sort(marks)
	sweep := false
	for _, j := range w.jobs {
		sweep = sweep || j.at == finished && j.score <= now || j.at == dead && j.score <= now-keepDead
	}
	return fmt.Sprintf("%s token %d claimable %v paused %v due %d next %d expired %v cancels %v running %d page%s sweep %v",
		word, w.token, claimable, w.paused, w.headDue(), next, expired, marks, size, page, sweep)
}

func (w *world) keep(b broker.Beat, now int64) string {
	expiry, known := w.sessions[b.Session]
	switch {
	case b.Mode == broker.Bye && known && expiry >= 0 && len(w.runs(b.Session)) == 0:
		delete(w.sessions, b.Session)
		delete(w.lanes, b.Session)
		return "BYE"
	case b.Mode == broker.Bye && !known:
		return "BYE"
	case b.Mode == broker.Bye:
		return "OK"
	case known && expiry < 0 || !known && b.Mode == broker.Keep:
		return "LOST"
	}
	w.sessions[b.Session] = now + modelTTL
	return "OK"
}

// lapsed lists the sessions to recover, and when another one may be.
func (w *world) lapsed(own string, now int64) (expired []string, next int64) {
	if now < w.guard {
		return nil, w.guard
	}
	for s, expiry := range w.sessions {
		if expiry <= now {
			expired = append(expired, s)
		} else if s != own && (next == 0 || expiry < next) {
			next = expiry
		}
	}
	slices.Sort(expired)
	return expired, next
}

func (w *world) recover(session string) string {
	now := nowMS()
	if now-w.beat > modelTTL/2 || now < w.guard {
		return "WAIT"
	}
	expiry, known := w.sessions[session]
	if !known || expiry > now {
		return "DONE 0 0 0"
	}
	mine := w.runs(session)
	suspected, died := 0, 0
	var wary []*job // they go behind other suspects
	for i := len(mine) - 1; i >= 0; i-- {
		j := mine[i]
		if j.mark != 0 {
			w.count("cancelled", 1)
			w.retire(j, wire.Cancelled)
			continue
		}
		r := j.ensure()
		switch r.Crashes++; {
		case r.Crashes >= modelLimit:
			r.Flags = r.Flags&^wire.Suspect | wire.Crashed
			j.at, j.score, j.session = dead, now, ""
			died++
			continue
		case r.Crashes == modelLimit-1:
			r.Flags |= wire.Suspect
			suspected++
		}
		if r.Flags&wire.Suspect != 0 {
			wary = append(wary, j)
			continue
		}
		w.push(j, true)
	}
	for _, j := range slices.Backward(wary) {
		w.push(j, false)
	}
	w.count("recovered", len(mine))
	w.count("died", died)
	if len(mine) > 0 {
		w.wake(1)
	}
	delete(w.sessions, session)
	delete(w.lanes, session)
	return fmt.Sprintf("DONE %d %d %d", len(mine), suspected, died)
}

// several carries a verb out on each of several jobs. The timer hears once of what came of it all.
func (w *world) several(ids []uuid.UUID, verb func(uuid.UUID) string) string {
	words, head := make([]string, len(ids)), w.headDue()
	for i := range ids {
		if words[i] = verb(ids[i]); words[i] == "EXPIRED" || words[i] == "CHANGED" {
			return words[i]
		}
	}
	w.arm(head)
	return strings.Join(words, " ")
}

func (w *world) cancel(id uuid.UUID, until int64, read []string) string {
	j := w.jobs[id]
	switch {
	case nowMS() > until:
		return "EXPIRED"
	case !w.covered(read):
		return "CHANGED"
	case j == nil:
		return "UNKNOWN"
	case j.at == dead || j.at == finished:
		return string(j.at)
	case j.at == running:
		j.mark = j.score
		return "RUNNING"
	case j.at == ready:
		w.abandon(j)
	}
	w.retire(j, wire.Cancelled)
	w.count("cancelled", 1)
	return "CANCELLED"
}

func (w *world) delete(id uuid.UUID, until int64, read []string) string {
	j := w.jobs[id]
	switch {
	case nowMS() > until:
		return "EXPIRED"
	case !w.covered(read):
		return "CHANGED"
	case j == nil:
		return "UNKNOWN"
	case j.at == running:
		return "RUNNING"
	case j.at == ready:
		w.abandon(j)
	}
	w.bury(j)
	w.count("deleted", 1)
	return "DELETED"
}

func (w *world) edit(id uuid.UUID, old, envelope []byte, due *broker.Due, until int64, read []string) string {
	j, now := w.jobs[id], nowMS()
	switch {
	case now > until:
		return "EXPIRED"
	case j == nil:
		return "UNKNOWN"
	case string(j.envelope) != string(old):
		return "CONFLICT"
	case j.at == finished:
		return "FINISHED"
	case j.at == dead && due != nil:
		return "DEAD"
	case !w.covered(read):
		return "CHANGED"
	case j.at == running:
		return "RUNNING"
	}
	was, head, when := j.priority, w.headDue(), int64(-1)
	if due != nil {
		if when = due.At; due.In > 0 {
			when = now + due.In
		}
	}
	moves := j.at == scheduled && when >= 0
	if j.at == ready && (when > now || len(envelope) > 0 && prioOf(envelope) != was) {
		w.abandon(j)
		moves = true
	}
	if len(envelope) > 0 {
		j.become(envelope)
	}
	if j.at == dead || !moves {
		return "EDITED"
	}
	if when > now {
		j.at, j.score = scheduled, when
	} else {
		w.push(j, false)
		w.wake(1)
	}
	w.arm(head)
	return "EDITED"
}

func (w *world) redrive(ids []uuid.UUID, until int64) string {
	if nowMS() > until {
		return "EXPIRED"
	}
	letters := ""
	for _, id := range ids {
		switch j := w.jobs[id]; {
		case j == nil:
			letters += "u"
		case j.at != dead:
			letters += "n"
		default:
			letters += "o"
			r := j.ensure()
			r.Flags, r.Crashes, r.Attempts = 0, 0, 0
			w.push(j, false)
			w.count("redriven", 1)
			w.wake(1)
		}
	}
	return letters
}

func (w *world) pause(pause bool, until int64) string {
	if nowMS() > until {
		return "EXPIRED"
	}
	changed := w.paused != pause
	if w.paused = pause; pause {
		w.wakes = 0
	} else {
		w.wake(1)
	}
	return fmt.Sprint(changed)
}
