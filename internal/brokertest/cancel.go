package brokertest

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/wire"
)

type verb = func(context.Context, *keys.Queue, []uuid.UUID) ([]broker.State, error)

// verb cancels or deletes a job and holds the answer, and the session that runs it, against want.
func (e *env) verb(v verb, n int, want broker.State, session string) {
	e.Helper()
	words, err := v(e.ctx, e.q, ids(n, n))
	e.must(err)
	e.equal(fmt.Sprint("job ", n), words, []broker.State{want})
	if session != "" {
		e.equal("session", e.state(n, broker.StateRunning).Session, session)
	}
}

// verbs is verb for several jobs at once.
func (e *env) verbs(v verb, want []broker.State, numbers ...int) {
	e.Helper()
	var list []uuid.UUID
	for _, n := range numbers {
		list = append(list, id(n))
	}
	words, err := v(e.ctx, e.q, list)
	e.must(err)
	e.equal("outcomes", words, want)
}

func (e *env) cancelAll(from, to int) {
	e.Helper()
	for n := from; n <= to; n++ {
		e.verb(e.b.Cancel, n, broker.StateCancelled, "")
	}
}

// ghosts is add and cancelAll in two strokes, for many.
func (e *env) ghosts(from, to int) {
	e.Helper()
	e.add(from, to)
	pipe := e.rdb.Pipeline()
	for n := from; n <= to; n++ {
		pipe.HSet(e.ctx, e.q.Key(keys.Jobs), sid(n), "\x00\x01")
	}
	pipe.HIncrBy(e.ctx, e.q.Key(keys.Meta), "ghosts", int64(to-from+1))
	_, err := pipe.Exec(e.ctx)
	e.must(err)
}

// inEachState makes jobs 1 ready, 2 scheduled, 3 running (session s), 4 dead, 5 finished.
func (e *env) inEachState() {
	e.Helper()
	e.enqueue("", item(3, 0), item(4, 0), broker.Item{ID: id(5), Envelope: kept(5)})
	e.register("s")
	jobs := e.claim("s", 3)
	e.settle("s", "o", verdict(jobs[1], broker.Dead, 0, wire.State{Attempts: 1}))
	x := e.call("s", 0)
	x.Kept = []broker.Kept{{Claim: jobs[2].Claim, Retention: 3_600_000, State: []byte{1, 0, 0, 0, 0, 0, 1}, Result: []byte("r")}}
	e.equal("refused", e.exchange(x).Refused, nil)
	e.add(1, 1)
	e.addLater(2, 2)
	e.counts(1, 1, 1, 1, 1)
}

