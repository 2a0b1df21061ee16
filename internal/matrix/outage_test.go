package matrix

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// A server that is killed under load and comes back after a second with all it had, whatever its fsync: the workers go on
// by themselves, and nothing starts twice. (Only a machine that dies takes more from an everysec server than a second
// kill -9 does: TestRedisLosesItsLastMoment.)
func TestRedisRestarted(t *testing.T) {
	for _, fsync := range []string{"always", "everysec"} {
		t.Run(fsync, func(t *testing.T) {
			r := onServer(t, redistest.WithAOF(fsync))
			var l ledger
			r.start(r.open(r.url), l.sleeper(), worker.Config{Concurrency: 60})
			r.addAll(10, nap{MS: 4000})
			r.wait("the long ones", func() bool { return l.jobs() == 10 })
			r.addAll(3000, nap{MS: 1})
			r.wait("some of the short ones", func() bool { return l.jobs() > 500 })
			r.srv.Kill()
			r.pass(time.Second)
			r.must(r.srv.Restart(r.ctx))
			r.back()
			before := l.jobs()
			r.resumes(5*time.Second, func() bool { return l.jobs() > before })
			r.drained()
			if jobs, repeated := l.read(); jobs != 3011 || repeated != 0 {
				t.Errorf("%d jobs, %d started twice", jobs, repeated)
			}
			if n := r.counts(); n.Succeeded != 3011 || n.Recovered != 0 || n.Refused != 0 || n.Failed != 0 {
				t.Errorf("%+v", n)
			}
			r.silent("session lost")
		})
	}
}

// A server that is down for long under 100 running jobs: they go on, those that end meanwhile are acknowledged once it is
// back, and nobody is taken for dead. At full size: 60 s at the default TTL.
func TestRedisDown(t *testing.T) {
	ttl, down := 2*time.Second, 10*time.Second
	if *full {
		ttl, down = worker.DefaultSessionTTL, time.Minute
	}
	r := onServer(t, redistest.WithAOF("always"))
	s := spec{URL: r.url, Concurrency: 50, TTL: ttl}
	workers := []*child{startChild(t, s), startChild(t, s)}
	started := func() int { return len(workers[0].starts()) + len(workers[1].starts()) }
	r.addAll(50, napUntil(time.Now().Add(down/2))) // end while it is down
	r.addAll(50, napUntil(time.Now().Add(down+4*time.Second)))
	r.wait("100 handlers", func() bool { return started() == 100 })
	r.srv.Kill()
	r.pass(down)
	if n := len(workers[0].Lines("end")) + len(workers[1].Lines("end")); n != 50 {
		t.Errorf("%d handlers ended while the server was down, want 50", n)
	}
	r.must(r.srv.Restart(r.ctx))
	r.back()
	for _, c := range workers { // so that slots are there: the long ones still run
		r.wait("acknowledgements", func() bool { return len(c.logged("redis answers again")) > 0 })
	}
	r.resumes(5*time.Second, func() bool { return started() == 101 })
	r.drained()
	if n := r.counts(); n.Succeeded != 101 || n.Recovered != 0 || n.Refused != 0 || n.Failed != 0 || started() != 101 {
		t.Errorf("%d starts, %+v", started(), n)
	}
	for _, c := range workers {
		if lost := append(c.logged("session lost"), c.logged("gone from redis")...); len(lost) > 0 {
			t.Errorf("logged %v", lost)
		}
	}
}

// A server whose last writes never reached the disk: the claims of that moment are forgotten, and their jobs start again.
// That is noticed and told; the first attempt's outcome is refused, and nothing is lost that was there before.
func TestRedisLosesItsLastMoment(t *testing.T) {
	var dir string
	r := onServer(t, redistest.WithAOF("everysec"), func(o *redisserver.Options) { dir = o.Dir })
	var l ledger
	r.start(r.open(r.url), l.sleeper(), worker.Config{Concurrency: 20})
	r.addAll(30, nap{MS: 3000}, queue.Queue("aside")) // to be claimed where this file ends
	r.addAll(10, nap{MS: 5000})
	r.wait("10 handlers", func() bool { return l.jobs() == 10 })
	file, size := journal(t, dir)
	r.start(r.open(r.url), l.sleeper(), worker.Config{Concurrency: 20, Queues: []worker.Queue{{Name: "aside"}}})
	r.wait("20 of the others", func() bool { return l.jobs() == 30 })
	r.srv.Kill()
	r.must(os.Truncate(file, size))
	r.must(r.srv.Restart(r.ctx))
	r.back()
	for _, name := range []string{"default", "aside"} {
		r.wait("the queue to be empty", func() bool { n := r.counts(name); return n.Ready+n.Scheduled+n.Running == 0 })
	}
	jobs, repeated := l.read()
	if jobs != 40 || repeated != 20 {
		t.Errorf("%d jobs, %d started twice: want 40 and the 20 claims of the last moment", jobs, repeated)
	}
	if n := r.counts("aside"); n.Succeeded != 30 || n.Failed != 0 {
		t.Errorf("aside: %+v", n)
	}
	if n := r.counts(); n.Succeeded != 10 || n.Recovered != 0 {
		t.Errorf("default: %+v", n)
	}
	told := len(r.logs.find("claim is gone")) + len(r.logs.find("session lost"))
	if told == 0 {
		t.Error("nobody was told")
	}
}

