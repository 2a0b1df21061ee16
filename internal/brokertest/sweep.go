package brokertest

import (
	"fmt"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/keys"
)

var sweepCases = []testCase{
	{"sweep/retention is over", func(e *env) {
		e.inEachState()
		e.verb(e.b.Cancel, 1, broker.StateCancelled, "")
		sweep := func(finished, dead int) {
			e.Helper()
			f, d, next, err := e.b.Sweep(e.ctx, e.q, "0")
			e.must(err)
			e.equal("finished, dead, next", []any{f, d, next}, []any{finished, dead, "0"})
		}
		sweep(0, 0)
		e.must(e.rdb.ZAddXX(e.ctx, e.q.Key(keys.Finished), zero(sid(5), float64(e.now()-1))).Err())
		sweep(1, 0)
		e.state(5, broker.StateUnknown)
		e.equal("results", e.rdb.HLen(e.ctx, e.q.Key(keys.Results)).Val(), int64(0))
		e.must(e.rdb.ZAddXX(e.ctx, e.q.Key(keys.Dead), zero(sid(4), float64(e.now()-89*86_400_000))).Err())
		sweep(0, 0) // dead jobs stay 90 days
		e.must(e.rdb.HSet(e.ctx, e.q.Key(keys.Meta), "keep_dead", 88*86_400_000).Err())
		sweep(0, 1)
		e.state(4, broker.StateUnknown)
		e.total("dead_purged", 1)
		e.counts(0, 1, 1, 0, 0)
	}},
	{"sweep/many, a bite a call", func(e *env) {
		past := float64(e.now() - 1)
		for n := 1; n <= 600; n++ {
			e.must(e.rdb.HSet(e.ctx, e.q.Key(keys.Jobs), sid(n), kept(n)).Err())
			e.must(e.rdb.ZAdd(e.ctx, e.q.Key(keys.Finished), zero(sid(n), past)).Err())
		}
		for i, want := range []int{250, 250, 100, 0} {
			f, _, _, err := e.b.Sweep(e.ctx, e.q, "0")
			e.must(err)
			e.equal(fmt.Sprint("call ", i), f, want)
		}
		e.equal("jobs", e.rdb.HLen(e.ctx, e.q.Key(keys.Jobs)).Val(), int64(0))
	}},
	{"sweep/old producers", func(e *env) {
		now := e.now()
		e.add(1, 1)
		var records []any
		for n := range 500 {
			at := now - 570_000 // far enough from its end for a slow machine
			if n%2 == 0 {
				at = now - 601_000
			}
			records = append(records, fmt.Sprint("p", n), fmt.Sprintf("1 %d c", at))
		}
		e.must(e.rdb.HSet(e.ctx, e.q.Key(keys.Producers), records...).Err())
		cursor := "0"
		for range 100 {
			_, _, next, err := e.b.Sweep(e.ctx, e.q, cursor)
			e.must(err)
			if cursor = next; next == "0" {
				break
			}
		}
		e.equal("cursor", cursor, "0")
		e.equal("records", e.rdb.HLen(e.ctx, e.q.Key(keys.Producers)).Val(), int64(251))
	}},
}
