package brokertest

import (
	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/wire"
)

// recover makes one call.
func (e *env) recover(session string) broker.Recovery {
	e.Helper()
	r, err := e.b.Recover(e.ctx, e.q, session, ttl, crashLimit, false)
	e.must(err)
	return r
}

var recoverCases = []testCase{
	{"recover/alive, gone, wait", func(e *env) {
		e.add(1, 1)
		e.equal("before any heartbeat", e.recover("s"), broker.Recovery{Wait: true})
		e.register("s")
		e.claim("s", 1)
		before := e.dump()
		e.equal("alive", e.recover("s"), broker.Recovery{})
		e.equal("gone", e.recover("unknown"), broker.Recovery{})
		e.unchanged(before)
		e.expire("s")
		e.must(e.rdb.HSet(e.ctx, e.q.Key(keys.Meta), "beat", e.now()-ttl.Milliseconds()).Err())
		before = e.dump()
		e.equal("after a silence", e.recover("s"), broker.Recovery{Wait: true})
		e.unchanged(before)
		e.must(e.rdb.HSet(e.ctx, e.q.Key(keys.Meta), "beat", e.now(), "no_recover_until", e.now()+5000).Err())
		e.equal("after an outage", e.recover("s"), broker.Recovery{Wait: true})
		e.must(e.rdb.HSet(e.ctx, e.q.Key(keys.Meta), "no_recover_until", e.now()-1).Err())
		e.equal("in its time", e.recover("s"), broker.Recovery{Moved: 1})
		e.equal("sessions", e.sessions(), []string{})
	}},
	{"recover/600 jobs keep their order, without an attempt used", func(e *env) {
		e.add(1, 600)
		e.register("s", "t")
		e.enqueue("", item(700, 9), item(701, 9))
		for range 3 {
			e.claim("s", 250)
		}
		e.add(601, 602)
		e.enqueue("", item(702, 9))
		e.expire("s")
		first := e.recover("s")
		e.equal("first bite", first, broker.Recovery{More: true, Moved: 250})
		// Between two bites the session is lost already.
		_, err := e.send(e.call("s", 1))
		e.fails(err, broker.ErrLost)
		e.fails(e.beat("s", broker.Keep).Err, broker.ErrLost)
		e.equal("expired", e.beat("t", broker.Keep).Expired, []string{"s"})
		calls, rest := e.recoverAll("s")
		e.equal("rest", []int{calls, rest.Moved}, []int{2, 352})
		e.total("recovered", 602)
		var got []broker.Claimed
		for range 3 {
			got = append(got, e.claim("t", 250)...)
		}
		want := append(ids(700, 702), ids(1, 602)...)
		e.equal("jobs", len(got), len(want))
		for i := range want {
			if got[i].ID != want[i] {
				e.Fatalf("place %d: %v, want %v", i, got[i].ID, want[i])
			}
		}
		e.equal("record", e.record(1), wire.State{Crashes: 1})
		e.equal("record of one that did not run", e.record(601), wire.State{})
		e.equal("keys of the session", e.rdb.Exists(e.ctx, e.q.Running("s"), e.q.Lanes("s")).Val(), int64(0))
	}},
	{"recover/suspect, then dead", func(e *env) {
		e.add(1, 2)
		e.register("a", "b", "c")
		e.claimed(e.claim("a", 1), id(1))
		e.expire("a")
		e.equal("first crash", e.recover("a"), broker.Recovery{Moved: 1})
		e.claimed(e.claim("b", 1), id(1))
		e.expire("b")
		e.equal("second crash", e.recover("b"), broker.Recovery{Moved: 1, Suspects: 1})
		e.claimed(e.claim("c", 5), id(2)) // the suspect waits for somebody who takes it alone
		e.equal("suspect", e.counts(1, 0, 1, 0, 0).Suspects, int64(1))
		e.claimed(e.exchange(e.callSuspect("c", 5)).Jobs, id(1))
		e.register("d")
		e.expire("c")
		e.equal("third crash", e.recover("c"), broker.Recovery{Moved: 2, Dead: 1})
		e.state(1, broker.StateDead)
		e.equal("record", e.record(1), wire.State{Flags: wire.Crashed, Crashes: 3})
		e.equal("record of the innocent", e.record(2), wire.State{Crashes: 1})
		e.redrive("o", 1)
		e.equal("record of the redriven", e.record(1), wire.State{})
	}},
	{"recover/limits of one and two", func(e *env) {
		e.add(1, 1)
		e.register("a", "b", "c")
		e.claim("a", 1)
		e.expire("a")
		r, err := e.b.Recover(e.ctx, e.q, "a", ttl, 2, false)
		e.must(err)
		e.equal("recovery", r, broker.Recovery{Moved: 1, Suspects: 1})
		e.claimed(e.exchange(e.callSuspect("b", 1)).Jobs, id(1))
		e.expire("b")
		r, err = e.b.Recover(e.ctx, e.q, "b", ttl, 1, false)
		e.must(err)
		e.equal("recovery", r, broker.Recovery{Moved: 1, Dead: 1})
	}},
	{"recover/names what ended, where asked", func(e *env) {
		e.add(1, 3)
		e.register("a", "b")
		e.claim("a", 2)
		e.verb(e.b.Cancel, 2, broker.StateRunning, "")
		e.expire("a")
		r, err := e.b.Recover(e.ctx, e.q, "a", ttl, 1, true)
		e.must(err)
		e.equal("ended", len(r.Ended), 2)
		for _, job := range r.Ended {
			e.equal("dead", job.Dead, job.ID == id(1))
			kind, _ := wire.Names(job.Envelope)
			e.equal("kind", string(kind) != "", true)
		}
		e.claim("b", 1)
		e.expire("b")
		r, err = e.b.Recover(e.ctx, e.q, "b", ttl, 3, true)
		e.must(err)
		e.equal("what goes on", r, broker.Recovery{Moved: 1})
	}},
	{"recover/a cancel mark wins", func(e *env) {
		e.enqueue("", item(1, 0), broker.Item{ID: id(2), Envelope: kept(2)}, item(3, 0))
		e.register("s", "t")
		e.claim("s", 3)
		e.verb(e.b.Cancel, 1, broker.StateRunning, "s")
		e.verb(e.b.Cancel, 2, broker.StateRunning, "s")
		e.expire("s")
		e.equal("recovery", e.recover("s").Moved, 3)
		e.counts(1, 0, 0, 0, 1)
		e.total("cancelled", 2)
		e.state(1, broker.StateUnknown)
		e.state(2, broker.StateFinished)
		e.equal("flags", e.record(2).Flags, uint8(wire.Cancelled))
		e.claimed(e.claim("t", 5), id(3))
		e.equal("marks", e.rdb.HLen(e.ctx, e.q.Key(keys.Cancels)).Val(), int64(0))
	}},
	{"recover/late calls of the lost session are refused", func(e *env) {
		e.add(1, 3)
		e.register("s", "t")
		x := e.call("s", 3)
		jobs := e.exchange(x).Jobs
		e.expire("s")
		e.recover("s")
		e.claimed(e.claim("t", 1), id(1))
		before := e.dump()
		ack := e.call("s", 3)
		ack.Done = claims(jobs)
		for _, call := range []*broker.Exchange{x, ack} {
			_, err := e.send(call)
			e.fails(err, broker.ErrLost)
		}
		_, err := e.b.Fail(e.ctx, e.q, "s", 0, 1, settles(jobs, broker.Dead, 0))
		e.fails(err, broker.ErrLost)
		e.fails(e.beat("s", broker.Keep).Err, broker.ErrLost)
		e.equal("recovered again", e.recover("s"), broker.Recovery{})
		e.untouched(before)
	}},
	{"recover/nothing was running", func(e *env) {
		e.register("s", "t")
		e.exchange(e.call("s", 1))
		e.expire("s")
		e.equal("recovery", e.recover("s"), broker.Recovery{})
		e.equal("sessions", e.sessions(), []string{"t"})
		e.equal("lanes", e.rdb.Exists(e.ctx, e.q.Lanes("s")).Val(), int64(0))
	}},
}
