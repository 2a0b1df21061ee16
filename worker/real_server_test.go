package worker

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// A server that comes back with all it had: the workers go on by themselves, and nothing starts twice.
func TestServerRestarts(t *testing.T) {
	jobs, repeated, n := restarted(t, "always")
	if jobs != 3010 || repeated != 0 || n.Succeeded != 3010 || n.Recovered != 0 || n.Refused != 0 {
		t.Errorf("%d jobs, %d of them started twice, %+v", jobs, repeated, n)
	}
}

// A server that may have lost what came after its last write to disk: nothing is lost that was there before; claims of
// that moment may be started again, and what their first attempt still says is refused and counted.
func TestServerRestartsWithoutItsLastMoment(t *testing.T) {
	jobs, repeated, n := restarted(t, "everysec")
	t.Logf("%d started twice, %d late writes refused", repeated, n.Refused)
	if jobs != 3010 || n.Ready+n.Scheduled+n.Running+n.Dead != 0 || n.Succeeded < 3010-int64(repeated) {
		t.Errorf("%d jobs, %d of them started twice, %+v", jobs, repeated, n)
	}
}

// restarted kills a busy server with -9 and starts it again after a while, and tells what the ledger says in the end.
func restarted(t *testing.T, fsync string) (jobs, repeated int, n queue.Counts) {
	r := onServer(t, redistest.WithAOF(fsync))
	var l ledger
	client := r.open(queue.Config{})
	r.start(client, l.sleeper(), Config{Concurrency: 60})
	addAll(r, 10, nap{4000})
	r.wait(5*time.Second, "the long ones", func() bool { n, _ := l.read(); return n == 10 })
	addAll(r, 3000, nap{1})
	r.wait(20*time.Second, "some of the short ones", func() bool { n, _ := l.read(); return n > 500 })
	r.srv.Kill()
	r.pass(1500 * time.Millisecond)
	r.must(r.srv.Restart(r.ctx))
	up := time.Now()
	before, _ := l.read()
	r.wait(20*time.Second, "jobs to start again", func() bool { n, _ := l.read(); return n > before })
	took := time.Since(up)
	t.Logf("resumed after %v, %d jobs were left", took, 3010-before)
	if took > 5*time.Second {
		t.Errorf("it took the worker %v to go on, want 5 s at most", took)
	}
	r.rdb = redistest.Client(t, r.srv)
	r.client = r.open(queue.Config{})
	r.drained(30 * time.Second)
	jobs, repeated = l.read()
	return jobs, repeated, r.counts()
}

// A server that stands still for five TTLs with everybody's calls in its sockets: nobody is taken for dead when it goes
// on, and who has to stop meanwhile stops.
func TestServerFrozen(t *testing.T) {
	r := onServer(t)
	const ttl = 2 * time.Second
	var l ledger
	for range 2 {
		r.start(r.open(queue.Config{}), l.sleeper(), Config{Concurrency: 5, SessionTTL: ttl})
	}
	leaver := r.start(r.open(queue.Config{}), l.sleeper(), Config{Concurrency: 5, SessionTTL: ttl, Drain: time.Second, Settle: time.Second})
	addAll(r, 15, nap{12000})
	r.wait(5*time.Second, "the handlers", func() bool { n, _ := l.read(); return n == 15 })
	r.must(r.srv.Freeze())
	frozen := time.Now()
	r.pass(ttl / 2)
	took, err := leaver.stop()
	if !errors.Is(err, ErrDrainTimeout) || took > 2*time.Second+leaveWithin+500*time.Millisecond {
		t.Errorf("a worker told to stop returned %v after %v", err, took)
	}
	r.pass(10*time.Second - time.Since(frozen))
	r.must(r.srv.Thaw())
	// The ten of the other two end where they are. Those of the leaver come back: released, as the thawed server found
	// that in its sockets, or recovered.
	r.wait(45*time.Second, "all to end", func() bool { return r.counts().Succeeded == 15 })
	jobs, repeated := l.read()
	if n := r.counts(); jobs != 15 || repeated > 5 || n.Recovered > 5 || n.Failed != 0 || n.Refused != 0 {
		t.Errorf("%d jobs, %d started twice, %+v", jobs, repeated, n)
	}
	if lost := r.logs.find("session lost"); len(lost) != 0 {
		t.Errorf("logged %v", lost)
	}
}

