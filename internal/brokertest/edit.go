package brokertest

import (
	"strings"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/wire"
)

// edit changes a job as it stands and holds the answer against want.
func (e *env) edit(n int, next []byte, due *broker.Due, want broker.State) {
	e.Helper()
	f, err := e.b.Get(e.ctx, e.q, id(n))
	e.must(err)
	word, err := e.b.Edit(e.ctx, e.q, id(n), f.Envelope, next, due)
	e.must(err)
	e.equal("edit", word, want)
}

var editCases = []testCase{
	{"edit/in place", func(e *env) {
		e.inEachState()
		for _, n := range []int{1, 2, 4} {
			e.edit(n, envelope(100+n, 0), nil, broker.StateEdited)
		}
		e.edit(3, envelope(103, 0), nil, broker.StateRunning)
		e.edit(5, envelope(105, 0), nil, broker.StateFinished)
		e.edit(6, envelope(106, 0), nil, broker.StateUnknown)
		e.counts(1, 1, 1, 1, 1)
		e.equal("ghosts", e.meta("ghosts"), "")
		for n, want := range map[int]broker.State{1: broker.StateReady, 2: broker.StateScheduled, 4: broker.StateDead} {
			e.equal("envelope", e.state(n, want).Envelope, envelope(100+n, 0))
		}
		e.equal("envelope of the running one", e.state(3, broker.StateRunning).Envelope, envelope(3, 0))
	}},
	{"edit/a dead job has no time to be changed", func(e *env) {
		e.inEachState()
		before := e.dump()
		for _, due := range []broker.Due{{}, {In: 1000}, {At: e.now() + 60_000}} {
			e.edit(4, envelope(104, 0), &due, broker.StateDead)
		}
		e.unchanged(before)
		e.edit(4, envelope(104, 3), nil, broker.StateEdited)
		e.redrive("o", 4)
		e.claimed(e.claim("s", 1), id(4)) // before job 1: it is more urgent now
	}},
	{"edit/conflict", func(e *env) {
		e.add(1, 1)
		before := e.dump()
		word, err := e.b.Edit(e.ctx, e.q, id(1), envelope(2, 0), envelope(3, 0), &broker.Due{In: 1000})
		e.must(err)
		e.equal("edit", word, broker.StateConflict)
		e.unchanged(before)
	}},
	{"edit/ready to scheduled and back", func(e *env) {
		e.add(1, 3)
		now := e.now()
		e.edit(1, nil, &broker.Due{In: 60_000}, broker.StateEdited)
		e.counts(2, 1, 0, 0, 0)
		if due := e.state(1, broker.StateScheduled).Score; due < now+60_000 || due > now+65_000 {
			e.Errorf("due in %d ms", due-now)
		}
		e.edit(1, nil, &broker.Due{At: now + 90_000}, broker.StateEdited)
		e.equal("due", e.state(1, broker.StateScheduled).Score, now+90_000)
		e.edit(1, nil, &broker.Due{}, broker.StateEdited)
		e.counts(3, 0, 0, 0, 0)
		e.equal("ghosts", e.meta("ghosts"), "1")
		e.edit(2, nil, &broker.Due{}, broker.StateEdited) // it is ready already
		e.equal("ghosts", e.meta("ghosts"), "1")
		e.register("s")
		e.claimed(e.claim("s", 9), id(2), id(3), id(1))
	}},
	{"edit/priority", func(e *env) {
		e.add(1, 3)
		e.addLater(4, 4)
		e.edit(3, envelope(3, 9), nil, broker.StateEdited)
		e.edit(2, envelope(2, 4), nil, broker.StateEdited)
		e.edit(4, envelope(4, 9), nil, broker.StateEdited)
		e.due()
		e.promote()
		e.counts(4, 0, 0, 0, 0)
		e.register("s")
		e.claimed(e.claim("s", 9), id(3), id(4), id(2), id(1))
	}},
	{"edit/a suspect stays one", func(e *env) {
		e.suspects(1, 1)
		e.edit(1, envelope(1, 9), nil, broker.StateEdited)
		c := e.counts(1, 0, 0, 0, 0)
		e.equal("suspects", c.Suspects, int64(1))
		e.edit(1, nil, &broker.Due{In: 1000}, broker.StateEdited)
		e.equal("suspects", e.counts(0, 1, 0, 0, 0).Suspects, int64(0))
		e.due()
		e.promote()
		e.equal("suspects", e.counts(1, 0, 0, 0, 0).Suspects, int64(1))
		e.register("s")
		e.claimed(e.exchange(e.callSuspect("s", 5)).Jobs, id(1))
	}},
	{"edit/an earlier head arms the timer", func(e *env) {
		e.addLater(1, 2)
		e.must(e.rdb.Del(e.ctx, e.q.Key(keys.Due)).Err())
		e.edit(1, nil, &broker.Due{In: 7_200_000}, broker.StateEdited)
		e.edit(1, nil, &broker.Due{In: 7_300_000}, broker.StateEdited)
		e.equal("due tokens", e.length(keys.Due), int64(0))
		e.edit(1, nil, &broker.Due{In: 1000}, broker.StateEdited)
		e.equal("due tokens", e.length(keys.Due), int64(1))
	}},
	{"edit/another head arms the timer, whoever makes it", func(e *env) {
		for n, in := range []int64{10_000, 20_000, 30_000, 40_000, 50_000} {
			it := item(n+1, 0)
			it.Due.In = in
			e.enqueue("", it)
		}
		armed := func(what string, want int64, act func()) {
			e.Helper()
			e.must(e.rdb.Del(e.ctx, e.q.Key(keys.Due)).Err())
			act()
			e.equal("due tokens after "+what, e.length(keys.Due), want)
		}
		armed("cancelling a later one", 0, func() { e.verb(e.b.Cancel, 2, broker.StateCancelled, "") })
		armed("cancelling the head", 1, func() { e.verb(e.b.Cancel, 1, broker.StateCancelled, "") })
		armed("deleting the head", 1, func() { e.verb(e.b.Delete, 3, broker.StateDeleted, "") })
		armed("making the head ready", 1, func() { e.edit(4, nil, &broker.Due{}, broker.StateEdited) })
		armed("purging the last", 0, func() { e.purge("scheduled") })
	}},
	{"edit/moved to and fro while the queue stands", func(e *env) {
		e.add(1, 2)
		moves, refused := 0, 0
		for i := range 300 {
			word, err := e.b.Edit(e.ctx, e.q, id(1), e.state(1, broker.StateReady).Envelope, envelope(1, uint8(i%2+1)), nil)
			switch {
			case err == nil && word == broker.StateEdited:
				moves++
			case err == nil && word == broker.StateMoved:
				refused++
			default:
				e.Fatalf("move %d: %s, %v", i, word, err)
			}
		}
		if moves != 254 || moves+refused != 300 {
			e.Errorf("%d moves, %d refused", moves, refused)
		}
		e.counts(2, 0, 0, 0, 0)
		e.verb(e.b.Cancel, 1, broker.StateCancelled, "")
		e.counts(1, 0, 0, 0, 0)
		e.equal("ghosts", e.meta("ghosts"), "255")
		e.enqueue("x", item(1, 0))
		e.register("s")
		e.claimed(e.claim("s", 5), id(2))
		e.equal("ghosts", e.meta("ghosts"), "0")
		e.enqueue("c", item(1, 0))
	}},
	{"edit/generations come round", func(e *env) {
		e.register("s")
		record, _ := stateBytes(wire.State{Generation: 250})
		e.must(e.rdb.HSet(e.ctx, e.q.Key(keys.Jobs), sid(1), envelope(1, 0)).Err())
		e.must(e.rdb.HSet(e.ctx, e.q.Key(keys.State), sid(1), record).Err())
		e.must(e.rdb.RPush(e.ctx, e.q.Key(keys.Ready), sid(1)+"\xfa").Err())
		for i := range 12 {
			e.edit(1, envelope(1, uint8((i+1)%2)), nil, broker.StateEdited)
			e.equal("generation", e.record(1).Generation, uint8(250+i+1))
			job := e.claim("s", 1)
			e.claimed(job, id(1))
			e.settle("s", "o", settles(job, broker.Release, 0)...)
			if i%4 == 3 {
				e.sweepGhosts("s")
			}
		}
		e.counts(1, 0, 0, 0, 0)
	}},
}

// sweepGhosts claims until every stale entry is passed, and gives back what it got.
func (e *env) sweepGhosts(session string) {
	e.Helper()
	jobs := e.claim(session, 250)
	e.settle(session, strings.Repeat("o", len(jobs)), settles(jobs, broker.Release, 0)...)
	e.equal("ghosts", e.meta("ghosts"), "0")
}
