package brokertest

import (
	"fmt"

	"github.com/tidemill/tidemill/internal/keys"
)

// bigCases are those whose size is the point.
var bigCases = []testCase{
	{"promote/20000 due at once", func(e *env) {
		e.addLater(1, 20_000)
		e.due()
		calls := 0
		for p := e.promote(); p.Next != 0; p = e.promote() {
			if calls++; p.Next > p.NowUS/1000 || calls > 80 {
				e.Fatalf("call %d: %+v", calls, p)
			}
		}
		e.counts(20_000, 0, 0, 0, 0)
		e.register("s")
		e.claimed(e.claim("s", 3), ids(1, 3)...)
	}},
	{"stamp/evictions of young records are counted", func(e *env) {
		now := e.now()
		for from := 0; from < 20_000; from += 2000 {
			var pairs []any
			for n := range 2000 {
				pairs = append(pairs, fmt.Sprint("young ", from+n), fmt.Sprintf("1 %d ", now))
			}
			e.must(e.rdb.HSet(e.ctx, e.q.Key(keys.Producers), pairs...).Err())
		}
		e.add(1, 1)
		e.equal("records", e.rdb.HLen(e.ctx, e.q.Key(keys.Producers)).Val(), int64(20_000))
		e.total("producers_evicted", 1)
	}},
}