// Scripts that are forgotten all the time.
func TestScriptFlush(t *testing.T) {
	r := onServer(t)
	var l ledger
	stop := make(chan struct{})
	flushed := make(chan int)
	go func() {
		n := 0
		for {
			select {
			case <-stop:
				flushed <- n
				return
			default:
				r.rdb.ScriptFlush(r.ctx)
				n++
			}
		}
	}()
	r.start(r.open(queue.Config{}), l.sleeper(), Config{Queues: []Queue{{Name: "default"}, {Name: "other"}}})
	addAll(r, 2000, nap{})
	addAll(r, 2000, nap{}, queue.Queue("other"))
	addAll(r, 100, nap{}, queue.In(300*time.Millisecond))
	r.wait(40*time.Second, "all jobs", func() bool { n, _ := l.read(); return n == 4100 })
	r.drained(10 * time.Second)
	close(stop)
	if n := <-flushed; n < 100 {
		t.Errorf("only %d flushes", n)
	}
	if _, repeated := l.read(); repeated != 0 {
		t.Errorf("%d jobs started twice", repeated)
	}
	for _, line := range []string{"failed", "refuse", "does not answer"} {
		if found := r.logs.find(line); len(found) > 0 {
			t.Errorf("logged %v", found)
		}
	}
}

// A full server takes no more jobs, but lets workers in and drains.
func TestServerFull(t *testing.T) {
	r := onServer(t, redistest.WithConfig("maxmemory 8mb", "maxmemory-policy noeviction"))
	payload := queue.Raw{Name: "fail", Payload: []byte(`"` + strings.Repeat("x", 2000) + `"`)}
	n := 0
	for ; ; n++ {
		if _, err := r.client.Enqueue(r.ctx, payload); errors.Is(err, queue.ErrRedisFull) {
			break
		} else if err != nil || n > 10_000 {
			t.Fatalf("job %d: %v", n, err)
		}
	}
	// To the brim, so that nothing can grow.
	for r.rdb.Append(r.ctx, "filler", strings.Repeat("x", 1000)).Err() == nil {
		n++
	}
	n = int(r.counts().Ready)
	var tries atomic.Int64
	mux := NewMux()
	mux.HandleKind("fail", func(_ context.Context, job *queue.Job[queue.Raw]) error {
		if tries.Add(1); job.Attempt == 1 {
			return queue.RetryAfter(errors.New("once more"), 10*time.Millisecond)
		}
		return nil
	})
	r.start(r.open(queue.Config{}), mux, Config{})
	r.drained(30 * time.Second)
	if c := r.counts(); c.Succeeded != int64(n) || c.Failed != int64(n) || tries.Load() != int64(2*n) {
		t.Errorf("%d jobs, %d tries, %+v", n, tries.Load(), c)
	}
	if _, err := r.client.Enqueue(r.ctx, payload); err != nil {
		t.Errorf("enqueue after the drain: %v", err)
	}
	r.drained(5 * time.Second)
}

// With as few connections as there can be, acknowledgements wait for nobody.
func TestFewConnections(t *testing.T) {
	r := onServer(t)
	var l ledger
	p := r.start(r.open(queue.Config{MaxConnections: 4}), l.sleeper(), Config{Concurrency: 100})
	began := time.Now()
	addAll(r, 2000, nap{20})
	r.drained(30 * time.Second)
	t.Logf("2,000 jobs of 20 ms in 100 slots took %v", time.Since(began))
	if jobs, repeated := l.read(); jobs != 2000 || repeated != 0 {
		t.Errorf("%d jobs, %d started twice", jobs, repeated)
	}
	if n := len(r.logs.find("")); n != 1 { // that it started
		t.Errorf("logged %v", r.logs.find(""))
	}
	if n := connections(r); n > 4 {
		t.Errorf("%d connections", n)
	}
	if _, err := p.stop(); err != nil {
		t.Error(err)
	}
}

// connections counts what the workers' clients hold open; the test's own set no name.
func connections(r *real) (n int) {
	for _, line := range strings.Split(r.rdb.ClientList(r.ctx).Val(), "\n") {
		if strings.Contains(line, "name=tidemill ") || strings.Contains(line, "name=tidemill:") {
			n++
		}
	}
	return n - 1 // r.client's
}

// A worker that has left leaves no blocking pop behind that would eat what comes later.
func TestNothingIsLeftBlocking(t *testing.T) {
	r := onServer(t)
	for range 5 {
		var l ledger
		client := r.open(queue.Config{})
		p := r.start(client, l.sleeper(), Config{})
		r.wait(5*time.Second, "a blocking pop", func() bool {
			return strings.Contains(r.rdb.ClientList(r.ctx).Val(), "cmd=blpop")
		})
		if _, err := p.stop(); err != nil {
			t.Error(err)
		}
		r.wait(time.Second, "its connections to go", func() bool {
			list := r.rdb.ClientList(r.ctx).Val()
			return !strings.Contains(list, "tidemill:") && !strings.Contains(list, "cmd=blpop")
		})
		r.must(client.Close())
	}
	addAll(r, 1, nap{})
	if n := r.rdb.LLen(r.ctx, "tm:{default}:wake").Val(); n != 1 {
		t.Errorf("%d wake tokens, want 1", n)
	}
}
