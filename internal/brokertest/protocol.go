package brokertest

import (
	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/broker"
)

// protocolCases hold the reading of replies on clients that decode them: those get other Go values than a plain client.
var protocolCases = []testCase{
	{"protocol/a client that decodes reads the same", func(e *env) {
		running := e.stage()
		e.b = broker.New(struct{ redis.UniversalClient }{e.rdb}, e.space)
		now, pulses, err := e.b.Heartbeat(e.ctx, ttl, []broker.Beat{{Queue: e.q, Session: "s", Mode: broker.Keep, To: running.Token},
			{Queue: e.queue("other"), Session: "o", Mode: broker.Keep}})
		e.must(err)
		e.fails(pulses[1].Err, broker.ErrLost)
		e.equal("running, page", []int{pulses[0].Running, len(pulses[0].Page)}, []int{2, 2})
		e.equal("page", pulses[0].Page[1], running)
		e.equal("time", now > 0 && pulses[0].Claimable, true)
		e.equal("envelope", e.state(6, broker.StateRunning).Envelope, envelope(6, 9))
		e.equal("result", string(e.state(5, broker.StateFinished).Result), "r")
		e.counts(1, 1, 2, 1, 1)
		e.must(e.rdb.ScriptFlush(e.ctx).Err())
		x, y := e.call("s", 5), e.call("s", 5)
		y.Session = "nobody"
		out, errs := e.b.Exchange(e.ctx, []*broker.Exchange{x, y})
		e.must(errs[0])
		e.fails(errs[1], broker.ErrLost)
		e.claimed(out[0].Jobs, id(1))
		e.equal("envelope", out[0].Jobs[0].Envelope, envelope(1, 0))
		again := e.exchange(x)
		again.NowUS = out[0].NowUS
		e.equal("answer", again, out[0])
	}},
	{"protocol/a decoding client and everything else", func(e *env) {
		running := e.stage()
		e.b = broker.New(struct{ redis.UniversalClient }{e.rdb}, e.space)
		for _, s := range e.transitions(running) {
			if err := s.call(); err != nil {
				e.Errorf("%s: %v", s.name, err)
			}
			e.expire("s")
		}
	}},
}
