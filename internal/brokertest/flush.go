package brokertest

import (
	"github.com/tidemill/tidemill/internal/broker"
)

var flushCases = []testCase{
	{"script flush/before each call", func(e *env) {
		for _, s := range e.transitions(e.stage()) {
			e.must(e.rdb.ScriptFlush(e.ctx).Err())
			if err := s.call(); err != nil {
				e.Errorf("%s: %v", s.name, err)
			}
			e.expire("s")
		}
	}},
	{"script flush/in a pipeline", func(e *env) {
		other := e.queue("other")
		e.add(1, 2)
		_, err := e.b.Enqueue(e.ctx, other, e.stamp(), []broker.Item{item(3, 0)})
		e.must(err)
		_, _, err = e.b.Heartbeat(e.ctx, ttl, []broker.Beat{{Queue: e.q, Session: "s", Mode: broker.Register},
			{Queue: other, Session: "s", Mode: broker.Register}})
		e.must(err)
		for n := range 2 {
			e.must(e.rdb.ScriptFlush(e.ctx).Err())
			x, y := e.call("s", 1), e.call("s", 1)
			y.Queue = other
			out, errs := e.b.Exchange(e.ctx, []*broker.Exchange{x, y})
			e.must(errs[0])
			e.must(errs[1])
			e.claimed(out[0].Jobs, id(n+1))
			if n == 0 {
				e.claimed(out[1].Jobs, id(3))
			}
		}
	}},
	{"script flush/in a transaction", func(e *env) {
		e.must(e.rdb.ScriptFlush(e.ctx).Err())
		pipe := e.rdb.TxPipeline()
		first := e.b.EnqueueTx(e.ctx, pipe, e.q, e.stamp(), []broker.Item{item(1, 0), item(2, 0), item(1, 0)})
		pipe.Set(e.ctx, e.space.Name()+":{q}:mine", "x", 0)
		second := e.b.EnqueueTx(e.ctx, pipe, e.q, e.stamp(), []broker.Item{item(2, 0), item(3, 0)})
		if _, err := first(); err == nil {
			e.Error("outcomes before the transaction was executed")
		}
		_, err := pipe.Exec(e.ctx)
		e.must(err)
		for i, enqueued := range []broker.Enqueued{first, second} {
			out, err := enqueued()
			e.must(err)
			e.equal("outcomes", string(out2bytes(out)), []string{"ccd", "dc"}[i])
		}
		e.counts(3, 0, 0, 0, 0)
	}},
	{"transaction/discarded", func(e *env) {
		pipe := e.rdb.TxPipeline()
		enqueued := e.b.EnqueueTx(e.ctx, pipe, e.q, e.stamp(), []broker.Item{item(1, 0)})
		pipe.Discard()
		if _, err := enqueued(); err == nil {
			e.Error("outcomes of a call that was never made")
		}
		e.counts(0, 0, 0, 0, 0)
	}},
	{"transaction/resent with the same stamp", func(e *env) {
		stamp := e.stamp()
		for range 2 {
			pipe := e.rdb.TxPipeline()
			enqueued := e.b.EnqueueTx(e.ctx, pipe, e.q, stamp, []broker.Item{item(1, 0)})
			_, err := pipe.Exec(e.ctx)
			e.must(err)
			out, err := enqueued()
			e.must(err)
			e.equal("outcomes", string(out2bytes(out)), "c")
		}
		e.counts(1, 0, 0, 0, 0)
	}},
}

func out2bytes(out []broker.Outcome) []byte {
	var letters []byte
	for _, word := range out {
		letters = append(letters, byte(word))
	}
	return letters
}
