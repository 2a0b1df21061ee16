package brokertest

import (
	"fmt"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/wire"
)

var listCases = []testCase{
	{"list/each state", func(e *env) {
		e.inEachState()
		e.verb(e.b.Cancel, 3, broker.StateRunning, "s")
		for n, state := range map[int]broker.State{1: broker.StateReady, 2: broker.StateScheduled, 3: broker.StateRunning,
			4: broker.StateDead, 5: broker.StateFinished} {
			jobs := e.list(state, 9, start(state))
			e.equal(string(state), numbers(jobs), []int{n})
			want := e.state(n, state)
			want.Result, want.NowUS = nil, jobs[0].NowUS
			e.equal(string(state), fmt.Sprintf("%+v", jobs[0].Found), fmt.Sprintf("%+v", want))
		}
	}},
	{"list/suspects apart", func(e *env) {
		e.suspects(1, 3)
		e.add(4, 5)
		e.verb(e.b.Cancel, 2, broker.StateCancelled, "")
		e.listed(broker.StateSuspect, 1, 1, 3)
		e.listed(broker.StateReady, 1, 4, 5)
		e.equal("state", e.list(broker.StateSuspect, 9, broker.Place{})[0].State, broker.StateReady)
	}},
	{"list/nothing", func(e *env) {
		for range 2 {
			for _, state := range []broker.State{broker.StateReady, broker.StateSuspect, broker.StateScheduled, broker.StateRunning,
				broker.StateDead, broker.StateFinished} {
				before := e.dump()
				p := e.page(state, 9, start(state))
				e.equal("page", []any{len(p.Jobs), p.Done}, []any{0, true})
				e.unchanged(before)
			}
			e.register("s")
		}
	}},
	{"list/ready in the order of claims, past stale entries", func(e *env) {
		var items []broker.Item
		for n := 1; n <= 40; n++ {
			items = append(items, item(n, uint8(n%3*4)))
		}
		e.enqueue("", items...)
		e.cancelAll(5, 9)
		e.edit(11, envelope(11, 9), nil, broker.StateEdited)
		e.edit(12, nil, &broker.Due{In: 60_000}, broker.StateEdited)
		e.edit(13, envelope(13, 8), nil, broker.StateEdited)
		e.verb(e.b.Delete, 40, broker.StateDeleted, "")
		var got [][]int
		for _, count := range []int{1, 2, 3, 7, 100} {
			got = append(got, numbers(e.list(broker.StateReady, count, start(broker.StateReady))))
		}
		e.register("s")
		var want []int
		for _, job := range e.claim("s", 100) {
			want = append(want, int(job.ID[15]))
		}
		for _, one := range got {
			e.equal("listed", one, want)
		}
		e.listed(broker.StateReady, 3)
		e.listed(broker.StateRunning, 3, want...)
	}},
	{"list/nothing but stale entries for a long time", func(e *env) {
		e.ghosts(1, 1700)
		e.add(1701, 1702)
		e.listed(broker.StateReady, 50, 1701, 1702)
	}},
	{"list/ready while heads are claimed and others come", func(e *env) {
		e.register("s")
		e.add(1, 100)
		next := 101
		got := numbers(e.list(broker.StateReady, 10, start(broker.StateReady), func() {
			e.claim("s", 4) // slower than the listing
			e.add(next, next+6)
			next += 7
		}))
		e.equal("listed", got, span(1, 100))
	}},
	{"list/ready while claims overtake it", func(e *env) {
		e.register("s")
		e.add(1, 100)
		got := numbers(e.list(broker.StateReady, 10, start(broker.StateReady), once(func() { e.claim("s", 50) })))
		e.equal("listed", got, append(span(1, 10), span(51, 100)...))
		e.listed(broker.StateReady, 10, span(51, 100)...)
		e.equal("all claimed", numbers(e.list(broker.StateReady, 10, start(broker.StateReady), once(func() { e.claim("s", 50) }))), span(51, 60))
	}},
	{"list/ready while many come", func(e *env) {
		e.add(1, 100)
		got := numbers(e.list(broker.StateReady, 10, start(broker.StateReady), once(func() { e.add(1001, 8500) })))
		e.equal("listed", got, span(1, 100))
		from := e.page(broker.StateReady, 10, start(broker.StateReady)).Jobs[4].Place
		e.add(9001, 17000)
		p := e.page(broker.StateReady, 10, from)
		e.equal("page", []any{len(p.Jobs), p.Done, p.Next.Mark}, []any{0, false, from.Mark})
		e.equal("then", numbers(e.page(broker.StateReady, 10, p.Next).Jobs), span(6, 15))
	}},
	{"list/ready, the last one met comes back to the front", func(e *env) {
		e.register("s")
		e.add(1, 20)
		got := numbers(e.list(broker.StateReady, 5, start(broker.StateReady), once(func() {
			jobs := e.claim("s", 8)
			e.settle("s", "ooo", settles(jobs[3:6], broker.Release, 0)...) // 4, 5 and 6
		})))
		// Those that moved come twice; the others are met once.
		e.equal("listed", got, append(append(span(1, 5), 4, 5, 6), span(9, 20)...))
	}},
	{"list/sets, whatever leaves them", func(e *env) {
		at := e.now() + 60_000
		var items []broker.Item
		for n := 1; n <= 60; n++ {
			it := item(n*7%61, 0) // in no order
			it.Due.At = at + int64(n*7%61/20)
			items = append(items, it)
		}
		e.enqueue("", items...)
		for _, count := range []int{1, 7, 20, 100} {
			e.listed(broker.StateScheduled, count, span(1, 60)...)
		}
		first := e.page(broker.StateScheduled, 25, broker.Place{})
		for _, n := range []int{1, 19, 20, 25} {
			e.verb(e.b.Delete, n, broker.StateDeleted, "")
			for _, one := range first.Jobs {
				got := numbers(e.list(broker.StateScheduled, 100, one.Place))
				last := numbers([]broker.Listed{one})[0]
				var want []int
				for _, m := range span(last+1, 60) {
					if _, err := e.rdb.ZScore(e.ctx, e.q.Key(keys.Scheduled), sid(m)).Result(); err == nil {
						want = append(want, m)
					}
				}
				e.equal(fmt.Sprint("behind ", last), got, want)
			}
		}
		got := numbers(e.list(broker.StateScheduled, 9, broker.Place{At: at + 1, Last: at + 2}))
		e.equal("between two times", got, []int{21, 22, 23, 24, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46,
			47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59})
		e.equal("before all", numbers(e.list(broker.StateScheduled, 9, broker.Place{Last: at - 1})), nil)
		e.equal("behind all", numbers(e.list(broker.StateScheduled, 9, broker.Place{At: at + 4})), nil)
	}},
	{"list/what dies again is not met again", func(e *env) {
		e.register("s")
		e.kill(1, 30)
		got := numbers(e.list(broker.StateDead, 10, broker.Place{}, func() {
			dead := e.list(broker.StateDead, 100, broker.Place{})
			e.redrive("o", numbers(dead[:1])[0])
			now := e.now()
			for e.now() == now { // one that dies in the very ms of the first page may count as having been there
			}
			e.settle("s", "o", settles(e.claim("s", 1), broker.Dead, 0)...)
		}))
		e.equal("met twice or not at all", len(got)-len(unique(got)), 0)
		e.equal("listed", len(got), 30)
	}},
	{"list/running over many sessions, by start", func(e *env) {
		for i := 1; i <= 90; i++ {
			e.add(i, i)
			session := fmt.Sprint("s", i%13)
			if i <= 13 {
				e.register(session)
			}
			e.claimed(e.claim(session, 1), id(i))
		}
		for _, count := range []int{3, 10, 100} {
			e.listed(broker.StateRunning, count, span(1, 90)...)
		}
		jobs := e.list(broker.StateRunning, 100, broker.Place{})
		e.equal("session", jobs[20].Session, "s8")
		from, last := jobs[10].Score, jobs[19].Score
		e.equal("between two times", numbers(e.list(broker.StateRunning, 3, broker.Place{At: from, Last: last})), span(11, 20))
		e.register("t")
		got := numbers(e.list(broker.StateRunning, 20, broker.Place{}, func() {
			jobs := e.claim("t", 1)
			e.settle("t", "ooo"[:len(jobs)], settles(jobs, broker.Release, 0)...)
			e.add(int(e.sent)+200, int(e.sent)+200)
			e.claim("t", 1)
		}))
		e.equal("while others are claimed", got, span(1, 90))
	}},
	{"list/sessions change while they are read", func(e *env) {
		e.add(1, 2)
		e.register("s")
		e.claim("s", 1)
		e.b = broker.New(&meddler{UniversalClient: e.rdb, after: func() { e.register("t" + uuid.NewString()) }, times: 3}, e.space)
		e.listed(broker.StateRunning, 5, 1)
	}},
	{"list/pages are bounded in bytes", func(e *env) {
		e.register("s")
		for n := 1; n <= 12; n++ {
			size := 60_000
			if n == 6 {
				size = 900_000
			}
			env := wire.Envelope{Kind: "k", Args: make([]byte, size)}
			e.enqueue("", broker.Item{ID: id(n), Envelope: env.Append(nil)})
		}
		var sizes []int
		for from := start(broker.StateReady); ; {
			p := e.page(broker.StateReady, 100, from)
			sizes = append(sizes, len(p.Jobs))
			if from = p.Next; p.Done {
				break
			}
		}
		e.equal("jobs on each page", sizes, []int{4, 1, 1, 4, 2})
		e.listed(broker.StateReady, 100, span(1, 12)...)
	}},
	{"list/a reader marks its calls, where the server knows that", func(e *env) {
		e.inEachState()
		h := &words{UniversalClient: e.rdb}
		e.b = e.b.Reader(h)
		all := func() {
			e.Helper()
			e.must(e.rdb.ScriptFlush(e.ctx).Err())
			h.seen = nil
			e.listed(broker.StateRunning, 5, 3)
			e.listed(broker.StateDead, 5, 4)
			e.counts(1, 1, 1, 1, 1)
		}
		all()
		if e.rdb.ConfigGet(e.ctx, "save").Err() == nil { // the embedded server takes no marked read that looks at the clock
			e.equal("calls", h.seen, []string{"evalsha_ro", "eval_ro", "evalsha_ro", "evalsha_ro", "eval_ro"})
		}
		for _, refusal := range []string{"ERR unknown command `EVALSHA_RO`", "NOPERM this user has no permissions to run the 'evalsha_ro' command"} {
			h.refuse = refusal
			e.b = broker.New(h, e.space).Reader(h)
			all()
			e.equal("calls", h.seen, []string{"evalsha_ro", "evalsha", "eval", "evalsha", "evalsha", "eval"})
		}
	}},
	{"list/what has no envelope, or no sensible one", func(e *env) {
		e.addLater(1, 5)
		e.add(6, 9)
		e.must(e.rdb.HDel(e.ctx, e.q.Key(keys.Jobs), sid(2), sid(5), sid(7)).Err())
		e.must(e.rdb.HSet(e.ctx, e.q.Key(keys.Jobs), sid(3), "x", sid(8), "\x00\x00\x00").Err())
		for _, count := range []int{1, 2, 9} {
			e.listed(broker.StateScheduled, count, 1, 3, 4)
			e.listed(broker.StateReady, count, 6, 8, 9)
		}
	}},
}
