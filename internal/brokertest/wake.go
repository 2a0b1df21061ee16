package brokertest

import (
	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/keys"
)

var wakeCases = []testCase{
	{"wake/one token for new work", func(e *env) {
		e.add(1, 5)
		e.add(6, 9)
		e.equal("tokens", e.length(keys.Wake), int64(1))
	}},
	{"wake/a claimer that leaves work behind tops up to two", func(e *env) {
		e.add(1, 5)
		e.register("s")
		e.claim("s", 2)
		e.equal("tokens", e.length(keys.Wake), int64(2))
		e.claim("s", 2)
		e.equal("tokens", e.length(keys.Wake), int64(2))
		e.claim("s", 2) // none is left, nobody needs to come
		e.equal("tokens", e.length(keys.Wake), int64(0))
	}},
	{"wake/an ack alone says nothing", func(e *env) {
		e.add(1, 5)
		e.register("s")
		jobs := e.claim("s", 2)
		e.must(e.rdb.Del(e.ctx, e.q.Key(keys.Wake)).Err())
		e.ack("s", jobs)
		e.equal("tokens", e.length(keys.Wake), int64(0))
	}},
	{"wake/suspects left are for other processes", func(e *env) {
		e.suspects(1, 2)
		e.register("s")
		e.must(e.rdb.Del(e.ctx, e.q.Key(keys.Wake)).Err())
		e.exchange(e.callSuspect("s", 1))
		e.equal("tokens", e.length(keys.Wake), int64(1))
		e.claim("s", 5) // it may take none of them and must not hide them either
		e.equal("tokens", e.length(keys.Wake), int64(1))
	}},
	{"wake/nothing while paused, one on resume", func(e *env) {
		e.register("s")
		e.add(1, 2)
		job := e.claim("s", 1)
		e.pause(true, true)
		e.equal("tokens", e.length(keys.Wake), int64(0))
		e.add(3, 3)
		e.settle("s", "o", settles(job, broker.Release, 0)...)
		e.must(e.b.Nudge(e.ctx, e.q))
		e.equal("tokens", e.length(keys.Wake), int64(0))
		for i := range 3 {
			e.pause(false, i == 0)
		}
		e.equal("tokens", e.length(keys.Wake), int64(1))
	}},
	{"wake/nudge gives one back where there is work", func(e *env) {
		e.must(e.b.Nudge(e.ctx, e.q))
		e.equal("tokens", e.length(keys.Wake), int64(0))
		e.add(1, 1)
		e.must(e.rdb.Del(e.ctx, e.q.Key(keys.Wake)).Err())
		for range 3 {
			e.must(e.b.Nudge(e.ctx, e.q))
		}
		e.equal("tokens", e.length(keys.Wake), int64(1))
	}},
	{"wake/release, promote, redrive and recover push one", func(e *env) {
		e.add(1, 2)
		e.addLater(3, 3)
		e.register("s", "t")
		jobs := e.claim("s", 2)
		token := func(what string, act func()) {
			e.Helper()
			e.must(e.rdb.Del(e.ctx, e.q.Key(keys.Wake)).Err())
			act()
			e.equal("tokens after "+what, e.length(keys.Wake), int64(1))
		}
		token("release", func() { e.settle("s", "o", settles(jobs[:1], broker.Release, 0)...) })
		e.settle("s", "o", settles(jobs[1:], broker.Dead, 0)...)
		token("redrive", func() { e.redrive("o", 2) })
		e.due()
		token("promote", func() {
			_, err := e.b.Promote(e.ctx, e.q)
			e.must(err)
		})
		e.claim("s", 9)
		e.expire("s")
		token("recover", func() { e.recoverAll("s") })
	}},
}
