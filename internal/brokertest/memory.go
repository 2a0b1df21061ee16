package brokertest

import (
	"slices"
	"strings"

	"github.com/google/uuid"

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
		_, err := []verb{e.b.Cancel, e.b.Delete}[n%2](e.ctx, e.q, ids(n, n))
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
	for more, rounds := true, 0; more; rounds++ {
		if rounds > 100 {
			e.Fatal("it does not drain")
		}
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
