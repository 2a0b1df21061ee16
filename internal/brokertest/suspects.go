package brokertest

import (
	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/wire"
)

// suspects makes jobs from..to suspects: two sessions crash while they run.
func (e *env) suspects(from, to int) {
	e.Helper()
	e.add(from, to)
	e.register("keeper")
	for _, session := range []string{"crash1-" + uuid.NewString(), "crash2-" + uuid.NewString()} {
		e.register(session)
		x := e.call(session, 250)
		x.Suspect = true
		e.equal("claimed", len(e.exchange(x).Jobs), to-from+1)
		e.expire(session)
		_, sum := e.recoverAll(session)
		e.equal("moved", sum.Moved, to-from+1)
	}
}

func (e *env) callSuspect(session string, want int) *broker.Exchange {
	x := e.call(session, want)
	x.Suspect = true
	return x
}

var suspectCases = []testCase{
	{"suspects/one at a time", func(e *env) {
		e.suspects(1, 3)
		e.equal("suspects", e.counts(3, 0, 0, 0, 0).Suspects, int64(3))
		e.add(4, 5)
		e.register("s")
		e.claimed(e.claim("s", 1), id(4)) // not asked for
		out := e.exchange(e.callSuspect("s", 5))
		e.claimed(out.Jobs, id(1), id(5))
		e.equal("suspect first", out.Suspect, true)
		e.equal("suspects left", out.Suspects, 2)
		var record wire.State
		e.must(record.Decode(out.Jobs[0].State))
		e.equal("record", record, wire.State{Flags: wire.Suspect, Crashes: 2})
		out = e.exchange(e.callSuspect("s", 5))
		e.claimed(out.Jobs, id(2))
		e.ack("s", out.Jobs)
		e.claimed(e.exchange(e.callSuspect("s", 1)).Jobs, id(3))
		e.equal("suspect", e.exchange(e.callSuspect("s", 1)).Suspect, false)
	}},
	{"suspects/the first one waits for none that comes later", func(e *env) {
		e.suspects(1, 2)
		e.add(3, 4)
		e.register("s", "a", "b")
		for _, session := range []string{"a", "b"} {
			e.claimed(e.claim(session, 2), id(3), id(4))
			e.expire(session)
			e.recoverAll(session)
		}
		for n := range 4 {
			job := e.exchange(e.callSuspect("s", 1)).Jobs
			e.claimed(job, id(n+1))
			e.ack("s", job)
		}
	}},
	{"suspects/replayed with their mark", func(e *env) {
		e.suspects(1, 2)
		e.add(3, 3)
		e.register("s")
		x := e.callSuspect("s", 2)
		first := e.exchange(x)
		e.claimed(first.Jobs, id(1), id(3))
		again := e.exchange(x)
		again.NowUS = first.NowUS
		e.equal("answer", again, first)
	}},
	{"suspects/released and snoozed they stay so", func(e *env) {
		e.suspects(1, 2)
		e.register("s")
		job := e.exchange(e.callSuspect("s", 1)).Jobs
		e.settle("s", "o", settles(job, broker.Release, 0)...)
		e.equal("suspects", e.counts(2, 0, 0, 0, 0).Suspects, int64(2))
		job = e.exchange(e.callSuspect("s", 1)).Jobs
		e.claimed(job, id(1)) // it went back to the front
		record, brief := stateBytes(wire.State{Snoozes: 1})
		e.settle("s", "o", broker.Settle{Claim: job[0].Claim, Verdict: broker.Snooze, Delay: 1000, State: record, Brief: brief})
		e.counts(1, 1, 0, 0, 0)
		e.equal("record", e.record(1), wire.State{Flags: wire.Suspect, Crashes: 2, Snoozes: 1})
		e.due()
		_, err := e.b.Promote(e.ctx, e.q)
		e.must(err)
		e.equal("suspects", e.counts(2, 0, 0, 0, 0).Suspects, int64(2))
	}},
	{"suspects/one that fails by itself is cleared", func(e *env) {
		e.suspects(1, 1)
		e.register("s")
		job := e.exchange(e.callSuspect("s", 1)).Jobs
		record, brief := stateBytes(wire.State{Flags: wire.Suspect, Crashes: 2, Attempts: 1})
		e.settle("s", "o", broker.Settle{Claim: job[0].Claim, Verdict: broker.Retry, Delay: 1000, State: record, Brief: brief})
		e.equal("record", e.record(1), wire.State{Attempts: 1})
		e.due()
		_, err := e.b.Promote(e.ctx, e.q)
		e.must(err)
		e.claimed(e.claim("s", 1), id(1))
	}},
	{"suspects/ghosts among them are counted apart", func(e *env) {
		e.suspects(1, 3)
		e.add(4, 5)
		e.verb(e.b.Cancel, 1, broker.StateCancelled, "")
		e.verb(e.b.Delete, 4, broker.StateDeleted, "")
		e.equal("suspects", e.counts(3, 0, 0, 0, 0).Suspects, int64(2))
		e.register("s")
		out := e.exchange(e.callSuspect("s", 5))
		e.claimed(out.Jobs, id(2), id(5))
		e.equal("suspects", e.counts(1, 0, 2, 0, 0).Suspects, int64(1))
		e.equal("ghosts", e.meta("ghosts")+e.meta("suspect_ghosts"), "00")
	}},
	{"suspects/third crash is the last", func(e *env) {
		e.suspects(1, 2)
		e.register("s")
		e.claimed(e.exchange(e.callSuspect("s", 5)).Jobs, id(1))
		e.expire("s")
		_, sum := e.recoverAll("s")
		e.equal("recovery", sum, broker.Recovery{Moved: 1, Dead: 1})
		e.counts(1, 0, 0, 1, 0)
		e.equal("record", e.record(1), wire.State{Flags: wire.Crashed, Crashes: 3})
		e.total("died", 1)
	}},
}
