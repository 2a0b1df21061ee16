package broker_test

import (
	"fmt"
	"slices"
	"time"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/wire"
)

// choose takes some of the worker's claims, and sometimes one that it must not have any more, or a made-up one.
func (r *runner) choose(s step, k *sender) []broker.Claim {
	var out []broker.Claim
	mask := s.N[1]
	if mask > 200 {
		mask = 255 // all of them: long runs of tokens
	}
	for i, c := range k.held {
		if mask>>(i%8)&1 == 1 {
			out = append(out, c)
		}
	}
	if s.pick(5, 3) == 0 && len(r.old) > 0 {
		stale := r.old[s.pick(2, len(r.old))]
		for _, c := range r.old { // best one whose id the worker holds again
			if i := slices.IndexFunc(k.held, func(h broker.Claim) bool { return h.ID == c.ID }); i >= 0 && s.pick(2, 3) > 0 {
				stale = c
			}
		}
		out = append(slices.DeleteFunc(out, func(c broker.Claim) bool { return c.ID == stale.ID }), stale)
	}
	if s.pick(5, 7) == 1 {
		out = append(out, broker.Claim{ID: modelID(s.N[2]), Token: r.w.token - int64(s.pick(3, 4))})
	}
	// The same claim twice in one call is no call that a worker makes.
	slices.SortFunc(out, func(a, b broker.Claim) int { return slices.Compare(a.ID[:], b.ID[:]) })
	out = slices.CompactFunc(out, func(a, b broker.Claim) bool { return a.ID == b.ID })
	slices.SortFunc(out, func(a, b broker.Claim) int { return int(max(-1, min(1, a.Token-b.Token))) })
	return out
}

// dropHeld strikes claims off what the worker holds: it sent them away, whatever came of it.
func (r *runner) dropHeld(k *sender, sent []broker.Claim) {
	k.held = slices.DeleteFunc(k.held, func(c broker.Claim) bool {
		if slices.Contains(sent, c) {
			r.old = append(r.old, c)
			return true
		}
		return false
	})
}

// busy is a worker that holds claims, if there is one.
func (r *runner) busy(s step) *sender {
	at := s.pick(0, modelWorkers)
	for i := range r.workers {
		if k := r.workers[(at+i)%modelWorkers]; len(k.held) > 0 {
			return k
		}
	}
	return r.workers[at]
}

func (k *sender) next(lane string, gap bool) uint64 {
	k.seqs[lane]++
	if gap {
		k.seqs[lane] += 5
	}
	return k.seqs[lane]
}

func (r *runner) exchange(s step) {
	at := s.pick(0, modelWorkers)
	if !r.workers[at].registered && s.pick(5, 8) > 0 {
		r.beat(step{Do: "beat", N: s.N}, at)
	}
	k := r.workers[at]
	if s.N[1]%2 == 1 {
		k = r.busy(s)
	}
	lane := s.pick(3, 2)
	x := &broker.Exchange{Queue: r.q, Session: k.session, Lane: lane, Seq: k.next(fmt.Sprint("x", lane), s.N[4]%16 == 0),
		Want: []int{0, 1, 2, 3, 5, 14}[s.pick(2, 6)], Bytes: []int{1, 70, 120, 1 << 20, 1 << 20}[s.pick(4, 5)],
		First: 1 + s.pick(3, 4), Suspect: s.pick(4, 3) > 0, Widen: s.N[5] % 8}
	sent := r.choose(s, k)
	for i, c := range sent {
		if s.N[5] < 128 && (s.N[5]+i)%4 == 0 {
			kept := broker.Kept{Claim: c, Retention: int64(2000 + 1000*i), Result: []byte(fmt.Sprint("r", i))}
			if i%2 == 0 {
				state := wire.State{Attempts: uint16(s.N[3]), FinishedAt: nowMS()}
				kept.State, _ = state.Append(nil)
			}
			x.Kept = append(x.Kept, kept)
		} else {
			x.Done = append(x.Done, c)
		}
	}
	r.dropHeld(k, sent)
	before, found := r.tokens, int64(0)
	answer := r.both(s.Lost, "exchange", func() string {
		out, errs := r.b.Exchange(r.ctx, []*broker.Exchange{x})
		if errs[0] != nil {
			return said(errs[0], "")
		}
		text := fmt.Sprintf("more %v paused %v left %v suspects %d suspect %v refused %v", out[0].More, out[0].Paused, out[0].Left,
			out[0].Suspects, out[0].Suspect, out[0].Refused)
		for _, j := range out[0].Jobs {
			var record *wire.State
			if len(j.State) > 0 {
				record = claimRecord(decoded(j.State))
			}
			text += fmt.Sprintf(" [%s]", renderJob(j.ID, j.Token, j.Envelope, record))
			if found = j.Token; !slices.Contains(k.held, j.Claim) {
				k.held = append(k.held, j.Claim)
			}
			if j.Token <= before {
				r.fail("token %d after %d", j.Token, before)
			}
		}
		return text
	}, func() string { return r.w.exchange(x) })
	r.tokens = max(before, found)
	if answer == "LOST" && k.registered {
		k.registered = false
	}
}

