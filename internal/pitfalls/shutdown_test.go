package pitfalls

import (
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

const (
	drainFor, settleFor = 500 * time.Millisecond, time.Second
	// deadline is when a worker that was told to stop must have gone, also when Redis answers nothing: the two above,
	// half a second for calls that are not answered, and what a loaded machine adds.
	deadline = drainFor + settleFor + 500*time.Millisecond + 3*time.Second
)

// phase is what a worker is about when it is told to stop. enter brings it there with so many jobs and answers how to let
// go what was held for that.
type phase struct {
	name    string
	enter   func(x *world, p *redistest.Proxy, c *child) (release func())
	repeats int  // jobs that another worker starts again although Redis is well
	unclean bool // the process says that it had to cut handlers off
}

func nothing() {}

var phases = []phase{
	{name: "blocked", enter: func(*world, *redistest.Proxy, *child) func() { return nothing }},
	{name: "claiming, not yet claimed", enter: func(x *world, p *redistest.Proxy, _ *child) func() {
		release := p.HoldRequest(claims(x.T))
		x.add(4, 0)
		x.wait("a claim under way", func() bool { return p.Held() > 0 })
		return release
	}},
	{name: "claiming, answer under way", enter: func(x *world, p *redistest.Proxy, c *child) func() {
		release := p.HoldReply(claims(x.T))
		x.add(4, 0)
		x.wait("an answer under way", func() bool {
			held, n := p.HeldReplies() > 0, x.counts()
			if held && n.Running == 0 { // that of an earlier claim, which found nothing: let it pass, but no other
				next := p.HoldReply(claims(x.T))
				release()
				release = next
			}
			if len(c.Lines("end")) == x.added { // it let pass the answer to another claim, of the jobs: add more
				x.add(4, 0)
			}
			return held && n.Running == 4
		})
		return release
	}},
	{name: "running", enter: func(x *world, _ *redistest.Proxy, c *child) func() { // 4 of them wait
		x.add(8, 300*time.Millisecond)
		x.wait("handlers", func() bool { return len(c.Lines("start")) >= 4 })
		return nothing
	}},
	{name: "running for longer than there is time", repeats: 4, unclean: true, enter: func(x *world, _ *redistest.Proxy, c *child) func() {
		for range 4 {
			x.addKind("block")
		}
		x.wait("handlers", func() bool { return len(c.Lines("start")) == 4 })
		return nothing
	}},
	{name: "settling, not yet settled", enter: func(x *world, p *redistest.Proxy, c *child) func() {
		release := p.HoldRequest(acks(x.T))
		x.add(4, 0)
		x.wait("acknowledgements under way", func() bool { return len(c.Lines("end")) == 4 && p.Held() > 0 })
		return release
	}},
	{name: "settling, answer under way", enter: func(x *world, p *redistest.Proxy, c *child) func() {
		release := p.HoldReply(acks(x.T))
		x.add(4, 0)
		x.wait("the answer to acknowledgements", func() bool { return len(c.Lines("end")) == 4 && p.HeldReplies() > 0 })
		return release
	}},
	{name: "scheduled", enter: func(x *world, _ *redistest.Proxy, _ *child) func() {
		x.add(4, 0, queue.In(1500*time.Millisecond))
		x.wait("the timer to be armed", func() bool { return x.rdb.LLen(x.ctx, x.key("due")).Val() == 0 })
		return nothing
	}},
}

// SIGTERM in each phase, with a Redis that is well and one that stands still: the process is gone by the deadline, no job
// is lost, and what is repeated is repeated once and costs no attempt.
func TestPitfall07ShutdownOrder(t *testing.T) {
	t.Parallel()
	for _, ph := range phases {
		t.Run(ph.name, func(t *testing.T) { shutDown(newWorld(t), ph, false) })
		t.Run(ph.name+", redis frozen", func(t *testing.T) { shutDown(newWorld(t), ph, true) })
	}
}

func shutDown(x *world, ph phase, frozen bool) {
	p := redistest.NewProxy(x, x.srv.Addr())
	spec, within := childSpec{Addr: p.Addr(), Concurrency: 4}, slow // a well Redis needs no more than it needs
	if frozen || ph.unclean {
		spec.Drain, spec.Settle, within = drainFor, settleFor, deadline
	}
	c := x.start(spec)
	x.wait("a blocking pop", func() bool { return x.pops() == 1 })
	release := ph.enter(x, p, c)
	if frozen {
		x.must(x.srv.Freeze())
	}
	began := time.Now()
	c.term()
	if frozen {
		go release() // what it let go is answered when the server goes on
	} else {
		release()
	}
	select {
	case <-c.Ended():
	case <-time.After(within):
		x.Fatalf("still there %v after it was told to stop", within)
	}
	x.Logf("gone after %v: %s", time.Since(began).Round(time.Millisecond), c.ProcessState)
	if frozen {
		x.must(x.srv.Thaw())
	} else {
		if c.ProcessState.Success() == ph.unclean {
			x.Errorf("it ended with %s: %q", c.ProcessState, c.Lines("failed"))
		}
		if n := x.counts(); n.Running != 0 || len(x.sessions()) != 0 || x.pops() != 0 {
			x.Errorf("left behind: %d sessions, %d pops, %+v", len(x.sessions()), x.pops(), n)
		}
	}
	var l ledger
	mux := l.mux()
	mux.HandleKind("block", succeed)
	x.work(x.open(x.srv.Addr(), 0), mux, worker.Config{})
	n := x.conserved(x.added, 2, func() [][]run { return append(l.read(), c.runs("start")) })
	repeats := len(c.runs("start")) + l.starts() - x.added
	if !frozen && (repeats != ph.repeats || n.Recovered != 0) {
		x.Errorf("%d jobs were started twice, want %d; %+v", repeats, ph.repeats, n)
	}
}
