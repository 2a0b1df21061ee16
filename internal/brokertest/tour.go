package brokertest

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/wire"
)

// Tour makes every call that the broker has, most of them with several items, in a namespace of its own, and calls after
// behind each.
func Tour(t *testing.T, rdb redis.UniversalClient, namespace string, after func()) {
	t.Helper()
	e := newEnv(t, rdb, namespace)
	e.must(e.b.AddQueue(e.ctx, e.q))
	_, err := e.b.AdoptTTL(e.ctx, ttl)
	e.must(err)
	e.must(e.b.Announce(e.ctx, "me", []byte("{}")))
	e.must(e.b.Order(e.ctx, "me", wire.OrderQuiet))
	e.must(e.b.Poke(e.ctx, e.q, "me"))
	running := e.stage()
	after()
	for _, s := range e.transitions(running) {
		if err := s.call(); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		after()
		e.expire("s")
	}
	e.pause(false, false)
	e.tourOfBatches(after)
	e.register("t")
	e.recover("s")
	after()
	e.promote()
	e.equal("gone", e.beat("t", broker.Bye).Gone, true)
	after()
}

// tourOfBatches makes the calls that take several items, with several.
func (e *env) tourOfBatches(after func()) {
	e.Helper()
	e.suspects(30, 31)
	after()
	e.enqueue("", item(20, 0), item(21, 3), item(22, 0), broker.Item{ID: id(23), Envelope: kept(23)},
		broker.Item{ID: id(24), Envelope: kept(24)})
	e.register("s", "other")
	jobs := e.exchange(e.callSuspect("s", 9)).Jobs[1:]
	e.verb(e.b.Cancel, 22, broker.StateRunning, "s")
	after()
	x := e.call("s", 1)
	for i := range jobs {
		switch jobs[i].ID {
		case id(20), id(21):
			x.Done = append(x.Done, jobs[i].Claim)
		case id(23), id(24):
			x.Kept = append(x.Kept, broker.Kept{Claim: jobs[i].Claim, Retention: 1000, Result: []byte("r")})
		case id(22):
			e.settle("s", "cx", verdict(jobs[i], broker.Retry, 0, wire.State{}), verdict(jobs[i], broker.Dead, 0, wire.State{}))
		}
	}
	e.exchange(x)
	after()
	_, _, err := e.b.Heartbeat(e.ctx, ttl, []broker.Beat{{Queue: e.q, Session: "s", Mode: broker.Keep},
		{Queue: e.queue("second"), Session: "s", Mode: broker.Register}})
	e.must(err)
	e.redrive("uu", 98, 99)
	e.register("third")
	e.addLater(40, 40)
	e.edit(40, envelope(40, 1), nil, broker.StateEdited)
	e.verb(e.b.Cancel, 40, broker.StateCancelled, "")
	e.verb(e.b.Delete, 40, broker.StateUnknown, "")
	e.list(broker.StateRunning, 1, broker.Place{})
	e.drop(false, 4)
	e.tourOfMending()
	_, err = e.b.Counts(e.ctx, e.q)
	e.must(err)
	_, err = e.b.Peek(e.ctx, e.q)
	e.must(err)
	_, _, err = e.b.Fence(e.ctx, e.q, id(1), 1, 1, true)
	e.must(err)
	after()
}
