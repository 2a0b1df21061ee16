package matrix

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// A worker killed with 100 running jobs: all start again within the session TTL and a second, at no attempt's cost.
func TestWorkerKilled(t *testing.T) {
	for _, c := range []struct {
		ttl    time.Duration
		peer   bool // lives already; else it is started after the kill
		within time.Duration
	}{
		{worker.DefaultSessionTTL, true, 7 * time.Second},
		{2 * time.Second, true, 3 * time.Second},
		{worker.DefaultSessionTTL, false, 7 * time.Second},
		// Without a peer nobody's heartbeat tells a night without workers from an outage, of which others may yet come
		// back: the grace is 5 s at least.
		{2 * time.Second, false, 6 * time.Second},
	} {
		t.Run(fmt.Sprintf("ttl=%v,peer=%v", c.ttl, c.peer), func(t *testing.T) {
			r := onServer(t)
			const jobs = 100
			s := spec{URL: r.url, Concurrency: jobs, TTL: c.ttl}
			victim := startChild(t, s)
			r.addAll(jobs, kind("block"))
			r.wait("the handlers", func() bool { return len(victim.starts()) == jobs })
			var peer *child
			if c.peer {
				peer = startChild(t, s)
				r.wait("the peer's session", func() bool { return r.sessions("default") == 2 })
			}
			victim.signal(syscall.SIGKILL)
			began := time.Now()
			if !c.peer {
				r.pass(c.ttl/2 + time.Second) // long enough for it to look like an outage
				began = time.Now()
				peer = startChild(t, s)
			}
			r.wait("all to start again", func() bool { return len(peer.starts()) == jobs })
			starts := peer.starts()
			slices.SortFunc(starts, func(a, b start) int { return a.at.Compare(b.at) })
			first, last := starts[0].at.Sub(began), starts[jobs-1].at.Sub(began)
			t.Logf("%d jobs started again %v to %v later", jobs, first.Round(time.Millisecond), last.Round(time.Millisecond))
			if last > c.within+slack(began) {
				t.Errorf("the last job started again after %v, want %v", last, c.within)
			}
			ids := make(map[uuid.UUID]bool)
			for _, s := range starts {
				ids[s.id] = true
				if s.attempt != 1 || s.crashes != 1 {
					t.Errorf("job %s: attempt %d, crashes %d", s.id, s.attempt, s.crashes)
				}
			}
			if n := r.counts(); len(ids) != jobs || n.Running != jobs || n.Recovered != jobs || n.Failed != 0 {
				t.Errorf("%d jobs, %+v", len(ids), n)
			}
		})
	}
}

// A process that stands still for three TTLs and goes on: what it writes then is refused, its handlers are told to end,
// and it joins anew.
func TestWorkerStopped(t *testing.T) {
	r := onServer(t)
	const ttl = 2 * time.Second
	s := spec{URL: r.url, Concurrency: 10, TTL: ttl, Drain: 100 * time.Millisecond}
	sleepy := startChild(t, s)
	r.addAll(5, kind("block"))
	r.addAll(5, nap{MS: 2000}) // not over when it is stopped
	r.wait("10 handlers", func() bool { return len(sleepy.starts()) == 10 })
	old := r.rdb.ZRange(r.ctx, "tm:{default}:sessions", 0, -1).Val()
	sleepy.signal(syscall.SIGSTOP)
	stopped := time.Now()
	peer := startChild(t, s)
	r.wait("the jobs at the other", func() bool { return len(peer.starts()) == 10 })
	r.wait("the naps", func() bool { return r.counts().Succeeded == 5 })
	r.pass(3*ttl - time.Since(stopped))
	before := r.counts()
	sleepy.signal(syscall.SIGCONT)
	r.wait("its handlers' end", func() bool { return len(sleepy.Lines("cause")) == 5 && len(sleepy.Lines("end")) == 5 })
	for _, line := range sleepy.Lines("cause") {
		if !strings.HasSuffix(line, queue.ErrSessionLost.Error()) {
			t.Errorf("cause: %s", line)
		}
	}
	r.wait("a session of its own", func() bool { return r.sessions("default") == 2 })
	for _, s := range r.rdb.ZRange(r.ctx, "tm:{default}:sessions", 0, -1).Val() {
		if s == old[0] {
			t.Error("the old session came back")
		}
	}
	// Ten ended handlers of a lost session changed nothing: the jobs are as the other has them.
	after := r.counts()
	before.Refused, after.Refused = 0, 0
	if after != before || after.Succeeded != 5 || after.Running != 5 || after.Failed != 0 || after.Recovered != 10 {
		t.Errorf("before %+v, after %+v", before, after)
	}
	// It works again: it takes over what the other leaves behind.
	peer.signal(syscall.SIGTERM)
	r.wait("the rest at the first", func() bool { return len(sleepy.starts()) == 15 })
}

