package brokertest

import (
	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/keys"
)

var ghostCases = []testCase{
	{"ghosts/skipped and counted", func(e *env) {
		e.add(1, 5)
		for _, n := range []int{1, 3, 5} {
			e.verb(e.b.Cancel, n, broker.StateCancelled, "")
		}
		e.equal("ghosts", e.meta("ghosts"), "3")
		e.counts(2, 0, 0, 0, 0)
		e.register("s")
		out := e.exchange(e.call("s", 1))
		e.claimed(out.Jobs, id(2))
		e.equal("ghosts", e.meta("ghosts"), "2")
		e.counts(1, 0, 1, 0, 0)
		e.claimed(e.claim("s", 5), id(4))
		e.equal("ghosts", e.meta("ghosts"), "0")
		e.equal("jobs left", e.rdb.HLen(e.ctx, e.q.Key(keys.Jobs)).Val(), int64(2))
	}},
	{"ghosts/more after a thousand", func(e *env) {
		e.ghosts(1, 1299)
		e.add(1300, 1300)
		e.equal("ghosts", e.meta("ghosts"), "1299")
		e.counts(1, 0, 0, 0, 0)
		e.register("s")
		var jobs []broker.Claimed
		calls := 0
		for more := true; more; calls++ {
			out := e.exchange(e.call("s", 250))
			jobs, more = append(jobs, out.Jobs...), out.More
		}
		e.claimed(jobs, id(1300))
		if calls < 2 || calls > 3 {
			e.Errorf("%d calls", calls)
		}
		e.equal("ghosts", e.meta("ghosts"), "0")
		e.ack("s", jobs)
		e.equal("jobs left", e.rdb.HLen(e.ctx, e.q.Key(keys.Jobs)).Val(), int64(0))
	}},
	{"ghosts/the list moves away under them", func(e *env) {
		e.add(1, 2)
		soon := broker.Due{}
		for range 3 { // each move leaves an entry behind
			e.edit(1, nil, &broker.Due{In: 60_000}, broker.StateEdited)
			e.edit(1, nil, &soon, broker.StateEdited)
		}
		e.equal("ghosts", e.meta("ghosts"), "3")
		e.counts(2, 0, 0, 0, 0)
		e.register("s")
		jobs := e.claim("s", 9)
		e.claimed(jobs, id(2), id(1))
		e.equal("ghosts", e.meta("ghosts"), "0")
		e.ack("s", jobs)
		e.enqueue("", item(1, 0))
		e.claimed(e.claim("s", 9), id(1))
	}},
	{"ghosts/a job ends before its stale entries are passed", func(e *env) {
		e.enqueue("", item(1, 0), item(2, 0))
		e.edit(1, envelope(1, 9), nil, broker.StateEdited)
		e.register("s")
		jobs := e.claim("s", 1)
		e.claimed(jobs, id(1))
		e.ack("s", jobs)
		e.enqueue("x", item(1, 0)) // its entry of priority 0 is still there
		e.claimed(e.claim("s", 9), id(2))
		e.equal("ghosts", e.meta("ghosts"), "0")
		e.enqueue("c", item(1, 0))
	}},
}
