package brokertest

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/keys"
)

// source is the producer of the fence cases.
var source = uuid.MustParse("7d1e4f20-5d1c-4b63-9a37-21b8a4f0c111")

// fence begins a run and holds what it answers against want.
func (e *env) fence(run, place uint64, known bool) {
	e.Helper()
	at, was, err := e.b.Fence(e.ctx, e.q, source, 1, run, true)
	e.must(err)
	e.equal("place", fmt.Sprint(at, was), fmt.Sprint(place, known))
}

// place is the stamp of a run's call whose last job has a place.
func place(run, n uint64) broker.Stamp {
	return broker.Stamp{Producer: source, Lane: 1, Seq: broker.InputSeq(run, n)}
}

var fenceCases = []testCase{
	{"fence/answers how far former runs came", func(e *env) {
		e.fence(1, 0, false)
		e.fence(1, 0, true)
		e.resend(place(1, 3), "c", item(1, 0))
		e.fence(2, 3, true)
		e.fence(2, 3, true) // its answer was lost
		e.resend(place(2, 7), "c", item(2, 0))
		e.fence(9, 7, true)
		e.fence(broker.MaxInputRun, 7, true)
		e.counts(2, 0, 0, 0, 0)
	}},
	{"fence/begins nothing that it is not told to", func(e *env) {
		before := e.dump()
		at, known, err := e.b.Fence(e.ctx, e.q, source, 1, 3, false)
		e.must(err)
		e.equal("place", fmt.Sprint(at, known), "0 false")
		e.unchanged(before)
		e.resend(place(1, 3), "c", item(1, 0))
		at, known, err = e.b.Fence(e.ctx, e.q, source, 1, 3, false)
		e.must(err)
		e.equal("place", fmt.Sprint(at, known), "3 true")
		_, err = e.b.Enqueue(e.ctx, e.q, place(2, 9), []broker.Item{item(2, 0)})
		e.fails(err, broker.ErrStale)
	}},
	{"fence/late calls of former runs are stale", func(e *env) {
		e.fence(1, 0, false)
		e.resend(place(1, 3), "c", item(1, 0))
		e.fence(2, 3, true)
		before := e.dump()
		for _, late := range []uint64{3, 5, broker.MaxInputPlace} {
			_, err := e.b.Enqueue(e.ctx, e.q, place(1, late), []broker.Item{item(2, 0)})
			e.fails(err, broker.ErrStale)
		}
		_, _, err := e.b.Fence(e.ctx, e.q, source, 1, 1, true)
		e.fails(err, broker.ErrStale)
		e.unchanged(before)
		e.resend(place(2, 5), "c", item(2, 0))
		e.fence(3, 5, true)
	}},
	{"fence/lanes and producers do not mix", func(e *env) {
		e.resend(broker.Stamp{Producer: source, Lane: 11, Seq: broker.InputSeq(4, 4)}, "c", item(1, 0))
		e.resend(broker.Stamp{Producer: uuid.New(), Lane: 1, Seq: broker.InputSeq(4, 5)}, "c", item(2, 0))
		e.fence(1, 0, false)
	}},
	{"fence/the largest places", func(e *env) {
		e.fence(broker.MaxInputRun, 0, false)
		e.resend(place(broker.MaxInputRun, broker.MaxInputPlace), "c", item(1, 0))
		e.fence(broker.MaxInputRun, broker.MaxInputPlace, true)
		_, err := e.b.Enqueue(e.ctx, e.q, place(broker.MaxInputRun, broker.MaxInputPlace-1), []broker.Item{item(2, 0)})
		e.fails(err, broker.ErrStale)
	}},
	{"fence/records are bounded, and an input's go last", func(e *env) {
		e.fence(1, 0, false)
		e.resend(place(1, 3), "c", item(1, 0))
		key := e.q.Key(keys.Producers)
		for i := range 20 {
			fields := make([]any, 0, 2000)
			for j := range 1000 {
				fields = append(fields, fmt.Sprintf("f%d-%d", i, j), fmt.Sprintf("1 %d ", time.Now().Add(time.Hour).UnixMilli()))
			}
			e.must(e.rdb.HSet(e.ctx, key, fields...).Err())
		}
		for range 300 {
			_, _, err := e.b.Fence(e.ctx, e.q, uuid.New(), 1, 1, true)
			e.must(err)
		}
		n, err := e.rdb.HLen(e.ctx, key).Result()
		e.must(err)
		e.equal("records", fmt.Sprint(n), "20001")
		e.fence(2, 3, true)
	}},
	{"fence/records outlive those of producers", func(e *env) {
		key, now := e.q.Key(keys.Producers), e.now()
		var pairs []any
		for n := range 1200 {
			pairs = append(pairs, fmt.Sprintf("old %d", n), fmt.Sprintf("1 %d ", now-601_000))
		}
		record := func(age int64) string { return fmt.Sprintf("%d %d ", broker.InputSeq(1, 5), now-age) }
		const day = 86_400_000
		pairs = append(pairs, "young", record(6*day), "old", record(8*day))
		e.must(e.rdb.HSet(e.ctx, key, pairs...).Err())
		for n := 0; e.rdb.HLen(e.ctx, key).Val() > 1000; n++ {
			if n > 500 {
				e.Fatal("old records are not dropped")
			}
			e.resend(broker.Stamp{Producer: uuid.New(), Seq: 1}, "e", broker.Item{ID: id(1)})
		}
		e.equal("the young one stays", e.rdb.HExists(e.ctx, key, "young").Val(), true)
		// Whatever is sampled until it is met, the other one goes: with the young one alone beside it, at the latest.
		for n := 0; e.rdb.HExists(e.ctx, key, "old").Val(); n++ {
			if n > 5000 {
				e.Fatal("an input's record of 8 days is not dropped")
			}
			if e.rdb.HLen(e.ctx, key).Val() < 1000 {
				e.must(e.rdb.HSet(e.ctx, key, fmt.Sprintf("fill %d", n), fmt.Sprintf("1 %d ", now)).Err())
			}
			e.resend(broker.Stamp{Producer: uuid.New(), Seq: 1}, "e", broker.Item{ID: id(1)})
		}
		e.equal("the young one still stays", e.rdb.HExists(e.ctx, key, "young").Val(), true)
	}},
	{"fence/a key of the wrong type", func(e *env) {
		e.must(e.rdb.Set(e.ctx, e.q.Key(keys.Producers), "x", 0).Err())
		_, _, err := e.b.Fence(e.ctx, e.q, source, 1, 1, true)
		e.wrongKey(err, e.q.Key(keys.Producers))
	}},
}
