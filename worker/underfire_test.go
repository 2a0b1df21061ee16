package worker

import (
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
)

// resumeWithin is the promise, so long after another primary has taken over jobs start again, and 2 s for a loaded machine.
const resumeWithin = 7 * time.Second

// The primary is killed while producers and a worker are busy, right after it was cut off from its replica. What was
// confirmed by the replica is all there. Of what was acknowledged without, exactly what the replica never had is lost.
func TestSentinelFailoverUnderFire(t *testing.T) {
	t.Parallel()
	x := redistest.NewSentinel(t, 1, 1)
	f := newFire(t, x.URL(), "busy", "still")
	f.failover(x.Data[0], x.Data[1], func() { x.AwaitOther(t, x.Data[0]) })
}

// The same of a Cluster's primary.
func TestClusterFailoverUnderFire(t *testing.T) {
	t.Parallel()
	x := redistest.NewCluster(t, 3, true)
	busy, still := siblings(t, x)
	f := newFire(t, x.URL(t), busy, still)
	for i, primary := range x.Primaries {
		if primary == x.Owner(t, "tm:{busy}:meta") {
			f.failover(primary, x.Replicas[i], func() {
				rdb := redistest.Client(t, x.Replicas[i])
				redistest.WaitFor(t, time.Minute, func() bool {
					return rdb.Do(f.ctx, "ROLE").Val().([]any)[0] == "master" && rdb.ClusterInfo(f.ctx).Val() != "" &&
						rdb.Get(f.ctx, "tm:{busy}:none").Err().Error() == "redis: nil"
				}, "the replica to take over")
			})
		}
	}
}

// failover kills a primary under load and holds what was acknowledged against what is there in the end.
func (f *fire) failover(primary, replica *redisserver.Server, taken func()) {
	f.Helper()
	stop := f.work()
	quiet := f.produce()
	f.wait("jobs of both sorts to run", func() bool {
		confirmed, plain, started := f.acked()
		return confirmed > 200 && plain > 200 && started > 400
	})
	cut := time.Now()
	alone := f.cutOff(primary, replica)
	primary.Kill()
	killed := time.Now()
	f.must(replica.Thaw())
	taken()
	over := time.Now()
	var first time.Duration
	f.wait("jobs to start again", func() (ok bool) { first, ok = f.firstAfter(over); return ok })
	quiet()
	f.wait("the queue to be empty", func() bool { return f.left([]string{f.busy}) == 0 })
	stop()

	confirmed, plain, _ := f.acked()
	lostConfirmed, _ := f.lost(f.confirmed, cut)
	lostPlain, early := f.lost(f.plain, cut.Add(-time.Second)) // what was in a socket when it was cut is not had either
	repeated, unexplained := f.repeated(over.Add(resumeWithin))
	f.Logf("taken over after %v, jobs started again %v later; %d confirmed, %d lost; %d acknowledged alone, %d lost (%d for sure); %d repeated",
		over.Sub(killed).Round(time.Millisecond), first.Round(time.Millisecond), confirmed, lostConfirmed, plain, lostPlain, alone, repeated)
	if lostConfirmed != 0 {
		f.Errorf("%d jobs are lost that a replica had confirmed", lostConfirmed)
	}
	if lostPlain < alone || early > 0 {
		f.Errorf("%d jobs are lost of those that nobody confirmed, %d of them from before the replica was cut off: want the %d that it never had", lostPlain, early, alone)
	}
	if first > resumeWithin {
		f.Errorf("jobs started again after %v", first)
	}
	if unexplained > 0 {
		f.Errorf("%d jobs were repeated that started when all was well again", unexplained)
	}
}

// A queue's slot moves to another server and back while it is used: nothing is lost, nothing is run twice.
func TestSlotMigrationUnderFire(t *testing.T) {
	t.Parallel()
	x := redistest.NewCluster(t, 2, true)
	f := newFire(t, x.URL(t), "busy", "still")
	stop := f.work()
	quiet := f.produce()
	from := x.Owner(t, "tm:{busy}:meta")
	to := x.Primaries[0]
	if from == to {
		to = x.Primaries[1]
	}
	var moved time.Time
	for _, target := range []*redisserver.Server{to, from, to} {
		_, _, had := f.acked()
		f.wait("more jobs to run", func() bool { _, _, now := f.acked(); return now > had+300 })
		x.Move(t, "tm:{busy}:meta", target)
		moved = time.Now()
		var first time.Duration
		f.wait("jobs to start again", func() (ok bool) { first, ok = f.firstAfter(moved); return ok })
		if f.Logf("jobs started %v after the slot had moved", first.Round(time.Millisecond)); first > resumeWithin {
			f.Errorf("jobs started again after %v", first)
		}
	}
	quiet()
	f.wait("the queue to be empty", func() bool { return f.left([]string{f.busy}) == 0 })
	stop()
	confirmed, plain, _ := f.acked()
	repeated, _ := f.repeated(time.Now())
	f.Logf("%d jobs confirmed, %d acknowledged alone", confirmed, plain)
	lostConfirmed, _ := f.lost(f.confirmed, moved)
	lostPlain, _ := f.lost(f.plain, moved)
	if lostConfirmed+lostPlain > 0 || repeated > 0 || confirmed < 300 {
		f.Errorf("of %d and %d jobs %d and %d are lost, %d were started more than once", confirmed, plain, lostConfirmed, lostPlain, repeated)
	}
	for _, line := range append(f.logs.find("queue stopped"), f.logs.find("session lost")...) {
		f.Errorf("logged %v", line)
	}
}
