package brokertest

import (
	"fmt"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/keys"
)

// resend sends a stamped call and holds its outcomes against want.
func (e *env) resend(stamp broker.Stamp, want string, items ...broker.Item) {
	e.Helper()
	got, err := e.b.Enqueue(e.ctx, e.q, stamp, items)
	e.must(err)
	var letters []byte
	for _, word := range got {
		letters = append(letters, byte(word))
	}
	e.equal("outcomes", string(letters), want)
}

var stampCases = []testCase{
	{"stamp/answered from the record after the job ran and left", func(e *env) {
		e.add(9, 9)
		stamp := e.stamp()
		e.resend(stamp, "cdc", item(1, 0), item(9, 0), item(2, 0))
		e.register("s")
		e.ack("s", e.claim("s", 10))
		before := e.dump()
		e.resend(stamp, "cdc", item(1, 0), item(9, 0), item(2, 0))
		e.unchanged(before)
		e.counts(0, 0, 0, 0, 0)
	}},
	{"stamp/all created is answered so again", func(e *env) {
		stamp := e.stamp()
		e.resend(stamp, "cc", item(1, 0), item(2, 0))
		e.register("s")
		e.ack("s", e.claim("s", 10))
		e.resend(stamp, "cc", item(1, 0), item(2, 0))
		e.counts(0, 0, 0, 0, 0)
	}},
	{"stamp/nothing created is remembered too", func(e *env) {
		e.add(1, 1)
		stamp := e.stamp()
		e.resend(stamp, "d", item(1, 0))
		e.register("s")
		e.ack("s", e.claim("s", 10))
		e.resend(stamp, "d", item(1, 0))
		e.counts(0, 0, 0, 0, 0)
	}},
	{"stamp/older calls are stale", func(e *env) {
		old := e.stamp()
		e.resend(old, "c", item(1, 0))
		e.resend(e.stamp(), "c", item(2, 0))
		before := e.dump()
		_, err := e.b.Enqueue(e.ctx, e.q, old, []broker.Item{item(1, 0)})
		e.fails(err, broker.ErrStale)
		e.unchanged(before)
	}},
	{"stamp/gaps are legal", func(e *env) {
		e.resend(broker.Stamp{Producer: e.producer, Lane: 1, Seq: 3}, "c", item(1, 0))
		e.resend(broker.Stamp{Producer: e.producer, Lane: 1, Seq: 900}, "c", item(2, 0))
		e.counts(2, 0, 0, 0, 0)
	}},
	{"stamp/lanes and producers do not mix", func(e *env) {
		one := broker.Stamp{Producer: e.producer, Lane: 1, Seq: 5}
		e.resend(one, "c", item(1, 0))
		e.resend(broker.Stamp{Producer: e.producer, Lane: 11, Seq: 1}, "c", item(2, 0))
		e.resend(broker.Stamp{Producer: uuid.New(), Lane: 1, Seq: 1}, "c", item(3, 0))
		e.resend(one, "c", item(1, 0))
		e.counts(3, 0, 0, 0, 0)
	}},
	{"stamp/a refused call leaves the lane where it was", func(e *env) {
		stamp := e.stamp()
		_, err := e.b.Enqueue(e.ctx, e.q, stamp, nil)
		if err == nil {
			e.Fatal("no error")
		}
		e.resend(stamp, "c", item(1, 0))
	}},
	{"stamp/records are bounded", func(e *env) {
		now := e.now()
		key := e.q.Key(keys.Producers)
		fill := func(from, to int, at int64) {
			var pairs []any
			for n := from; n < to; n++ {
				pairs = append(pairs, fmt.Sprintf("old %d", n), fmt.Sprintf("1 %d ", at))
			}
			e.must(e.rdb.HSet(e.ctx, key, pairs...).Err())
		}
		size := func() int64 { return e.rdb.HLen(e.ctx, key).Val() }
		fill(0, 1000, now-601_000)
		for range 20 {
			e.resend(broker.Stamp{Producer: uuid.New(), Seq: 1}, "e", broker.Item{ID: id(1)})
		}
		if size() > 1000 {
			e.Errorf("%d records remain: new lanes drop old ones", size())
		}
	}},
}
