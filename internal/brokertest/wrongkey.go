package brokertest

import (
	"errors"
	"slices"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/wire"
)

// step is one call of a transition, on the jobs of inEachState and job 6 that session s runs.
type step struct {
	name  string
	extra []string // keys beyond the fixed ones that it declares
	only  []int    // the fixed ones that it declares; nil = all
	call  func() error
	never []int // places of fixed keys that it declares as every call does, and never touches
}

// transitions is every call that the broker has, each with something to do.
func (e *env) transitions(running broker.Claim) []step {
	return slices.Concat(e.producersSteps(), e.workersSteps(running), e.operatorsSteps(), e.lookingSteps())
}

// ofSession are the keys that calls on a session declare; those that only ask what it runs declare the first.
func (e *env) ofSession() []string { return []string{e.q.Running("s"), e.q.Lanes("s")} }

func (e *env) producersSteps() []step {
	enqueue := []int{keys.Jobs, keys.Producers, keys.Wake, keys.Meta, keys.Ready}
	return []step{
		{name: "enqueue", only: append(enqueue, keys.Scheduled, keys.Due, keys.Ready+3), call: func() error {
			later := item(8, 3)
			later.Due.In = 60_000
			_, err := e.b.Enqueue(e.ctx, e.q, e.stamp(), []broker.Item{item(7, 0), later})
			return err
		}},
		{name: "enqueue in a transaction", only: enqueue, call: func() error {
			pipe := e.rdb.TxPipeline()
			enqueued := e.b.EnqueueTx(e.ctx, pipe, e.q, e.stamp(), []broker.Item{item(9, 0)})
			_, _ = pipe.Exec(e.ctx) // its errors are those of the calls
			_, err := enqueued()
			return err
		}},
	}
}

func (e *env) workersSteps(running broker.Claim) []step {
	session := e.ofSession()
	return []step{
		{name: "exchange", extra: session, call: func() error {
			x := e.callSuspect("s", 5)
			x.Done = []broker.Claim{running}
			_, err := e.send(x)
			return err
		}, never: []int{keys.Scheduled, keys.Producers, keys.Dead, keys.Due}},
		{name: "fail", extra: session, call: func() error {
			_, err := e.b.Fail(e.ctx, e.q, "s", 0, e.seq("s", "f"),
				[]broker.Settle{verdict(broker.Claimed{Claim: running}, broker.Retry, 5, wire.State{Attempts: 1})})
			return err
		}},
		{name: "promote", call: func() error { _, err := e.b.Promote(e.ctx, e.q); return err }},
		{name: "nudge", call: func() error { return e.b.Nudge(e.ctx, e.q) }},
		{name: "heartbeat", extra: session, call: func() error {
			_, pulses, err := e.b.Heartbeat(e.ctx, ttl, []broker.Beat{{Queue: e.q, Session: "s", Mode: broker.Keep, To: 1 << 52}})
			if err != nil {
				return err
			}
			return pulses[0].Err
		}},
		{name: "recover", extra: session, call: func() error { _, err := e.b.Recover(e.ctx, e.q, "s", ttl, crashLimit, false); return err }},
		{name: "sweep", call: func() error { _, _, _, err := e.b.Sweep(e.ctx, e.q, "0"); return err }},
	}
}

func (e *env) operatorsSteps() []step {
	session := e.ofSession()
	return []step{
		{name: "cancel", extra: session[:1], call: func() error { _, err := e.b.Cancel(e.ctx, e.q, ids(3, 3)); return err }},
		{name: "delete", extra: session[:1], call: func() error { _, err := e.b.Delete(e.ctx, e.q, ids(1, 1)); return err }},
		{name: "edit", extra: session[:1], call: func() error {
			_, err := e.b.Edit(e.ctx, e.q, id(1), envelope(1, 0), envelope(1, 4), nil)
			return err
		}},
		{name: "redrive", call: func() error { _, err := e.b.Redrive(e.ctx, e.q, []uuid.UUID{id(4)}); return err }},
		{name: "pause", call: func() error { _, err := e.b.Pause(e.ctx, e.q, true); return err }},
		{name: "resume", call: func() error { _, err := e.b.Pause(e.ctx, e.q, false); return err }},
		{name: "purge ready", call: func() error { _, _, err := e.b.Purge(e.ctx, e.q, "ready"); return err }},
		{name: "purge dead", call: func() error { _, _, err := e.b.Purge(e.ctx, e.q, "dead"); return err }},
		{name: "drop", extra: session, call: func() error { _, _, err := e.b.Drop(e.ctx, e.q); return err }},
	}
}