func (r *runner) settle(s step) {
	k := r.busy(s)
	sent := r.choose(s, k)
	if len(sent) == 0 {
		return
	}
	var items []broker.Settle
	for i, c := range sent {
		items = append(items, s.settle(c, i))
	}
	seq := k.next("f", s.N[3]%16 == 0)
	r.dropHeld(k, sent)
	r.both(s.Lost, "fail", func() string {
		out, err := r.b.Fail(r.ctx, r.q, k.session, 0, seq, items)
		letters := ""
		for _, o := range out {
			letters += string(rune(o))
		}
		return said(err, letters)
	}, func() string { return r.w.fail(k.session, "f0", seq, items) })
}

// beat sends a worker's heartbeat, with the page of what it was told to be running.
func (r *runner) beat(s step, i int) {
	k := r.workers[i]
	b := broker.Beat{Queue: r.q, Session: k.session, Mode: broker.Keep}
	switch {
	case s.Do == "bye":
		b.Mode = broker.Bye
	case !k.registered:
		b.Mode = broker.Register
	}
	if b.To = k.told; s.pick(1, 2) == 0 && len(k.held) > 0 {
		b.From = k.held[0].Token
	}
	var pulse broker.Pulse
	answer := r.both(s.Lost, "heartbeat", func() string {
		_, pulses, err := r.b.Heartbeat(r.ctx, time.Duration(modelTTL)*time.Millisecond, []broker.Beat{b})
		if err != nil {
			return said(err, "")
		}
		pulse = pulses[0]
		return renderPulse(pulse)
	}, func() string { return r.w.heartbeat(b) })
	k.told = pulse.Token
	r.expired = pulse.Expired
	switch {
	case answer[:4] == "LOST" || pulse.Gone:
		r.renew(i)
	case b.Mode == broker.Register:
		k.registered = true
	}
}

func (r *runner) recover(s step) {
	session := r.workers[s.pick(0, modelWorkers)].session
	if len(r.expired) > 0 && s.pick(1, 4) > 0 {
		session = r.expired[s.pick(2, len(r.expired))]
	}
	r.recoverOne(s, session)
}

func (r *runner) recoverOne(s step, session string) {
	r.both(s.Lost, "recover", func() string {
		out, err := r.b.Recover(r.ctx, r.q, session, time.Duration(modelTTL)*time.Millisecond, modelLimit, false)
		switch {
		case err != nil:
			return said(err, "")
		case out.Wait:
			return "WAIT"
		case out.More:
			return "MORE"
		}
		return fmt.Sprintf("DONE %d %d %d", out.Moved, out.Suspects, out.Dead)
	}, func() string { return r.w.recover(session) })
}

// rush brings many jobs at once, which one worker claims together and acknowledges together: long runs of tokens. In
// between one of them may end otherwise, which the worker may have forgotten.
func (r *runner) rush(s step) {
	at := s.pick(0, modelWorkers)
	r.enqueue(step{N: [6]int{11, s.N[1], 1, 0, s.N[4], 240}})
	r.exchange(step{N: [6]int{at, 0, 5, s.N[3], 4, 1}})
	if k := r.workers[at]; s.pick(1, 2) == 0 && r.bad == "" {
		held := slices.Clone(k.held)
		r.settle(step{N: [6]int{at, 1 << s.pick(3, 8), s.N[2], s.N[3], s.N[4], 2}})
		if s.pick(2, 2) == 0 && k == r.workers[at] {
			k.held = held
		}
	}
	r.exchange(step{N: [6]int{at, 254, 1, s.N[3], 4, 128 + 8}, Lost: s.Lost})
}

// lapse lets one worker claim and fall silent until its session is over, while the others go on, and recovers it.
func (r *runner) lapse(s step) {
	silent := s.pick(0, modelWorkers)
	r.exchange(step{N: [6]int{silent, 0, 4, s.N[3], s.N[4]/3*3 + 1, 1}})
	session := r.workers[silent].session
	if held := r.workers[silent].held; s.pick(5, 3) == 0 && len(held) > 0 {
		r.verb(step{Do: "cancel", N: [6]int{int(held[0].ID[15]) - 1}})
	}
	for range 4 {
		for i := range r.workers {
			if i != silent && r.bad == "" {
				r.beat(step{Do: "beat", N: s.N}, i)
			}
		}
		time.Sleep(2 * time.Second)
	}
	r.beat(step{Do: "beat"}, (silent+1)%modelWorkers)
	r.recoverOne(s, session)
	if s.pick(1, 2) == 0 {
		r.renew(silent) // it was killed; else it was only stopped, and goes on to find out
	}
}
