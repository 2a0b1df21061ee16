package brokertest

import (
	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/keys"
)

func (e *env) promote() broker.Promoted {
	e.Helper()
	p, err := e.b.Promote(e.ctx, e.q)
	e.must(err)
	return p
}

var promoteCases = []testCase{
	{"promote/in the order of due times, by priority", func(e *env) {
		var items []broker.Item
		for n, in := range []int64{50_000, 30_000, 40_000, 10_000, 20_000} {
			it := item(n+1, []uint8{0, 0, 9, 0, 9}[n])
			it.Due.In = in
			items = append(items, it)
		}
		e.enqueue("", items...)
		p := e.promote()
		if next := p.Next - (p.NowUS+999)/1000; p.Moved != 0 || next < 1 || next > 10_000 {
			e.Errorf("got %+v", p)
		}
		all, err := e.rdb.ZRange(e.ctx, e.q.Key(keys.Scheduled), 0, 3).Result()
		e.must(err)
		e.pastDue(all) // all but the last
		last := e.state(1, broker.StateScheduled).Score
		p = e.promote()
		e.equal("moved", p.Moved, 4)
		e.equal("next", p.Next, last)
		e.counts(4, 1, 0, 0, 0)
		e.register("s")
		e.claimed(e.claim("s", 9), id(5), id(3), id(4), id(2))
		e.due()
		p = e.promote()
		e.equal("moved, next", []int64{int64(p.Moved), p.Next}, []int64{1, 0})
	}},
	{"promote/behind what is ready", func(e *env) {
		e.addLater(1, 1)
		e.add(2, 2)
		e.due()
		e.promote()
		e.register("s")
		e.claimed(e.claim("s", 9), id(2), id(1))
	}},
}
