package brokertest

import (
	"strings"
	"testing"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/internal/wire"
)

// full turns the server's memory limit on, below what it uses, or off.
func (e *env) full(on bool) {
	e.Helper()
	limit := "0"
	if on {
		limit = "1"
	}
	e.must(e.rdb.ConfigSet(e.ctx, "maxmemory", limit).Err())
}

func onFullServers(t *testing.T, run func(e *env)) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		run(newEnv(t, redistest.Client(t, srv), "full"))
	}, redistest.WithConfig("maxmemory-policy noeviction"))
}

func TestFullTakesNothing(t *testing.T) {
	onFullServers(t, func(e *env) {
		e.inEachState()
		e.full(true)
		before := e.dump()
		stamp := e.stamp()
		later := item(8, 3)
		later.Due.In = 1000
		_, err := e.b.Enqueue(e.ctx, e.q, stamp, []broker.Item{item(7, 0), later})
		e.fails(err, broker.ErrFull)
		pipe := e.rdb.TxPipeline()
		enqueued := e.b.EnqueueTx(e.ctx, pipe, e.q, e.stamp(), []broker.Item{item(9, 0)})
		_, _ = pipe.Exec(e.ctx) // its errors are those of the call
		_, err = enqueued()
		e.fails(err, broker.ErrFull)
		_, err = e.b.Edit(e.ctx, e.q, id(1), envelope(1, 0), envelope(1, 9), &broker.Due{In: 1000})
		e.fails(err, broker.ErrFull)
		e.unchanged(before)
		// A duplicate needs no room, and must not be told from a resend.
		e.resend(e.stamp(), "d", item(1, 0))
		e.full(false)
		e.resend(stamp, "cc", item(7, 0), later)
		e.edit(1, envelope(1, 9), nil, broker.StateEdited)
	})
}

func TestFullDrains(t *testing.T) {
	onFullServers(t, func(e *env) {
		running := e.stage()
		e.full(true)
		for _, s := range e.transitions(running) {
			err := s.call()
			if strings.HasPrefix(s.name, "enqueue") || s.name == "edit" {
				continue // job 1 is claimed by then: edit has its own case above
			}
			if err != nil {
				e.Errorf("%s: %v", s.name, err)
			}
			e.expire2("s")
		}
	})
}

func TestFullWorkerGoesOn(t *testing.T) {
	onFullServers(t, func(e *env) {
		e.add(1, 5)
		e.enqueue("", broker.Item{ID: id(6), Envelope: kept(6)})
		e.addLater(7, 7)
		e.must(e.b.AddQueue(e.ctx, e.q))
		e.full(true)
		e.must(e.b.AddQueue(e.ctx, e.q))
		e.fails(e.b.AddQueue(e.ctx, e.queue("new")), broker.ErrFull)
		agreed, err := e.b.AdoptTTL(e.ctx, ttl)
		e.must(err)
		e.equal("ttl", agreed, ttl)
		e.register("s", "t")
		jobs := e.claim("s", 6)
		e.claimed(jobs, ids(1, 6)...)
		var s wire.State
		for i := range wire.MaxFailures {
			s.AddFailure(wire.Failure{Attempt: i + 1, Error: strings.Repeat("x", 1000), Stack: strings.Repeat("s", 4000)})
		}
		e.settle("s", "oo", verdict(jobs[0], broker.Retry, 60_000, s), verdict(jobs[1], broker.Dead, 0, s))
		got := e.record(1)
		if len(got.Errors) != 1 || len(got.Errors[0].Error) != 200 || got.Errors[0].Attempt != wire.MaxFailures {
			e.Errorf("a full redis keeps the brief record; got %d failures", len(got.Errors))
		}
		x := e.call("s", 0)
		x.Done = claims(jobs[2:4])
		x.Kept = []broker.Kept{{Claim: jobs[5].Claim, Retention: 60_000, State: []byte{1, 0, 0, 0, 0, 0, 1}, Result: []byte("r")}}
		e.equal("refused", e.exchange(x).Refused, nil)
		e.must(e.beat("s", broker.Keep).Err)
		e.full(false)
		e.due()
		e.expire("s")
		e.full(true)
		e.equal("recovery", e.recover("s"), broker.Recovery{Moved: 1})
		e.equal("promoted", e.promote().Moved, 2)
		e.equal("jobs", len(e.claim("t", 9)), 3)
		e.counts(0, 0, 3, 1, 1)
		e.full(false)
		e.add(8, 8)
		e.settle("t", "x", settles([]broker.Claimed{{Claim: broker.Claim{ID: id(99)}}}, broker.Retry, 0)...)
	})
}

// expire2 is expire on a full server.
func (e *env) expire2(sessions ...string) {
	e.Helper()
	e.full(false)
	e.expire(sessions...)
	e.full(true)
}

// A run that could not be begun must say so: its own calls would pass for those of the run before.
func TestFullFences(t *testing.T) {
	onFullServers(t, func(e *env) {
		e.fence(1, 0, false)
		e.resend(place(1, 3), "c", item(1, 0))
		e.full(true)
		_, _, err := e.b.Fence(e.ctx, e.q, source, 1, 2, true)
		e.fails(err, broker.ErrFull)
		e.fence(1, 3, true) // nothing to write
		e.full(false)
		e.fence(2, 3, true)
	})
}