var cancelCases = []testCase{
	{"cancel/each state", func(e *env) {
		e.inEachState()
		e.verb(e.b.Cancel, 4, broker.StateDead, "")
		e.verb(e.b.Cancel, 5, broker.StateFinished, "")
		e.verb(e.b.Cancel, 6, broker.StateUnknown, "")
		e.counts(1, 1, 1, 1, 1)
		e.verb(e.b.Cancel, 1, broker.StateCancelled, "")
		e.verb(e.b.Cancel, 2, broker.StateCancelled, "")
		e.verb(e.b.Cancel, 3, broker.StateRunning, "s")
		e.counts(0, 0, 1, 1, 1)
		e.total("cancelled", 2)
		e.verb(e.b.Cancel, 1, broker.StateUnknown, "")
		e.verb(e.b.Cancel, 3, broker.StateRunning, "s") // again: no harm
		e.total("cancelled", 2)
		e.equal("ghosts", e.meta("ghosts"), "1")
	}},
	{"cancel/kept where the job asks for it", func(e *env) {
		scheduled := broker.Item{ID: id(2), Envelope: kept(2), Due: broker.Due{In: 60_000}}
		e.enqueue("", broker.Item{ID: id(1), Envelope: kept(1)}, scheduled, item(3, 0))
		e.cancelAll(1, 2)
		e.counts(1, 0, 0, 0, 2)
		e.equal("record", e.record(1), wire.State{Flags: wire.Cancelled, Generation: 1, Ghosts: 1})
		e.equal("record", e.record(2), wire.State{Flags: wire.Cancelled})
		e.enqueue("dd", item(1, 0), item(2, 0))
		e.register("s")
		e.claimed(e.claim("s", 5), id(3))
		e.equal("record", e.record(1), wire.State{Flags: wire.Cancelled, Generation: 1})
		e.counts(0, 0, 1, 0, 2)
	}},
	{"delete/each state", func(e *env) {
		e.inEachState()
		e.verb(e.b.Delete, 3, broker.StateRunning, "s")
		e.verb(e.b.Delete, 6, broker.StateUnknown, "")
		e.counts(1, 1, 1, 1, 1)
		for _, n := range []int{1, 2, 4, 5} {
			e.verb(e.b.Delete, n, broker.StateDeleted, "")
			e.verb(e.b.Delete, n, broker.StateUnknown, "")
		}
		e.counts(0, 0, 1, 0, 0)
		e.total("deleted", 4)
		e.equal("ghosts", e.meta("ghosts"), "1")
		e.equal("results", e.rdb.HLen(e.ctx, e.q.Key(keys.Results)).Val(), int64(0))
		e.equal("jobs: the running one and a tombstone", e.rdb.HLen(e.ctx, e.q.Key(keys.Jobs)).Val(), int64(2))
		e.equal("records", e.rdb.HLen(e.ctx, e.q.Key(keys.State)).Val(), int64(0))
		e.enqueue("xccc", item(1, 0), item(2, 0), item(4, 0), item(5, 0))
	}},
	{"cancel/several at once, in each state", func(e *env) {
		e.inEachState()
		e.addLater(6, 7)
		e.enqueue("c", broker.Item{ID: id(8), Envelope: kept(8)})
		e.must(e.rdb.Del(e.ctx, e.q.Key(keys.Due)).Err())
		e.due() // the head is another one afterwards
		e.verbs(e.b.Cancel, []broker.State{broker.StateFinished, broker.StateDead, broker.StateRunning, broker.StateCancelled,
			broker.StateCancelled, broker.StateUnknown, broker.StateUnknown, broker.StateCancelled, broker.StateFinished},
			5, 4, 3, 2, 1, 1, 99, 8, 8)
		e.counts(0, 2, 1, 1, 2)
		e.total("cancelled", 3)
		e.equal("ghosts", e.meta("ghosts"), "2")
		e.equal("due tokens", e.length(keys.Due), int64(1))
		e.equal("mark", e.state(3, broker.StateRunning).Cancel, e.state(3, broker.StateRunning).Score)
	}},
	{"delete/several at once, in each state", func(e *env) {
		e.inEachState()
		e.addLater(6, 6)
		e.verbs(e.b.Delete, []broker.State{broker.StateDeleted, broker.StateDeleted, broker.StateRunning, broker.StateDeleted,
			broker.StateDeleted, broker.StateUnknown, broker.StateUnknown}, 5, 4, 3, 2, 1, 1, 99)
		e.counts(0, 1, 1, 0, 0)
		e.total("deleted", 4)
		e.equal("ghosts", e.meta("ghosts"), "1")
		e.verbs(e.b.Delete, []broker.State{broker.StateUnknown}, 1) // a tombstone
	}},
	{"cancel/250 at once", func(e *env) {
		e.add(1, 250)
		words, err := e.b.Cancel(e.ctx, e.q, ids(1, broker.MaxVerb))
		e.must(err)
		for i, word := range words {
			if word != broker.StateCancelled {
				e.Fatalf("%d: %s", i, word)
			}
		}
		e.counts(0, 0, 0, 0, 0)
		e.total("cancelled", 250)
	}},
	{"cancel/finds a running job among many sessions", func(e *env) {
		for n := 1; n <= 12; n++ {
			e.add(n, n)
			e.register(fmt.Sprint("s", n))
			e.claimed(e.claim(fmt.Sprint("s", n), 1), id(n))
		}
		e.expire("s7")
		e.must(e.rdb.ZAdd(e.ctx, e.q.Key(keys.Sessions), zero("s8", -1)).Err())
		for n := 1; n <= 12; n++ {
			e.verb(e.b.Cancel, n, broker.StateRunning, fmt.Sprint("s", n))
			e.verb(e.b.Delete, n, broker.StateRunning, fmt.Sprint("s", n))
		}
		e.counts(0, 0, 12, 0, 0)
	}},
	{"cancel/sessions change while they are read", func(e *env) {
		e.add(1, 2)
		e.register("s")
		e.claim("s", 1)
		racing := broker.New(&meddler{UniversalClient: e.rdb, after: func() {
			e.register("t" + uuid.NewString())
		}, times: 3}, e.space)
		e.verb(racing.Cancel, 1, broker.StateRunning, "s")
		endless := broker.New(&meddler{UniversalClient: e.rdb, after: func() {
			e.register("t" + uuid.NewString())
		}, times: 1000}, e.space)
		before := e.counts(1, 0, 1, 0, 0)
		for name, v := range map[string]verb{"cancel": endless.Cancel, "delete": endless.Delete} {
			if words, err := v(e.ctx, e.q, ids(2, 2)); err == nil {
				e.Errorf("%s: %s", name, words)
			}
		}
		e.equal("counts", e.counts(1, 0, 1, 0, 0).Totals, before.Totals)
		// A session that left takes nothing along.
		e.verb(broker.New(&meddler{UniversalClient: e.rdb, after: func() {
			e.register("gone")
			e.beat("gone", broker.Bye)
		}, times: 1}, e.space).Cancel, 2, broker.StateCancelled, "")
	}},
}