// lookingSteps are the calls that change nothing.
func (e *env) lookingSteps() []step {
	running := e.ofSession()[:1]
	list := func(state broker.State) func() error {
		return func() error {
			_, err := e.b.List(e.ctx, e.q, state, broker.MaxPage, broker.Place{Priority: 9})
			return err
		}
	}
	return []step{
		{name: "get", extra: running, call: func() error { _, err := e.b.Get(e.ctx, e.q, id(3)); return err }},
		{name: "list ready", call: list(broker.StateReady)},
		{name: "list running", extra: running, call: list(broker.StateRunning)},
		{name: "list dead", call: list(broker.StateDead)},
		{name: "peek", call: func() error { _, err := e.b.Peek(e.ctx, e.q); return err }},
		{name: "counts", extra: running, call: func() error { _, err := e.b.Counts(e.ctx, e.q); return err }},
	}
}

// stage is inEachState with a session s that has expired and runs job 6 too, and a job that is due.
func (e *env) stage() broker.Claim {
	e.Helper()
	e.inEachState()
	e.enqueue("", item(6, 9))
	running := e.claim("s", 1)
	e.claimed(running, id(6))
	e.settle("s", "x", settles([]broker.Claimed{{Claim: broker.Claim{ID: id(99)}}}, broker.Release, 0)...)
	e.due()
	e.expire("s")
	return running[0].Claim
}

func (e *env) wrongKey(err error, key string) {
	e.Helper()
	var wrong *broker.KeyTypeError
	if !errors.As(err, &wrong) || wrong.Key != key {
		e.Errorf("error %v, want one that names %s", err, key)
	}
}

var wrongKeyCases = []testCase{
	{"wrong type/every key, every transition, nothing moves", func(e *env) {
		steps := e.transitions(e.stage())
		spare := e.space.Name() + ":{q}:spare" // in the slot of the keys it stands for
		try := func(key string, steps []step) {
			e.Helper()
			existed := e.rdb.Exists(e.ctx, key).Val() == 1
			if existed {
				e.must(e.rdb.Rename(e.ctx, key, spare).Err())
			}
			e.must(e.rdb.Set(e.ctx, key, "not ours", 0).Err())
			before := e.dump()
			for _, s := range steps {
				e.wrongKey(s.call(), key)
				if e.Failed() {
					e.Fatalf("in %s", s.name)
				}
			}
			e.unchanged(before)
			e.must(e.rdb.Del(e.ctx, key).Err())
			if existed {
				e.must(e.rdb.Rename(e.ctx, spare, key).Err())
			}
		}
		for place, key := range e.q.Fixed() {
			try(key, slices.DeleteFunc(slices.Clone(steps), func(s step) bool {
				return slices.Contains(s.never, place) || s.only != nil && !slices.Contains(s.only, place)
			}))
		}
		for _, s := range steps {
			for _, key := range s.extra {
				try(key, []step{s})
			}
		}
		for _, s := range steps { // and with the keys back, each of them works
			if err := s.call(); err != nil {
				e.Errorf("%s: %v", s.name, err)
			}
			e.expire("s")
		}
	}},
	{"wrong type/exchange of a plain queue, whose own reads tell", func(e *env) {
		e.add(1, 3)
		e.register("s")
		running := e.claim("s", 1)
		spare := e.space.Name() + ":{q}:spare"
		for _, key := range []string{e.q.Key(keys.Jobs), e.q.Key(keys.Wake), e.q.Key(keys.Meta), e.q.Key(keys.Sessions),
			e.q.Key(keys.Ready), e.q.Running("s"), e.q.Lanes("s")} {
			existed := e.rdb.Exists(e.ctx, key).Val() == 1
			if existed {
				e.must(e.rdb.Rename(e.ctx, key, spare).Err())
			}
			e.must(e.rdb.Set(e.ctx, key, "not ours", 0).Err())
			before := e.dump()
			for _, done := range [][]broker.Claim{nil, claims(running)} {
				x := e.call("s", 5)
				x.Done = done
				_, err := e.send(x)
				e.wrongKey(err, key)
			}
			e.unchanged(before)
			e.must(e.rdb.Del(e.ctx, key).Err())
			if existed {
				e.must(e.rdb.Rename(e.ctx, spare, key).Err())
			}
		}
		e.ack("s", running)
		e.counts(2, 0, 0, 0, 0)
	}},
	{"wrong type/queue names", func(e *env) {
		e.must(e.rdb.Set(e.ctx, e.space.Queues(), "not ours", 0).Err())
		e.wrongKey(e.b.AddQueue(e.ctx, e.q), e.space.Queues())
		_, err := e.b.Queues(e.ctx)
		e.wrongKey(err, e.space.Queues())
	}},
}
