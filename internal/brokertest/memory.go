package brokertest

import (
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/wire"
)

// mix puts jobs from..from+19 through every fate and drains the queue.
func (e *env) mix(from int) {
	e.Helper()
	session, doomed := uuid.NewString(), uuid.NewString()
	var items []broker.Item
	for n := from; n < from+20; n++ {
		it := item(n, uint8(n%10))
		if n%5 == 0 {
			it.Envelope = kept(n)
		}
		if n%7 == 0 {
			it.Due.In = 60_000
		}
		items = append(items, it)
	}
	e.enqueue("", items...)
	e.register(session, doomed)
	for n := from; n < from+4; n++ {
		_, _, err := []verb{e.b.Cancel, e.b.Delete}[n%2](e.ctx, e.q, id(n))
		e.must(err)
	}
	f, err := e.b.Get(e.ctx, e.q, id(from+4))
	e.must(err)
	_, err = e.b.Edit(e.ctx, e.q, id(from+4), f.Envelope, nil, &broker.Due{In: 1000})
	e.must(err)
	e.claim(doomed, 6)
	e.expire(doomed)
	e.recoverAll(doomed)
	for i, verdict := range []broker.Verdict{broker.Retry, broker.Snooze, broker.Dead, broker.Cancelled, broker.Expired, broker.Release} {
		jobs := e.claim(session, 1)
		record, brief := stateBytes(wire.State{Attempts: uint16(i)})
		e.settle(session, "o", broker.Settle{Claim: jobs[0].Claim, Verdict: verdict, Delay: 1000, State: record, Brief: brief})
	}
	for more := true; more; {
		e.due()
		e.promote()
		jobs := e.claim(session, 7)
		x := e.call(session, 0)
		for i, job := range jobs {
			if i == 0 {
				x.Kept = []broker.Kept{{Claim: job.Claim, Retention: 1000, State: []byte{1, 0, 0, 0, 0, 0, 1}, Result: []byte("r")}}
				continue
			}
			x.Done = append(x.Done, job.Claim)
		}
		e.equal("refused", e.exchange(x).Refused, nil)
		more = len(jobs) > 0
	}
	e.purge("dead")
	e.purge("finished")
	e.equal("gone", e.beat(session, broker.Bye).Gone, true)
}

var memoryCases = []testCase{
	{"memory/back to a constant once drained", func(e *env) {
		var after []string
		for round := range 3 {
			e.mix(1 + 100*round)
			e.counts(0, 0, 0, 0, 0)
			e.equal("ghosts", e.meta("ghosts"), "0")
			if round > 0 {
				e.equal("keys", e.names(), after)
			}
			after = e.names()
		}
		// What stays is the books, and a stamp for each producer for ten minutes.
		for _, key := range after {
			part := key[strings.LastIndexByte(key, ':')+1:]
			if !slices.Contains([]string{"meta", "producers", "due", "wake"}, part) {
				e.Errorf("%s is left: %s", key, e.dump()[key])
			}
		}
		e.equal("stamps", e.rdb.HLen(e.ctx, e.q.Key(keys.Producers)).Val(), int64(1))
	}},
}

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
