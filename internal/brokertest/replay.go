package brokertest

import (
	"strconv"

	"github.com/tidemill/tidemill/internal/broker"
)

var replayCases = []testCase{
	{"replay/a lost answer is given again", func(e *env) {
		e.add(1, 5)
		e.register("s")
		old := e.claim("s", 2)
		e.settle("s", "oo", settles(old, broker.Release, 0)...)
		fresh := e.claim("s", 2)
		x := e.call("s", 2)
		x.Done = []broker.Claim{old[0].Claim, fresh[1].Claim}
		first := e.exchange(x)
		before := e.dump()
		for range 2 {
			again := e.exchange(x)
			again.NowUS = first.NowUS
			e.equal("answer", again, first)
		}
		e.unchanged(before)
		e.equal("refused", first.Refused, []int{0})
		e.claimed(first.Jobs, ids(3, 4)...)
	}},
	{"replay/without jobs", func(e *env) {
		e.register("s")
		x := e.call("s", 5)
		first := e.exchange(x)
		e.add(1, 1)
		again := e.exchange(x)
		again.NowUS = first.NowUS
		e.equal("answer", again, first)
		e.counts(1, 0, 0, 0, 0)
	}},
	{"replay/250 jobs", func(e *env) {
		e.add(1, 300)
		e.register("s")
		x := e.call("s", 250)
		first := e.exchange(x)
		again := e.exchange(x)
		again.NowUS = first.NowUS
		e.equal("answer", again, first)
	}},
	{"replay/what no longer runs is left out", func(e *env) {
		e.add(1, 3)
		e.register("s")
		x := e.call("s", 3)
		jobs := e.exchange(x).Jobs
		e.settle("s", "o", settles(jobs[1:2], broker.Retry, 1000)...)
		again := e.exchange(x)
		e.equal("jobs", claims(again.Jobs), []broker.Claim{jobs[0].Claim, jobs[2].Claim})
	}},
	{"replay/older calls are stale", func(e *env) {
		e.add(1, 3)
		e.register("s")
		x, y := e.call("s", 1), e.call("s", 1)
		e.exchange(x)
		e.exchange(y)
		before := e.dump()
		_, err := e.send(x)
		e.fails(err, broker.ErrStale)
		e.unchanged(before)
	}},
	{"replay/gaps are legal, lanes apart", func(e *env) {
		e.add(1, 3)
		e.register("s")
		x := e.call("s", 1)
		x.Seq = 40
		e.claimed(e.exchange(x).Jobs, id(1))
		y := e.call("s", 1)
		y.Lane, y.Seq = 1, 7
		e.claimed(e.exchange(y).Jobs, id(2))
		e.claimed(e.exchange(x).Jobs, id(1))
		got, err := e.b.Fail(e.ctx, e.q, "s", 0, 1, settles(e.exchange(y).Jobs, broker.Release, 0))
		e.must(err)
		e.equal("outcomes", got, []broker.Settled{broker.SettledDone})
	}},
	{"replay/every shape of answer", func(e *env) {
		e.add(1, 40)
		e.register("s")
		e.cancelAll(1, 20)
		for i := range 6 {
			x := e.call("s", []int{0, 3, 1, 0, 2, 5}[i])
			x.Suspect = i%2 == 0
			x.Done = []broker.Claim{{ID: id(999), Token: int64(1_700_000_000_000_000 + i)}}[:i%2]
			first := e.exchange(x)
			again := e.exchange(x)
			again.NowUS = first.NowUS
			e.equal("answer "+strconv.Itoa(i), again, first)
		}
	}},
}
