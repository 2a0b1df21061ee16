package brokertest

import (
	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/wire"
)

func (e *env) peek() broker.Peeked {
	e.Helper()
	p, err := e.b.Peek(e.ctx, e.q)
	e.must(err)
	return p
}

// waiting is a job that was created at a time, with args that a peek need not read.
func waiting(n int, priority uint8, at int64) broker.Item {
	env := wire.Envelope{Kind: "k", Priority: priority, CreatedAt: at, Args: make([]byte, 10*wire.PeekBytes)}
	return broker.Item{ID: id(n), Envelope: env.Append(nil)}
}

var peekCases = []testCase{
	{"peek/an empty queue", func(e *env) {
		p := e.peek()
		e.equal("since, next due, sessions", []int64{p.Since, p.NextDue, int64(p.Sessions)}, []int64{0, 0, 0})
		if p.NowUS == 0 {
			e.Error("it does not say the time")
		}
	}},
	{"peek/the longest waiting of the heads", func(e *env) {
		e.enqueue("", waiting(1, 0, 5000), waiting(2, 0, 1000), waiting(3, 9, 7000), waiting(4, 3, 4000))
		e.equal("since", e.peek().Since, int64(4000))
		e.verb(e.b.Cancel, 4, broker.StateCancelled, "")
		e.equal("behind a cancelled one", e.peek().Since, int64(5000))
		e.verb(e.b.Delete, 1, broker.StateDeleted, "")
		e.equal("behind a deleted one", e.peek().Since, int64(1000))
	}},
	{"peek/a job that moved counts where it stands", func(e *env) {
		soon := broker.Due{}
		e.enqueue("", waiting(1, 0, 1000), waiting(2, 0, 3000))
		e.edit(1, nil, &broker.Due{In: 60_000}, broker.StateEdited)
		e.equal("without it", e.peek().Since, int64(3000))
		e.edit(1, nil, &soon, broker.StateEdited)
		e.equal("at the end of the list", e.peek().Since, int64(3000))
	}},
	{"peek/a retry waits since it was due", func(e *env) {
		e.enqueue("", waiting(1, 0, 1000))
		e.register("s", "t")
		jobs := e.claim("s", 1)
		e.settle("s", "o", verdict(jobs[0], broker.Release, 0, wire.State{FinishedAt: 8000, DueAt: 9000}))
		p := e.peek()
		e.equal("since, sessions", []int64{p.Since, int64(p.Sessions)}, []int64{9000, 2})
	}},
	{"peek/what is scheduled next, and sessions that live", func(e *env) {
		e.addLater(1, 2)
		e.register("s", "t")
		e.expire("t")
		p := e.peek()
		if in := p.NextDue - (p.NowUS+999)/1000; in < 3_500_000 || in > 3_600_000 {
			e.Errorf("due in %d ms", in)
		}
		e.equal("sessions", p.Sessions, 1)
	}},
	{"peek/looks no further than it should", func(e *env) {
		e.ghosts(1, 250)
		e.enqueue("", waiting(300, 0, 1000))
		e.equal("behind 250 stale entries", e.peek().Since, int64(0))
	}},
}
