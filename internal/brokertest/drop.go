package brokertest

import (
	"slices"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/keys"
)

func (e *env) drop(ok bool, alive int) {
	e.Helper()
	got, live, err := e.b.Drop(e.ctx, e.q)
	e.must(err)
	e.equal("dropped, sessions alive", []any{got, live}, []any{ok, alive})
}

var dropCases = []testCase{
	{"drop/not while anything is there", func(e *env) {
		e.inEachState()
		for _, state := range []string{"ready", "scheduled", "dead", "finished"} {
			before := e.dump()
			e.drop(false, 1)
			e.unchanged(before)
			e.purge(state)
		}
		e.drop(false, 1) // one runs
		e.expire("s")
		e.drop(false, 0) // it still does: nobody took it back yet
		e.recoverAll("s")
		e.drop(false, 0)
		e.purge("ready")
		e.register("t")
		e.drop(false, 1)
		e.beat("t", broker.Bye)
		e.drop(true, 0)
		e.equal("keys left", e.names(), nil)
	}},
	{"drop/whatever else the queue left", func(e *env) {
		e.must(e.b.AddQueue(e.ctx, e.q))
		e.ghosts(1, 20)
		e.pause(true, true)
		e.register("s", "t")
		e.settle("s", "x", settles([]broker.Claimed{{Claim: broker.Claim{ID: id(99)}}}, broker.Release, 0)...) // it has a lane now
		e.expire("s", "t")
		e.drop(true, 0)
		e.equal("keys left", e.names(), []string{e.space.Queues()})
		e.must(e.b.RemoveQueue(e.ctx, e.q))
		e.equal("keys left", e.names(), nil)
		e.drop(true, 0) // again: no harm
		e.must(e.b.RemoveQueue(e.ctx, e.q))
		e.enqueue("c", item(1, 0))
		e.counts(1, 0, 0, 0, 0)
	}},
	{"drop/a queue that is used again meanwhile keeps its name", func(e *env) {
		for i, use := range []func(){func() { e.add(1, 1) }, func() { e.purge("ready"); e.register("s") }} {
			e.must(e.b.AddQueue(e.ctx, e.q))
			use()
			e.must(e.b.RemoveQueue(e.ctx, e.q))
			names, err := e.b.Queues(e.ctx)
			e.must(err)
			e.equal("listed", slices.Contains(names, e.q.Name()), true)
			e.drop(false, i)
		}
		e.equal("jobs", e.rdb.HLen(e.ctx, e.q.Key(keys.Jobs)).Val(), int64(0))
	}},
}
