package pitfalls

import (
	"flag"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

var popJobs = flag.Int("jobs", 4000, "jobs of TestPitfall01DestructivePop; make pitfalls JOBS=100000")

// Claims lose their replies at random, and a worker is killed with -9 every 2 s: no job is lost with them.
func TestPitfall01DestructivePop(t *testing.T) {
	x := newWorld(t)
	p := redistest.NewProxy(t, x.srv.Addr())
	rnd := rand.New(rand.NewPCG(1, 1))
	exchanges := script(t, "exchange")
	p.DropReply(func(cmd string, args []string) bool { return exchanges(cmd, args) && rnd.IntN(30) == 0 })
	spec := childSpec{Addr: p.Addr(), Concurrency: 10}
	workers := []*child{x.start(spec), x.start(spec), x.start(spec)}
	all := append([]*child(nil), workers...)
	for left := *popJobs; left > 0; left -= 1000 {
		x.add(min(left, 1000), 40*time.Millisecond)
	}
	kills, last, began := 0, time.Now(), time.Now()
	var n queue.Counts
	redistest.WaitFor(t, slow+time.Duration(*popJobs)*10*time.Millisecond, func() bool {
		if time.Since(last) < 2*time.Second {
			x.pass(50 * time.Millisecond)
			n = x.counts()
			return n.Succeeded+n.Dead == int64(*popJobs)
		}
		at := kills % len(workers)
		workers[at].Kill()
		workers[at] = x.launch(spec)
		all = append(all, workers[at])
		kills, last = kills+1, time.Now()
		return false
	}, "every job to be completed or dead")
	n = x.drained()
	var starts, ends [][]run
	for _, c := range all {
		starts, ends = append(starts, c.runs("start")), append(ends, c.runs("end"))
	}
	done, repeated := perID(ends...), 0
	for _, k := range perID(starts...) {
		repeated += k - 1
	}
	t.Logf("%d jobs in %v: %d kills, %d replies lost, %d starts repeated, %d claims taken back", *popJobs, time.Since(began).Round(time.Second),
		kills, p.Dropped(), repeated, n.Recovered)
	if n.Enqueued != int64(*popJobs) || n.Enqueued != n.Succeeded+n.Dead || n.Failed != 0 {
		t.Errorf("enqueued is not completed and dead: %+v", n)
	}
	if int64(len(done)) < n.Succeeded {
		t.Errorf("%d handlers came to their end, %d jobs are counted as completed", len(done), n.Succeeded)
	}
	if kills < 2 || p.Dropped() < 5 {
		t.Errorf("%d kills, %d replies lost: this shows nothing", kills, p.Dropped())
	}
	if int64(repeated) > n.Recovered {
		t.Errorf("%d starts were repeated, only %d claims were taken back from the killed", repeated, n.Recovered)
	}
}

// A worker that is stopped while it waits leaves no pop behind that eats what is pushed later.
func TestPitfall02CancelledBlockingPop(t *testing.T) {
	t.Parallel()
	t.Run("cancelled", func(t *testing.T) {
		x := newWorld(t)
		var l ledger
		for jobs := range 5 {
			client := x.open(x.srv.Addr(), 0)
			p := x.work(client, l.mux(), worker.Config{})
			x.conserved(jobs, 1, l.read)
			x.wait("a blocking pop", func() bool { return x.pops() == 1 })
			x.must(p.stop())
			x.add(1, 0)
			x.wait("its connections to go", func() bool {
				return x.pops() == 0 && !strings.Contains(strings.ReplaceAll(x.rdb.ClientList(x.ctx).Val(), "name=tidemill:enqueue ", ""), "name=tidemill:")
			})
			if n, tokens := x.counts(), x.rdb.LLen(x.ctx, x.key("wake")).Val(); n.Ready != 1 || tokens != 1 {
				t.Errorf("%d wake tokens, %+v", tokens, n)
			}
			x.must(client.Close())
		}
	})
	// The worst case: the pop's client has gone and the server does not know. It gives the token to nobody.
	t.Run("the server keeps the waiter", func(t *testing.T) {
		x := newWorld(t)
		p := redistest.NewProxy(t, x.srv.Addr())
		gone := x.work(x.open(p.Addr(), 0), new(ledger).mux(), worker.Config{Settle: 500 * time.Millisecond})
		x.wait("a blocking pop", func() bool { return x.pops() == 1 })
		var l ledger
		x.work(x.open(x.srv.Addr(), 0), l.mux(), worker.Config{})
		x.wait("another behind it", func() bool { return x.pops() == 2 })
		p.BlackHole(true)
		gone.end()
		<-gone.done
		if n := x.pops(); n != 2 {
			t.Fatalf("%d pops: the server has noticed, this shows nothing", n)
		}
		x.add(1, 0)
		x.wait("the waiter to be given the token", func() bool { return x.pops() == 1 || l.starts() == 1 })
		x.conserved(1, 1, l.read)
	})
}

// pops is how many clients wait in a blocking pop.
func (x *world) pops() int { return strings.Count(x.rdb.ClientList(x.ctx).Val(), "cmd=blpop") }
