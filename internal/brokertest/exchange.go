package brokertest

import (
	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/keys"
)

var exchangeCases = []testCase{
	{"exchange/claims at most what is wanted", func(e *env) {
		e.add(1, 5)
		e.register("s")
		out := e.exchange(e.call("s", 2))
		e.claimed(out.Jobs, ids(1, 2)...)
		e.equal("left", out.Left, true)
		e.counts(3, 0, 2, 0, 0)
		out = e.exchange(e.call("s", 0))
		e.equal("jobs", len(out.Jobs), 0)
		e.equal("left", out.Left, true)
		out = e.exchange(e.call("s", 9))
		e.claimed(out.Jobs, ids(3, 5)...)
		e.equal("left", out.Left, false)
		if f := e.state(3, broker.StateRunning); f.Score != out.Jobs[0].Token || f.Session != "s" {
			e.Errorf("got %+v", f)
		}
	}},
	{"exchange/250 at once", func(e *env) {
		e.add(1, 600)
		e.register("s")
		e.claimed(e.claim("s", 250), ids(1, 250)...)
		e.claimed(e.claim("s", 250), ids(251, 500)...)
		e.claimed(e.claim("s", 250), ids(501, 600)...)
	}},
	{"exchange/tokens only grow", func(e *env) {
		e.add(1, 6)
		e.register("s", "t")
		last := int64(0)
		take := func(session string) {
			e.Helper()
			out := e.exchange(e.call(session, 2))
			if first := out.Jobs[0].Token; first <= last || first > out.NowUS+2 {
				e.Errorf("token %d after %d at %d", first, last, out.NowUS)
			}
			last = out.Jobs[1].Token
		}
		take("s")
		take("t")
		// A clock that went back must not make an old token again.
		last += 3_600_000_000
		e.must(e.rdb.HSet(e.ctx, e.q.Key(keys.Meta), "token", last).Err())
		jobs := e.claim("s", 2)
		e.equal("token", jobs[0].Token, last+1)
		e.equal("last token", e.beat("s", broker.Keep).Token, last+2)
	}},
	{"exchange/byte limit", func(e *env) {
		e.add(1, 6)
		e.register("s")
		size := len(envelope(1, 0))
		limited := func(limit, first int) []broker.Claimed {
			x := e.call("s", 5)
			x.Bytes, x.First = limit, first
			return e.exchange(x).Jobs
		}
		e.claimed(limited(2*size+size/2, 256), ids(1, 2)...)
		e.claimed(limited(1, 256), id(3)) // one job always fits
		e.claimed(limited(2*size, 1), ids(4, 5)...)
		e.claimed(limited(plenty, 1), id(6))
		e.counts(0, 0, 6, 0, 0)
	}},
	{"exchange/byte limit keeps order and priorities", func(e *env) {
		e.enqueue("", item(1, 9), item(2, 9), item(3, 9), item(4, 0))
		e.register("s")
		for n := 1; n <= 4; n++ {
			x := e.call("s", 5)
			x.Bytes = len(envelope(1, 0))
			out := e.exchange(x)
			e.claimed(out.Jobs, id(n))
			e.equal("left", out.Left, n < 4)
		}
	}},
	{"exchange/unknown and lost sessions", func(e *env) {
		e.add(1, 1)
		_, err := e.send(e.call("nobody", 1))
		e.fails(err, broker.ErrLost)
		e.register("s")
		e.must(e.rdb.ZAdd(e.ctx, e.q.Key(keys.Sessions), zero("s", -1)).Err())
		_, err = e.send(e.call("s", 1))
		e.fails(err, broker.ErrLost)
		e.counts(1, 0, 0, 0, 0)
	}},
	{"exchange/what a lost session acknowledges is refused and counted", func(e *env) {
		late := e.call("nobody", 1)
		late.Done = []broker.Claim{{ID: id(1), Token: 1}, {ID: id(2), Token: 2}}
		late.Kept = []broker.Kept{{Claim: broker.Claim{ID: id(3), Token: 3}, Retention: 1000}}
		e.add(4, 4)
		_, err := e.send(late)
		e.fails(err, broker.ErrLost)
		e.total("refused", 3)
		_, err = e.send(e.call("nobody", 1))
		e.fails(err, broker.ErrLost)
		e.total("refused", 3)
		e.counts(1, 0, 0, 0, 0)
	}},
	{"exchange/an expired session goes on until it is recovered", func(e *env) {
		e.add(1, 1)
		e.register("s", "t")
		e.expire("s")
		e.claimed(e.claim("s", 1), id(1))
	}},
	{"exchange/paused", func(e *env) {
		e.add(1, 3)
		e.register("s")
		jobs := e.claim("s", 1)
		e.pause(true, true)
		x := e.call("s", 5)
		x.Done = claims(jobs)
		out := e.exchange(x)
		e.equal("paused", out.Paused, true)
		e.equal("jobs", len(out.Jobs), 0)
		e.equal("refused", out.Refused, nil)
		e.counts(2, 0, 0, 0, 0)
		e.pause(false, true)
		e.claimed(e.claim("s", 5), ids(2, 3)...)
	}},
	{"exchange/several queues in one call", func(e *env) {
		other := e.queue("other")
		e.add(1, 2)
		_, err := e.b.Enqueue(e.ctx, other, e.stamp(), []broker.Item{item(3, 0)})
		e.must(err)
		e.register("s") // not in the other queue
		x, y, z := e.call("s", 1), e.call("s", 5), e.call("s", 5)
		y.Queue, y.Session = other, "unknown"
		out, errs := e.b.Exchange(e.ctx, []*broker.Exchange{x, y, z})
		e.must(errs[0])
		e.fails(errs[1], broker.ErrLost)
		e.must(errs[2])
		e.claimed(out[0].Jobs, id(1))
		e.claimed(out[2].Jobs, id(2))
	}},
}
