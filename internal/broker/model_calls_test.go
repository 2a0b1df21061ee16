package broker_test

import (
	"fmt"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/wire"
)

// Answers of the model are texts, as those of the broker are once rendered (model_render_test.go).

func (w *world) enqueue(stamp broker.Stamp, items []broker.Item, now int64) string {
	field := fmt.Sprint(stamp.Producer, stamp.Lane)
	last := w.producers[field]
	if stamp.Seq == last.seq {
		return last.answer.(string)
	} else if stamp.Seq < last.seq {
		return "STALE"
	}
	letters, head, made, woke := "", w.headDue(), 0, false
	later := false
	for _, it := range items {
		if w.jobs[it.ID] != nil {
			letters += "d"
			continue
		}
		if w.tombs[it.ID] > 0 {
			letters += "x"
			continue
		}
		letters += "c"
		made++
		j := newJob(it)
		w.jobs[it.ID] = j
		due := it.Due.At
		if it.Due.In > 0 {
			due = now + it.Due.In
		}
		if due > now {
			j.at, j.score, later = scheduled, due, true
		} else {
			w.push(j, false)
			woke = true
		}
	}
	if later {
		w.arm(head)
	}
	if woke {
		w.wake(1)
	}
	w.count("enqueued", made)
	w.producers[field] = laneState{stamp.Seq, now, letters}
	return letters
}

func newJob(it broker.Item) *job {
	j := &job{id: it.ID}
	j.become(it.Envelope)
	return j
}

func (j *job) become(envelope []byte) {
	var e wire.Envelope
	if err := e.Decode(envelope); err != nil {
		panic(err)
	}
	j.envelope, j.priority, j.keep = envelope, int(e.Priority), e.Retention
}

// claimedBatch is what an exchange answered, for when its answer is asked for again.
type claimedBatch struct {
	head    string
	refused []int
	session string
	lo, hi  int64
}

func (w *world) exchange(x *broker.Exchange) string {
	if w.lost(x.Session) {
		w.count("refused", len(x.Done)+len(x.Kept))
		return "LOST"
	}
	lane := fmt.Sprint(x.Lane)
	last := w.lane(x.Session, lane)
	if x.Seq < last.seq {
		return "STALE"
	}
	if x.Seq > last.seq {
		batch := &claimedBatch{session: x.Session, refused: w.acknowledge(x)}
		w.claim(x, batch)
		last = laneState{seq: x.Seq, answer: batch}
		w.setLane(x.Session, lane, last)
	}
	return w.renderBatch(last.answer.(*claimedBatch))
}

func (w *world) renderBatch(b *claimedBatch) string {
	out := fmt.Sprintf("%s refused %v", b.head, b.refused)
	for token := b.lo; token <= b.hi; token++ {
		for _, j := range w.runs(b.session) {
			if j.score == token {
				out += fmt.Sprintf(" [%s]", renderJob(j.id, token, j.envelope, claimRecord(recordOf(j))))
			}
		}
	}
	return out
}

// acknowledge answers the places of the claims that are not held.
func (w *world) acknowledge(x *broker.Exchange) (refused []int) {
	for i, c := range x.Done {
		j := w.held(x.Session, c.ID, c.Token)
		if j == nil {
			refused = append(refused, i)
			continue
		}
		w.bury(j)
		w.count("succeeded", 1)
	}
	for i, k := range x.Kept {
		j := w.held(x.Session, k.ID, k.Token)
		if j == nil {
			refused = append(refused, len(x.Done)+i)
			continue
		}
		if len(k.State) > 0 {
			j.record = decoded(k.State)
		}
		j.ensure()
		j.at, j.score, j.session, j.mark, j.result = finished, nowMS()+k.Retention, "", 0, string(k.Result)
		w.count("succeeded", 1)
	}
	w.count("refused", len(refused))
	return refused
}