// A job that kills its process, beside 200 others: it alone ends in dead.
func TestPoisonJob(t *testing.T) {
	r := onServer(t)
	s := spec{URL: r.url, Concurrency: 50, TTL: 2 * time.Second}
	r.addAll(100, nap{MS: 50})
	poison := r.add(kind("poison"))
	r.addAll(100, nap{MS: 50})
	workers := []*child{startChild(t, s), startChild(t, s)}
	crashes := 0
	r.wait("200 successes and a dead job", func() bool {
		for i, c := range workers {
			select {
			case <-c.Ended():
				crashes++
				workers[i] = startChild(t, s)
			default:
			}
		}
		n := r.counts()
		return n.Dead+n.Succeeded == 201
	})
	n := r.counts()
	if n.Dead != 1 || n.Succeeded != 200 || n.Failed != 0 || crashes != 3 {
		t.Errorf("%d crashes, %+v", crashes, n)
	}
	job := r.get(poison)
	if job.State != queue.DeadState || job.Reason != "crashed its worker 3 times" || job.Attempts != 0 {
		t.Errorf("the poison job: %s, %q, %d attempts", job.State, job.Reason, job.Attempts)
	}
}

// Handlers that panic, exit their goroutine, ignore their context or never return: each fails with its stack or is
// reported, and the pool keeps its size.
func TestHandlersMisbehave(t *testing.T) {
	r := onServer(t)
	c := startChild(t, spec{URL: r.url, Concurrency: 4, Drain: time.Second, Settle: 2 * time.Second, StuckAfter: time.Second})
	once := queue.MaxAttempts(1)
	forever := r.add(kind("forever"), queue.Timeout(300*time.Millisecond), once)
	r.wait("it to run", func() bool { return len(c.starts()) == 1 })
	r.addAll(20, kind("panic"), once)
	r.addAll(20, kind("goexit"), once)
	panics, exits := r.add(kind("panic"), once), r.add(kind("goexit"), once)
	r.wait("them to fail", func() bool { return r.counts().Dead == 42 })
	if s := r.get(panics); s.Reason != "panic: at the disco" || !strings.Contains(s.Errors[0].Stack, "matrix.misbehave") {
		t.Errorf("a panic: %q, %+v", s.Reason, s.Errors)
	}
	if s := r.get(exits); !strings.Contains(s.Reason, "runtime.Goexit") {
		t.Errorf("an exit: %q", s.Reason)
	}
	r.wait("the report", func() bool { return len(c.logged("handler is stuck")) == 1 })
	if line := c.logged("handler is stuck")[0]; !strings.Contains(line, forever) {
		t.Errorf("reported: %s", line)
	}
	// One slot of four is lost to the handler that never returns, no other: three meet, never four.
	r.addAll(3, kind("meet"))
	r.wait("three at once", func() bool { return len(c.Lines("met")) == 3 })
	// Three that ignore their timeout keep their slots until they return: nothing starts beside them.
	r.addAll(3, kind("deaf"), queue.Timeout(100*time.Millisecond), once)
	r.wait("them to run", func() bool { return r.counts().Running == 4 })
	beside := r.add(nap{})
	r.wait("it to end", func() bool { return r.counts().Succeeded == 4 && len(c.Lines("end")) > 0 })
	if ends := c.Lines("end"); ends[0] == beside {
		t.Error("the nap ended before any of those that held all slots")
	}
	r.wait("the deaf to be dead", func() bool { return r.counts().Dead == 45 })
	if n := len(c.logged("handler is stuck")); n != 4 {
		t.Errorf("%d reports of 4 handlers", n)
	}
	// The handler that blocks for ever does not hold the process up, and its job waits for another worker.
	began := time.Now()
	c.signal(syscall.SIGTERM)
	status, took := c.ended(patience)
	if took > 4*time.Second+slack(began) || status != 1 || !strings.Contains(strings.Join(c.Lines("failed"), " "), "drain timed out") {
		t.Errorf("status %d after %v: %v", status, took, c.Lines("failed"))
	}
	if s := r.get(forever); s.State != queue.Ready || s.Attempts != 0 {
		t.Errorf("it is %s with %d attempts", s.State, s.Attempts)
	}
}
