package brokertest

import (
	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/wire"
)

func (e *env) pause(pause, changed bool) {
	e.Helper()
	got, err := e.b.Pause(e.ctx, e.q, pause)
	e.must(err)
	e.equal("changed", got, changed)
}

func (e *env) redrive(want string, numbers ...int) {
	e.Helper()
	var list []uuid.UUID
	for _, n := range numbers {
		list = append(list, id(n))
	}
	got, err := e.b.Redrive(e.ctx, e.q, list)
	e.must(err)
	var letters []byte
	for _, word := range got {
		letters = append(letters, byte(word))
	}
	e.equal("outcomes", string(letters), want)
}

// purge forgets a state to the end.
func (e *env) purge(state string) (gone, calls int) {
	e.Helper()
	for {
		n, more, err := e.b.Purge(e.ctx, e.q, state)
		e.must(err)
		gone, calls = gone+n, calls+1
		if !more || calls > 100 {
			return gone, calls
		}
	}
}

var operatorCases = []testCase{
	{"redrive/dead jobs start anew", func(e *env) {
		e.enqueue("", item(1, 0), item(2, 9), item(3, 0))
		e.register("s")
		jobs := e.claim("s", 3)
		s := wire.State{Flags: wire.Crashed, Crashes: 2, Attempts: 7, Snoozes: 3, Errors: []wire.Failure{{Attempt: 7, Error: "boom"}}}
		for _, job := range jobs {
			e.settle("s", "o", verdict(job, broker.Dead, 0, s))
		}
		e.add(4, 4)
		e.redrive("ooun", 3, 2, 9, 4)
		e.counts(3, 0, 0, 1, 0)
		e.total("redriven", 2)
		e.equal("record", e.record(3), wire.State{Snoozes: 3, Errors: s.Errors})
		e.redrive("n", 3)
		e.claimed(e.claim("s", 9), id(2), id(4), id(3))
		e.redrive("n", 3)
	}},
	{"redrive/250 at once, one without a record", func(e *env) {
		e.add(1, 250)
		e.register("s")
		jobs := e.claim("s", 250)
		got, err := e.b.Fail(e.ctx, e.q, "s", 0, e.seq("s", "f"), settles(jobs, broker.Dead, 0))
		e.must(err)
		e.equal("settled", len(got), 250)
		words, err := e.b.Redrive(e.ctx, e.q, ids(1, 250))
		e.must(err)
		for i, word := range words {
			if word != broker.RedriveDone {
				e.Fatalf("%d: %c", i, word)
			}
		}
		e.counts(250, 0, 0, 0, 0)
		e.claimed(e.claim("s", 250), ids(1, 250)...)
	}},
	{"pause/and resume", func(e *env) {
		e.pause(false, false)
		e.pause(true, true)
		e.pause(true, false)
		e.equal("paused", e.counts(0, 0, 0, 0, 0).Paused, true)
		e.pause(false, true)
		e.equal("paused", e.counts(0, 0, 0, 0, 0).Paused, false)
	}},
	{"purge/each state", func(e *env) {
		e.inEachState()
		for i, state := range []string{"ready", "scheduled", "dead", "finished"} {
			gone, _ := e.purge(state)
			e.equal("gone of "+state, gone, 1)
			e.total("deleted", int64(i+1))
			gone, _ = e.purge(state)
			e.equal("gone of "+state, gone, 0)
		}
		e.counts(0, 0, 1, 0, 0)
		for _, place := range []int{keys.State, keys.Results} {
			e.equal("fields left", e.rdb.HLen(e.ctx, e.q.Key(place)).Val(), int64(0))
		}
		e.equal("jobs", e.rdb.HLen(e.ctx, e.q.Key(keys.Jobs)).Val(), int64(1))
		before := e.dump()
		if _, _, err := e.b.Purge(e.ctx, e.q, "running"); err == nil {
			e.Error("running jobs were purged")
		}
		e.unchanged(before)
	}},
	{"purge/many, a bite a call", func(e *env) {
		e.add(1, 600)
		e.addLater(601, 1200)
		for _, state := range []string{"ready", "scheduled"} {
			gone, calls := e.purge(state)
			e.equal(state, []int{gone, calls}, []int{600, 3})
		}
		e.equal("jobs", e.rdb.HLen(e.ctx, e.q.Key(keys.Jobs)).Val(), int64(0))
	}},
	{"purge/ready passes ghosts truthfully", func(e *env) {
		e.suspects(1, 3)
		e.add(4, 9)
		e.verb(e.b.Cancel, 1, broker.StateCancelled, "")
		e.verb(e.b.Delete, 4, broker.StateDeleted, "")
		e.edit(5, envelope(5, 9), nil, broker.StateEdited) // moved to another list
		e.edit(6, nil, &broker.Due{In: 60_000}, broker.StateEdited)
		e.counts(6, 1, 0, 0, 0)
		gone, _ := e.purge("ready")
		e.equal("gone", gone, 6)
		c := e.counts(0, 1, 0, 0, 0)
		e.equal("suspects", c.Suspects, int64(0))
		e.equal("ghosts", e.meta("ghosts")+e.meta("suspect_ghosts"), "00")
		e.equal("jobs", e.rdb.HLen(e.ctx, e.q.Key(keys.Jobs)).Val(), int64(1))
		e.enqueue("ccc", item(1, 0), item(4, 0), item(5, 0))
		e.due()
		e.promote()
		e.register("s")
		e.claimed(e.claim("s", 9), id(1), id(4), id(5), id(6))
	}},
	{"purge/nothing but ghosts", func(e *env) {
		e.ghosts(1, 700)
		gone, calls := e.purge("ready")
		if gone != 0 || calls > 4 {
			e.Errorf("gone %d in %d calls", gone, calls)
		}
		e.equal("ghosts", e.meta("ghosts"), "0")
		e.equal("jobs", e.rdb.HLen(e.ctx, e.q.Key(keys.Jobs)).Val(), int64(0))
	}},
}