// claim takes jobs one after the other: at most one suspect, then by priority, as far as they fit.
func (w *world) claim(x *broker.Exchange, b *claimedBatch) {
	var got []*job
	suspect := false
	if x.Want > 0 && !w.paused {
		for x.Suspect && len(w.lists[suspects]) > 0 && !suspect {
			if j := w.pop(suspects); j != nil {
				got, suspect = append(got, j), true
			}
		}
		got = w.takeReady(x, got)
	}
	b.lo = max(w.token+1, nowUS())
	b.hi = b.lo + int64(len(got)) - 1
	for i, j := range got {
		j.at, j.session, j.score = running, x.Session, b.lo+int64(i)
	}
	if len(got) > 0 {
		w.token = b.hi
	}
	left := false
	for p := range 10 {
		left = left || len(w.lists[p]) > 0
	}
	if x.Want > 0 && !w.paused {
		switch {
		case left && len(got) > 0:
			w.wake(2)
		case len(w.lists[suspects]) > 0 && suspect:
			w.wake(1)
		case !left && len(w.lists[suspects]) == 0:
			w.wakes = 0
		}
	}
	b.head = fmt.Sprintf("more false paused %v left %v suspects %d suspect %v", x.Want > 0 && w.paused, left,
		len(w.lists[suspects]), suspect)
}

func (w *world) takeReady(x *broker.Exchange, got []*job) []*job {
	size := 0
	for _, j := range got {
		size += len(j.envelope)
	}
	for p := 9; p >= 0; p-- {
		for len(w.lists[p]) > 0 && len(got) < x.Want {
			first := w.lists[p][0]
			if first.live && len(got) > 0 && size+len(w.jobs[first.id].envelope) > x.Bytes {
				return got
			}
			if j := w.pop(p); j != nil {
				got, size = append(got, j), size+len(j.envelope)
			}
		}
	}
	return got
}

func (w *world) fail(session, lane string, seq uint64, items []broker.Settle) string {
	if w.lost(session) {
		w.count("refused", len(items))
		return "LOST"
	}
	last := w.lane(session, lane)
	if seq < last.seq {
		return "STALE"
	}
	if seq == last.seq {
		return last.answer.(string)
	}
	head, letters := w.headDue(), ""
	var back []*job
	for _, s := range items {
		letters += w.settle(session, s, &back)
	}
	for i := len(back) - 1; i >= 0; i-- {
		w.push(back[i], true)
	}
	if len(back) > 0 {
		w.wake(1)
	}
	w.arm(head)
	w.setLane(session, lane, laneState{seq: seq, answer: letters})
	return letters
}

func (w *world) settle(session string, s broker.Settle, back *[]*job) string {
	j := w.held(session, s.ID, s.Token)
	if j == nil {
		w.count("refused", 1)
		return "x"
	}
	verdict, letter := s.Verdict, "o"
	if j.mark == s.Token && verdict != broker.Cancelled {
		verdict, letter = broker.Cancelled, "c"
	}
	j.mark = 0
	if len(s.State) > 0 {
		old := wire.State{}
		if j.record != nil {
			old = *j.record
		}
		j.record = decoded(s.State)
		if verdict != broker.Retry && verdict != broker.Dead { // else it came back by itself: no crash
			j.record.Crashes = old.Crashes
			j.record.Flags |= old.Flags & wire.Suspect
		}
	}
	switch verdict {
	case broker.Cancelled:
		w.count("cancelled", 1)
		w.retire(j, wire.Cancelled)
	case broker.Expired:
		w.count("expired", 1)
		w.retire(j, wire.Expired)
	case broker.Retry, broker.Snooze:
		j.at, j.score, j.session = scheduled, nowMS()+s.Delay, ""
		w.count(map[broker.Verdict]string{broker.Retry: "failed", broker.Snooze: "snoozed"}[verdict], 1)
	case broker.Dead:
		j.at, j.score, j.session = dead, nowMS(), ""
		w.count("failed", 1)
		w.count("died", 1)
	case broker.Release:
		j.at = "between"
		*back = append(*back, j)
		w.count("released", 1)
	}
	return letter
}

func decoded(raw []byte) *wire.State {
	s := &wire.State{}
	if err := s.Decode(raw); err != nil {
		panic(err)
	}
	return s
}

// recordOf is a job's record as Redis holds it, its generation aside.
func recordOf(j *job) *wire.State {
	if j.record == nil {
		return nil
	}
	s := *j.record
	s.Generation, s.Ghosts = 0, uint8(j.ghosts)
	return &s
}

// claimRecord is a record as far as a claim's answer shows it truly: stale entries may leave in the same call.
func claimRecord(s *wire.State) *wire.State {
	if s != nil {
		s.Generation, s.Ghosts = 0, 0
	}
	return s
}

func renderJob(id uuid.UUID, token int64, envelope []byte, s *wire.State) string {
	text := fmt.Sprintf("%x %d %x", id[15], token, envelope)
	if s != nil {
		text += fmt.Sprintf(" %+v", *s)
	}
	return text
}