// journal answers the append-only file in a server's folder that grows, and its size.
func journal(t *testing.T, dir string) (string, int64) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "appendonlydir", "*.incr.aof"))
	if err != nil || len(files) != 1 {
		t.Fatalf("the append-only files are %v, %v", files, err)
	}
	info, err := os.Stat(files[0])
	if err != nil {
		t.Fatal(err)
	}
	return files[0], info.Size()
}

// A server that stands still for five TTLs with everybody's calls in its sockets: nothing spins, nobody is taken for dead
// when it goes on, and who has to stop meanwhile stops by its deadline. At full size: 30 s at the default TTL.
func TestRedisFrozen(t *testing.T) {
	ttl, still := 2*time.Second, 10*time.Second
	if *full {
		ttl, still = worker.DefaultSessionTTL, 30*time.Second
	}
	r := onServer(t)
	s := spec{URL: r.url, Concurrency: 5, TTL: ttl, Drain: time.Second, Settle: time.Second}
	leaver := startChild(t, s)
	s.Drain = time.Minute
	stayers := []*child{startChild(t, s), startChild(t, s)}
	all := append([]*child{leaver}, stayers...)
	started := func() (n int) {
		for _, c := range all {
			n += len(c.starts())
		}
		return n
	}
	r.addAll(5, napUntil(time.Now().Add(still/2))) // end meanwhile: their acknowledgements wait in its sockets
	r.addAll(10, napUntil(time.Now().Add(still+2*time.Second)))
	r.wait("the handlers", func() bool { return started() == 15 })
	lines := len(stayers[0].logged(""))
	r.must(r.srv.Freeze())
	frozen := time.Now()
	late := make(chan error, 1)
	go func() { _, err := r.client.Enqueue(r.ctx, nap{}); late <- err }()
	r.pass(ttl / 2)
	told := time.Now()
	leaver.signal(syscall.SIGTERM)
	status, took := leaver.ended(patience)
	if limit := s.Settle + time.Second + 500*time.Millisecond; status != 1 || took > limit+slack(told) {
		t.Errorf("a worker told to stop ended with status %d after %v, want %v", status, took, limit)
	}
	if said := strings.Join(leaver.Lines("failed"), " "); !strings.Contains(said, worker.ErrDrainTimeout.Error()) {
		t.Errorf("it said %q", said)
	}
	r.pass(still - time.Since(frozen))
	if n := len(stayers[0].logged("")) - lines; n > 20 {
		t.Errorf("%d log lines in %v: %v", n, still, stayers[0].logged(""))
	}
	r.must(r.srv.Thaw())
	r.back()
	if err := <-late; err != nil {
		t.Errorf("enqueue: %v", err)
	}
	// The ten of the other two end where they are. Those of the leaver come back: released, as the thawed server found
	// that in its sockets, or recovered.
	r.wait("all to end", func() bool { return r.counts().Succeeded == 16 })
	if n := r.counts(); started() > 21 || n.Recovered > 5 || n.Failed != 0 || n.Refused != 0 {
		t.Errorf("%d starts, %+v", started(), n)
	}
	for i, c := range stayers {
		if lost := c.logged("session lost"); len(lost) != 0 {
			t.Errorf("logged %v", lost)
		}
		c.signal(syscall.SIGTERM)
		if status, _ := c.ended(patience); status != 0 {
			t.Errorf("worker %d ended with status %d: %v", i, status, c.Lines("failed"))
		}
		t.Logf("worker %d took %v of the processors in %v", i, c.cpu(), time.Since(c.began).Round(time.Second))
		if c.cpu() > still/4 {
			t.Errorf("worker %d took %v of the processors while the server stood still for %v", i, c.cpu(), still)
		}
	}
}
