package pitfalls

import (
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/worker"
)

// A process stands still for two TTLs, another one finishes its jobs, it goes on: every write it then makes, and those
// that were under way when it stopped, are refused and counted.
func TestPitfall04LeaseByLocalClock(t *testing.T) {
	x := newWorld(t)
	p := redistest.NewProxy(t, x.srv.Addr())
	spec := childSpec{Addr: p.Addr(), Concurrency: 4}
	sleepy := x.start(spec)
	old := x.sessions()[0]
	deliver := p.HoldRequest(acks(t))
	x.add(1, 0) // ends at once: its acknowledgement is under way when it stops. Two could take both lanes, one each
	x.wait("an acknowledgement under way", func() bool { return p.Held() > 0 && len(sleepy.Lines("end")) == 1 })
	x.add(2, 1500*time.Millisecond) // end while it stands still: acknowledged when it goes on
	x.wait("the other handlers", func() bool { return len(sleepy.Lines("start")) == 3 })
	stopped := time.Now()
	thaw := redistest.FreezeProcess(t, sleepy.Process)
	awake := x.start(childSpec{Addr: x.srv.Addr(), Concurrency: 4})
	x.wait("the other worker to finish", func() bool { return x.counts().Succeeded == 3 })
	x.pass(2*ttl - time.Since(stopped))

	// First what was under way arrives. Then the process goes on, and hears of its loss by nothing until it has written.
	answers, beats := p.HoldReply(exchange(t, anything)), p.HoldRequest(script(t, "heartbeat"))
	go deliver()
	x.wait("the late acknowledgement", func() bool { return x.counts().Refused >= 1 })
	late := x.counts().Refused
	thaw()
	x.wait("its own late writes", func() bool { return x.counts().Refused > late })
	answers()
	beats()
	x.wait("a session in the place of the old one", func() bool {
		now := x.sessions()
		return len(now) == 2 && now[0] != old && now[1] != old
	})
	if n := x.counts(); n.Succeeded != 3 || n.Failed != 0 || n.Dead != 0 || n.Recovered != 3 || n.Running != 0 {
		t.Errorf("%+v", n)
	}
	// What guards writes elsewhere: the later claim has the greater token.
	before := make(map[string]int64)
	for _, r := range sleepy.runs("start") {
		before[r.id.String()] = r.token
	}
	for _, r := range awake.runs("end") {
		if token := before[r.id.String()]; token == 0 || r.token <= token || r.crashes != 1 || r.attempt != 1 {
			t.Errorf("%+v after the claim with token %d", r, token)
		}
	}
	// And it works again.
	awake.term()
	<-awake.Ended()
	x.add(1, 0)
	x.wait("a job at the first", func() bool { return x.counts().Succeeded == 4 })
	if n := len(sleepy.Lines("start")); n != 4 {
		t.Errorf("%d starts", n)
	}
}

// One processor that busy handlers fight for, as few connections as there can be, each call slow, its own too: heartbeats go
// out all the same, and no session expires.
func TestPitfall05HeartbeatStarved(t *testing.T) {
	x := newWorld(t)
	p := redistest.NewProxy(t, x.srv.Addr())
	p.DelayReply(redistest.On("EVALSHA", "EVAL"), 300*time.Millisecond)
	// Not the shortest TTL: the test's own machine may be busy too, and the handlers have all that is left of it.
	const slots, within = 4, 2 * ttl
	busy := x.start(childSpec{Addr: p.Addr(), Concurrency: slots, MaxConnections: 4, TTL: within, env: []string{"GOMAXPROCS=1"}})
	session := x.sessions()[0]
	// Somebody who would take the jobs of an expired session at once, and no others.
	var l ledger
	peer := x.work(x.client, l.mux(), worker.Config{SessionTTL: within})
	peer.Quiet(true)
	x.wait("the peer's session", func() bool { return len(x.sessions()) == 2 })
	const jobs = slots * 7 // for more than a TTL, with the calls between them
	for range jobs {
		x.addKind("spin")
	}
	least := within
	x.wait("the jobs", func() bool {
		expiry, err := x.rdb.ZScore(x.ctx, x.key("sessions"), session).Result()
		x.must(err)
		now := x.rdb.Time(x.ctx).Val()
		least = min(least, time.UnixMilli(int64(expiry)).Sub(now))
		n := x.counts()
		return least < 0 || n.Ready+n.Running+n.Scheduled == 0
	})
	t.Logf("%d jobs; the session never had less than %v to go", jobs, least.Round(time.Millisecond))
	n := x.counts()
	if least < 0 || n.Succeeded != int64(jobs) || n.Recovered != 0 || n.Refused != 0 || len(busy.Lines("start")) != jobs || l.starts() != 0 {
		t.Errorf("%d starts and %d at the peer, %+v", len(busy.Lines("start")), l.starts(), n)
	}
}
