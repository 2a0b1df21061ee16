package worker

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/queue"
)

func (r *real) sessions(n int64) {
	r.Helper()
	r.wait(15*time.Second, "the sessions", func() bool { return r.rdb.ZCard(r.ctx, "tm:{default}:sessions").Val() == n })
}

// A worker killed with 20 running jobs beside another one: all start again within TTL + 1 s, at no attempt's cost.
func TestProcessKilled(t *testing.T) {
	r := onServer(t)
	spec := childSpec{URL: r.srv.URL(), Concurrency: 20}
	victim := startChild(t, spec)
	for range 20 {
		_, err := r.client.Enqueue(r.ctx, queue.Raw{Name: "block"})
		r.must(err)
	}
	r.wait(10*time.Second, "20 handlers", func() bool { return len(victim.starts()) == 20 })
	peer := startChild(t, spec)
	r.sessions(2)
	victim.signal(syscall.SIGKILL)
	killed := time.Now()
	r.wait(30*time.Second, "all to start again", func() bool { return len(peer.starts()) == 20 })
	took := time.Since(killed)
	t.Logf("recovered after %v", took)
	if took > DefaultSessionTTL+time.Second {
		t.Errorf("20 jobs started again %v after the kill, want %v", took, DefaultSessionTTL+time.Second)
	}
	ids := make(map[uuid.UUID]bool)
	for _, s := range peer.starts() {
		ids[s.id] = true
		if s.attempt != 1 || s.crashes != 1 {
			t.Errorf("%+v", s)
		}
	}
	if n := r.counts(); len(ids) != 20 || n.Running != 20 || n.Recovered != 20 || n.Failed != 0 {
		t.Errorf("%d jobs, %+v", len(ids), n)
	}
}

// A job that kills its process, beside 200 others: it alone ends in dead.
func TestPoisonJob(t *testing.T) {
	r := onServer(t)
	spec := childSpec{URL: r.srv.URL(), Concurrency: 50, TTL: 2 * time.Second}
	addAll(r, 100, nap{50})
	poison, err := r.client.Enqueue(r.ctx, queue.Raw{Name: "poison"})
	r.must(err)
	addAll(r, 100, nap{50})
	workers := []*child{startChild(t, spec), startChild(t, spec)}
	crashes := 0
	r.wait(60*time.Second, "200 successes and a dead job", func() bool {
		for i, c := range workers {
			select {
			case <-c.done:
				crashes++
				workers[i] = startChild(t, spec)
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
	s, err := r.client.Get(r.ctx, queue.DefaultQueue, poison.String())
	r.must(err)
	if s.State != queue.DeadState || s.Reason != "crashed its worker 3 times" || s.Attempts != 0 {
		t.Errorf("the poison job: %s, %q, %d attempts", s.State, s.Reason, s.Attempts)
	}
}

// A process that stands still for three TTLs and goes on: what it writes then is refused, and it joins anew.
func TestProcessStopped(t *testing.T) {
	r := onServer(t)
	const ttl = 2 * time.Second
	spec := childSpec{URL: r.srv.URL(), Concurrency: 10, TTL: ttl, Drain: 100 * time.Millisecond}
	sleepy := startChild(t, spec)
	for range 5 {
		_, err := r.client.Enqueue(r.ctx, queue.Raw{Name: "block"})
		r.must(err)
	}
	addAll(r, 5, nap{800})
	r.wait(10*time.Second, "10 handlers", func() bool { return len(sleepy.starts()) == 10 })
	old := r.rdb.ZRange(r.ctx, "tm:{default}:sessions", 0, -1).Val()
	sleepy.signal(syscall.SIGSTOP)
	stopped := time.Now()
	peer := startChild(t, spec)
	r.wait(3*ttl+5*time.Second, "the jobs at the other", func() bool { return len(peer.starts()) == 10 })
	r.wait(10*time.Second, "the naps", func() bool { return r.counts().Succeeded == 5 })
	r.pass(3*ttl - time.Since(stopped))
	sleepy.signal(syscall.SIGCONT)
	r.wait(10*time.Second, "its handlers' end", func() bool { return len(sleepy.lines("cause")) == 5 })
	for _, line := range sleepy.lines("cause") {
		if !strings.HasSuffix(line, queue.ErrSessionLost.Error()) {
			t.Errorf("cause: %s", line)
		}
	}
	r.sessions(2)
	for _, s := range r.rdb.ZRange(r.ctx, "tm:{default}:sessions", 0, -1).Val() {
		if s == old[0] {
			t.Error("the old session came back")
		}
	}
	if n := r.counts(); n.Succeeded != 5 || n.Running != 5 || n.Failed != 0 || n.Recovered != 10 {
		t.Errorf("%+v", n)
	}
	// It works again: it takes over what the other leaves behind.
	peer.signal(syscall.SIGTERM)
	r.wait(10*time.Second, "the rest at the first", func() bool { return len(sleepy.starts()) == 15 })
}
