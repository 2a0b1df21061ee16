package pitfalls

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// crash cuts a process off, for good, at its n-th command, before that reaches Redis: to Redis it is the same as a
// kill -9, since all that is left of a killed process is what it has sent. A cut before each command is one after each,
// and so between every pair. What concerns the connection alone is not counted.
type crash struct {
	*redistest.Proxy
	at, sent atomic.Int64
	late     func() // delivers what was under way
}

func newCrash(t *testing.T, addr string, at int) *crash {
	c := &crash{Proxy: redistest.NewProxy(t, addr)}
	c.at.Store(int64(at))
	setUp := redistest.On("HELLO", "AUTH", "SELECT", "CLIENT", "PING")
	c.late = c.HoldRequest(func(cmd string, args []string) bool {
		if c.sent.Load() < c.at.Load() && setUp(cmd, args) {
			return false
		}
		return c.sent.Add(1) >= c.at.Load()
	})
	return c
}

// never is the place of a crash that does not happen.
const never = 1 << 30

func (c *crash) reached() bool { return c.Held() > 0 }

// kill cuts what has reached the place, or was done before it.
func (c *crash) kill() {
	c.at.Store(0)
	c.Refuse(true)
	c.Cut()
}

// chores are jobs of every fate: what they come to is the same wherever a worker crashed.
func (x *world) chores() {
	x.addKind("done")
	x.addKind("done")
	x.addKind("kept", queue.Retain(time.Hour))
	x.addKind("again")
	x.addKind("dead")
	x.addKind("later", queue.In(150*time.Millisecond))
	x.addKind("cancelled")
}

func (x *world) choresMux(l *ledger) *worker.Mux {
	mux := l.mux()
	mux.HandleKind("done", succeed)
	mux.HandleKind("later", succeed)
	mux.HandleKind("kept", func(_ context.Context, job *queue.Job[queue.Raw]) error { return job.SetResult([]byte("42")) })
	mux.HandleKind("dead", func(context.Context, *queue.Job[queue.Raw]) error { return queue.Dead(errors.New("no use")) })
	mux.HandleKind("again", failOnce)
	mux.HandleKind("cancelled", func(ctx context.Context, job *queue.Job[queue.Raw]) error {
		_, err := x.client.Cancel(x.ctx, job.Queue, job.ID.String())
		return errors.Join(err, errors.New("told to end"))
	})
	return mux
}

// A worker is cut off before, and so after, every single command that it sends; what was under way then is never heard of,
// or arrives when another worker has taken over. No job is lost, none counts twice, nothing is left behind.
func TestPitfall09CrashBetweenCommands(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	t.Run("worker", func(t *testing.T) {
		t.Parallel()
		commands := 0
		t.Run("count", func(t *testing.T) { commands = workerCrash(worldOn(t, srv, "tm-count"), never, false) })
		t.Logf("a worker's life has %d commands", commands)
		if commands < 10 || commands > 60 {
			t.Fatalf("%d commands: too few to show anything, or too many to try", commands)
		}
		for at := 1; at <= commands; at++ {
			each(t, srv, at, func(x *world, late bool) { workerCrash(x, at, late) })
		}
	})
	t.Run("producer", func(t *testing.T) {
		t.Parallel()
		commands := 0
		t.Run("count", func(t *testing.T) { commands = producerCrash(worldOn(t, srv, "tm-count-producer"), never, false) })
		t.Logf("a producer's life has %d commands", commands)
		if commands < 8 || commands > 60 {
			t.Fatalf("%d commands: too few to show anything, or too many to try", commands)
		}
		for at := 1; at <= commands; at++ {
			each(t, srv, at, func(x *world, late bool) { producerCrash(x, at, late) })
		}
	})
}

// each runs a crash at one place twice: what was under way is lost, or arrives late.
func each(t *testing.T, srv *redisserver.Server, at int, run func(x *world, late bool)) {
	for _, late := range []bool{false, true} {
		name := fmt.Sprintf("before command %d, late %v", at, late)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(worldOn(t, srv, fmt.Sprintf("tm-%s-%d-%v", strings.ToLower(strings.Split(t.Name(), "/")[1]), at, late)), late)
		})
	}
}

// workerCrash does the chores with a worker that crashes and one that goes on, and answers what the first has sent.
func workerCrash(x *world, at int, late bool) int {
	x.chores()
	c := newCrash(x.T, x.srv.Addr(), never)
	var first, second ledger
	client := x.open(c.Addr(), 0)
	c.sent.Store(0)
	c.at.Store(int64(at))
	victim := x.work(client, x.choresMux(&first), worker.Config{Drain: time.Millisecond, Settle: time.Millisecond})
	x.wait("the crash, or the end", func() bool {
		n := x.counts()
		return c.reached() || len(x.sessions()) > 0 && n.Ready+n.Scheduled+n.Running == 0
	})
	x.wait("it to be idle, or the crash", func() bool { return c.reached() || at == never && x.pops() > 0 })
	sent := int(c.sent.Load())
	c.kill()
	x.work(x.open(x.srv.Addr(), 0), x.choresMux(&second), worker.Config{})
	x.wait("the other worker alone", func() bool { return len(x.sessions()) == 1 })
	n := x.drained()
	if late {
		c.late()
		x.drained()
	}
	victim.end()
	x.wait("the one session", func() bool { return len(x.sessions()) == 1 })
	if n = x.counts(); n.Enqueued != 7 || n.Succeeded != 5 || n.Failed != 2 || n.Dead != 1 || n.Finished != 1 || n.Cancelled != 1 || n.Expired != 0 {
		x.Errorf("%+v", n)
	}
	if starts := perID(append(first.read(), second.read()...)...); len(starts) != 7 {
		x.Errorf("%d jobs were started", len(starts))
	}
	x.tidy()
	return sent
}

// tidy holds that of drained jobs and ended sessions no key is left.
func (x *world) tidy() {
	x.Helper()
	living := x.sessions()
	for _, key := range x.rdb.Keys(x.ctx, x.key("*")).Val() {
		part, session, of := strings.Cut(strings.TrimPrefix(key, x.key("")), ":")
		switch {
		case part == "ready" || part == "running" || part == "scheduled" || part == "suspect" || part == "cancels":
			x.Errorf("%s is left", key)
		case part == "lanes" && (!of || !slices.Contains(living, session)):
			x.Errorf("%s is left of a session that has ended", key)
		}
	}
	if jobs := x.rdb.HLen(x.ctx, x.key("jobs")).Val(); jobs != 2 {
		x.Errorf("%d envelopes are left, want those of the dead and the kept job", jobs)
	}
}
