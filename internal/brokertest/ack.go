package brokertest

import (
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/wire"
)

func zero(member string, score float64) redis.Z { return redis.Z{Member: member, Score: score} }

func stateBytes(s wire.State) ([]byte, int) { return s.Append(nil) }

var ackCases = []testCase{
	{"ack/tokens of a clock that stands near zero", func(e *env) {
		e.add(1, 12)
		e.register("s")
		jobs := e.claim("s", 12)
		for i := range jobs {
			jobs[i].Token = []int64{0, 1, 9, 10, 99, 12345, 999_999_999_999_999, 1_000_000_000_000_001}[i%8] + int64(i/8)
			e.must(e.rdb.ZAdd(e.ctx, e.q.Running("s"), zero(sid(i+1), float64(jobs[i].Token))).Err())
		}
		e.ack("s", jobs)
		e.counts(0, 0, 0, 0, 0)
	}},
	{"ack/leaves nothing behind", func(e *env) {
		e.add(1, 3)
		e.register("s")
		jobs := e.claim("s", 3)
		before := e.names()
		e.ack("s", jobs)
		e.counts(0, 0, 0, 0, 0)
		e.total("succeeded", 3)
		for _, key := range e.names() {
			if strings.HasSuffix(key, ":jobs") || strings.Contains(key, "running") || strings.HasSuffix(key, ":state") {
				e.Errorf("%s is left of %v", key, before)
			}
		}
	}},
	{"ack/and claim in one call", func(e *env) {
		e.add(1, 4)
		e.register("s")
		x := e.call("s", 2)
		x.Done = claims(e.claim("s", 2))
		x.Seq = e.seq("s", "x")
		out := e.exchange(x)
		e.claimed(out.Jobs, ids(3, 4)...)
		e.equal("refused", out.Refused, nil)
		e.counts(0, 0, 2, 0, 0)
	}},
	{"ack/kept with its result", func(e *env) {
		e.enqueue("", broker.Item{ID: id(1), Envelope: kept(1)}, broker.Item{ID: id(2), Envelope: kept(2)})
		e.register("s")
		jobs := e.claim("s", 5)
		now := e.now()
		record, _ := stateBytes(wire.State{Attempts: 1, StartedAt: 5, FinishedAt: 6, Generation: 77, Ghosts: 66})
		x := e.call("s", 0)
		x.Kept = []broker.Kept{
			{Claim: jobs[0].Claim, Retention: 3_600_000, State: record, Result: []byte("\x00result\xff")},
			{Claim: jobs[1].Claim, Retention: 60_000},
		}
		e.equal("refused", e.exchange(x).Refused, nil)
		e.counts(0, 0, 0, 0, 2)
		e.total("succeeded", 2)
		f := e.state(1, broker.StateFinished)
		if string(f.Result) != "\x00result\xff" || f.Score < now+3_600_000 || f.Score > now+3_605_000 || f.NowUS/1000 < now {
			e.Errorf("got %+v", f)
		}
		want := wire.State{Attempts: 1, StartedAt: 5, FinishedAt: 6} // where its list entries are is for Redis to say
		e.equal("record", e.record(1), want)
		e.equal("record", e.record(2), wire.State{})
		e.enqueue("d", item(1, 0))
	}},
	{"ack/stale tokens are refused and counted", func(e *env) {
		e.enqueue("", item(1, 0), item(2, 0), broker.Item{ID: id(3), Envelope: kept(3)})
		e.register("s", "t")
		old := e.claim("s", 3)
		e.settle("s", "ooo", settles(old, broker.Release, 0)...)
		fresh := e.claim("s", 3) // the same session holds a newer claim of the same ids
		before := e.dump()
		x := e.call("s", 0)
		x.Done = claims(old[:2])
		x.Kept = []broker.Kept{{Claim: old[2].Claim, Retention: 1000, State: []byte{1, 0, 0, 0, 0, 0, 1}, Result: []byte("r")}}
		e.equal("refused", e.exchange(x).Refused, []int{0, 1, 2})
		e.total("refused", 3)
		e.untouched(before)
		y := e.call("t", 0) // another session's claim
		y.Done = claims(fresh)
		e.equal("refused", e.exchange(y).Refused, []int{0, 1, 2})
		e.untouched(before)
		x = e.call("s", 0)
		x.Done = []broker.Claim{fresh[0].Claim, old[1].Claim}
		x.Kept = []broker.Kept{{Claim: fresh[2].Claim, Retention: 1000}}
		e.equal("refused", e.exchange(x).Refused, []int{1})
		e.counts(0, 0, 1, 0, 1)
	}},
	{"ack/twice in one call is one success", func(e *env) {
		e.add(1, 2)
		e.register("s")
		jobs := e.claim("s", 1)
		x := e.call("s", 0)
		x.Done = append(claims(jobs), claims(jobs)...)
		e.exchange(x)
		e.total("succeeded", 1)
		e.counts(1, 0, 0, 0, 0)
	}},
	{"ack/a run of the right tokens on the wrong ids", func(e *env) {
		e.add(1, 20)
		e.register("s")
		x := e.call("s", 0)
		x.Done = claims(e.claim("s", 20))
		x.Done[3].ID, x.Done[17].ID = x.Done[17].ID, x.Done[3].ID
		x.Seq = e.seq("s", "x")
		e.equal("refused", e.exchange(x).Refused, []int{3, 17})
		e.counts(0, 0, 2, 0, 0)
		e.total("succeeded", 18)
	}},
	{"ack/runs of tokens with holes", func(e *env) {
		e.add(1, 60)
		e.register("s", "t")
		jobs := e.claim("s", 20)
		other := e.claim("t", 20) // tokens between two batches of the same session
		jobs = append(jobs, e.claim("s", 20)...)
		e.settle("s", "oo", settles([]broker.Claimed{jobs[5], jobs[33]}, broker.Release, 0)...)
		wrong := claims(jobs)
		wrong[10].ID, wrong[11].ID = wrong[11].ID, wrong[10].ID // the right tokens on the wrong ids
		x := e.call("s", 0)
		x.Done = append(wrong, claims(other[:9])...) // claims of another session
		refused := append([]int{5, 10, 11, 33}, 40, 41, 42, 43, 44, 45, 46, 47, 48)
		e.equal("refused", e.exchange(x).Refused, refused)
		e.total("succeeded", 36)
		e.total("refused", int64(len(refused)))
		e.counts(2, 0, 22, 0, 0)
		e.state(11, broker.StateRunning)
		e.state(12, broker.StateRunning)
	}},
	{"ack/1000 in one call", func(e *env) {
		e.add(1, 1000)
		e.register("s")
		var all []broker.Claimed
		for range 4 {
			all = append(all, e.claim("s", 250)...)
		}
		e.ack("s", all)
		e.counts(0, 0, 0, 0, 0)
	}},
	{"ack/success wins over a cancel mark", func(e *env) {
		e.enqueue("", item(1, 0), broker.Item{ID: id(2), Envelope: kept(2)})
		e.register("s")
		jobs := e.claim("s", 2)
		e.verb(e.b.Cancel, 1, broker.StateRunning, "s")
		e.verb(e.b.Cancel, 2, broker.StateRunning, "s")
		x := e.call("s", 0)
		x.Done, x.Kept = claims(jobs[:1]), []broker.Kept{{Claim: jobs[1].Claim, Retention: 1000}}
		e.equal("refused", e.exchange(x).Refused, nil)
		e.counts(0, 0, 0, 0, 1)
		e.equal("marks", e.rdb.HLen(e.ctx, e.q.Key(keys.Cancels)).Val(), int64(0))
	}},
}

// untouched is unchanged but for the record of the call itself and the count of refusals.
func (e *env) untouched(before map[string]string) {
	e.Helper()
	after := e.dump()
	for key, value := range before {
		if strings.Contains(key, ":lanes:") || strings.HasSuffix(key, ":meta") {
			continue
		}
		if after[key] != value {
			e.Fatalf("%s was %s and is %s", key, value, after[key])
		}
	}
}
