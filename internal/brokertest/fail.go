package brokertest

import (
	"strings"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/wire"
)

// verdict ends one claim and gives its job a record.
func verdict(job broker.Claimed, v broker.Verdict, delay int64, s wire.State) broker.Settle {
	raw, brief := s.Append(nil)
	return broker.Settle{Claim: job.Claim, Verdict: v, Delay: delay, State: raw, Brief: brief}
}

var failCases = []testCase{
	{"fail/each verdict", func(e *env) {
		var items []broker.Item
		for n := 1; n <= 8; n++ {
			items = append(items, item(n, 0))
		}
		items[5].Envelope, items[7].Envelope = kept(6), kept(8)
		e.enqueue("", items...)
		e.register("s")
		jobs := e.claim("s", 8)
		failed := wire.State{Attempts: 1, Errors: []wire.Failure{{Attempt: 1, At: 5, Error: "boom", Stack: "here"}}}
		now := e.now()
		e.settle("s", "oooooooo",
			verdict(jobs[0], broker.Retry, 60_000, failed),
			verdict(jobs[1], broker.Snooze, 90_000, wire.State{Snoozes: 1}),
			verdict(jobs[2], broker.Dead, 0, failed),
			broker.Settle{Claim: jobs[3].Claim, Verdict: broker.Release},
			verdict(jobs[4], broker.Cancelled, 0, wire.State{}),
			verdict(jobs[5], broker.Cancelled, 0, failed),
			verdict(jobs[6], broker.Expired, 0, wire.State{}),
			verdict(jobs[7], broker.Expired, 0, wire.State{}))
		c := e.counts(1, 2, 0, 1, 2)
		for name, want := range map[string]int64{"failed": 2, "snoozed": 1, "died": 1, "released": 1, "cancelled": 2, "expired": 2} {
			e.equal(name, c.Totals[name], want)
		}
		for n, in := range map[int]int64{1: 60_000, 2: 90_000} {
			if due := e.state(n, broker.StateScheduled).Score; due < now+in || due > now+in+5000 {
				e.Errorf("job %d is due in %d ms, want %d", n, due-now, in)
			}
		}
		e.state(3, broker.StateDead)
		e.state(4, broker.StateReady)
		e.state(5, broker.StateUnknown)
		e.state(6, broker.StateFinished)
		e.state(7, broker.StateUnknown)
		e.state(8, broker.StateFinished)
		e.equal("record of a retry", e.record(1), failed)
		failed.Flags = wire.Cancelled
		e.equal("record of a cancelled job", e.record(6), failed)
		e.equal("record of an expired job", e.record(8), wire.State{Flags: wire.Expired})
		e.equal("record of a released job", e.record(4), wire.State{})
	}},
	{"fail/releases keep their order, before others and by priority", func(e *env) {
		e.enqueue("", item(1, 0), item(2, 0), item(3, 0), item(4, 9), item(5, 9))
		e.register("s")
		jobs := e.claim("s", 5)
		e.enqueue("", item(6, 9), item(7, 0))
		e.settle("s", "ooooo", settles(jobs, broker.Release, 0)...)
		e.claimed(e.claim("s", 9), id(4), id(5), id(6), id(1), id(2), id(3), id(7))
	}},
	{"fail/a stale claim changes nothing", func(e *env) {
		e.add(1, 2)
		e.register("s", "t")
		old := e.claim("s", 2)
		e.settle("s", "oo", settles(old, broker.Release, 0)...)
		fresh := e.claim("s", 2)
		before := e.dump()
		for _, v := range []broker.Verdict{broker.Retry, broker.Snooze, broker.Dead, broker.Cancelled, broker.Expired, broker.Release} {
			e.settle("s", "xx", verdict(old[0], v, 1, wire.State{Attempts: 9}), verdict(old[1], v, 1, wire.State{Attempts: 9}))
			e.settle("t", "x", verdict(fresh[0], v, 1, wire.State{Attempts: 9}))
		}
		e.untouched(before)
		e.total("refused", 18)
		e.settle("s", "oxx", verdict(fresh[0], broker.Dead, 0, wire.State{}), verdict(fresh[0], broker.Dead, 0, wire.State{}),
			verdict(broker.Claimed{Claim: broker.Claim{ID: id(99), Token: 5}}, broker.Dead, 0, wire.State{}))
	}},
	{"fail/a cancel mark wins", func(e *env) {
		e.add(1, 6)
		e.register("s")
		jobs := e.claim("s", 6)
		for n := 1; n <= 6; n++ {
			e.verb(e.b.Cancel, n, broker.StateRunning, "s")
		}
		e.settle("s", "ccccco", verdict(jobs[0], broker.Retry, 1, wire.State{}), verdict(jobs[1], broker.Snooze, 1, wire.State{}),
			verdict(jobs[2], broker.Dead, 0, wire.State{}), verdict(jobs[3], broker.Release, 0, wire.State{}),
			verdict(jobs[4], broker.Expired, 0, wire.State{}), verdict(jobs[5], broker.Cancelled, 0, wire.State{}))
		e.counts(0, 0, 0, 0, 0)
		e.total("cancelled", 6)
		e.equal("marks", e.rdb.HLen(e.ctx, e.q.Key(keys.Cancels)).Val(), int64(0))
	}},
	{"fail/a mark of another claim does not", func(e *env) {
		e.add(1, 1)
		e.register("s")
		job := e.claim("s", 1)
		e.must(e.rdb.HSet(e.ctx, e.q.Key(keys.Cancels), sid(1), job[0].Token-1).Err())
		e.settle("s", "o", verdict(job[0], broker.Retry, 1000, wire.State{Attempts: 1}))
		e.counts(0, 1, 0, 0, 0)
		e.equal("marks", e.rdb.HLen(e.ctx, e.q.Key(keys.Cancels)).Val(), int64(0))
	}},
	{"fail/replay", func(e *env) {
		e.add(1, 3)
		e.register("s")
		jobs := e.claim("s", 2)
		e.verb(e.b.Cancel, 1, broker.StateRunning, "s")
		items := append(settles(jobs, broker.Release, 0), settles(jobs[:1], broker.Dead, 0)...)
		first, err := e.b.Fail(e.ctx, e.q, "s", 0, 1, items)
		e.must(err)
		e.equal("outcomes", first, []broker.Settled{broker.SettledCancelled, broker.SettledDone, broker.SettledRefused})
		again := e.claim("s", 1)
		e.claimed(again, id(2))
		before := e.dump()
		second, err := e.b.Fail(e.ctx, e.q, "s", 0, 1, items)
		e.must(err)
		e.equal("outcomes", second, first)
		e.unchanged(before)
		_, err = e.b.Fail(e.ctx, e.q, "s", 0, 2, settles(again, broker.Release, 0))
		e.must(err)
		before = e.dump()
		_, err = e.b.Fail(e.ctx, e.q, "s", 0, 1, items)
		e.fails(err, broker.ErrStale)
		e.unchanged(before)
		_, err = e.b.Fail(e.ctx, e.q, "nobody", 0, 1, items)
		e.fails(err, broker.ErrLost)
		e.total("refused", int64(1+len(items))) // one of the first call was too
	}},
	{"fail/keeps what only redis knows", func(e *env) {
		e.add(1, 1)
		e.edit(1, envelope(1, 9), nil, broker.StateEdited)
		e.register("s", "t")
		e.claimed(e.claim("s", 1), id(1))
		e.expire("s")
		e.recoverAll("s")
		job := e.claim("t", 1)
		e.settle("t", "o", verdict(job[0], broker.Snooze, 0, wire.State{Snoozes: 1, Generation: 9, Ghosts: 9, Crashes: 9}))
		want := wire.State{Snoozes: 1, Generation: 1, Ghosts: 1, Crashes: 1}
		e.equal("record", e.record(1), want)
		e.due()
		_, err := e.b.Promote(e.ctx, e.q)
		e.must(err)
		job = e.claim("t", 1)
		e.settle("t", "o", verdict(job[0], broker.Retry, 0, wire.State{Attempts: 1, Crashes: 9}))
		want = wire.State{Attempts: 1, Generation: 1, Ghosts: 1} // it came back by itself: not it crashes its worker
		e.equal("record", e.record(1), want)
	}},
	{"fail/a long history fits, 250 in one call", func(e *env) {
		e.add(1, 250)
		e.register("s")
		jobs := e.claim("s", 250)
		var s wire.State
		for i := range wire.MaxFailures {
			s.AddFailure(wire.Failure{Attempt: i + 1, Error: strings.Repeat("\x00é", 700), Stack: strings.Repeat("s", 5000)})
		}
		var items []broker.Settle
		for _, job := range jobs {
			items = append(items, verdict(job, broker.Retry, 60_000, s))
		}
		e.settle("s", strings.Repeat("o", 250), items...)
		e.counts(0, 250, 0, 0, 0)
		e.equal("failures kept", len(e.record(250).Errors), wire.MaxFailures)
		e.equal("due tokens", e.length(keys.Due), int64(1))
	}},
}
