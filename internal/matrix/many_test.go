package matrix

import (
	"math"
	"syscall"
	"testing"
	"time"

	"github.com/tidemill/tidemill/worker"
)

// manyJobs is how many run at once in TestManyRunning.
var manyJobs = 50_000

// 50,000 jobs run at once in one process: no session is lost, heartbeats are on time, and it stops by its deadline, every
// job back at the front with no attempt used.
func TestManyRunning(t *testing.T) {
	r := onServer(t)
	jobs := manyJobs
	s := spec{URL: r.url, Concurrency: jobs, Tell: jobs, Drain: time.Second, Settle: 20 * time.Second}
	c := startChild(t, s)
	for range jobs / 5000 {
		r.addAll(5000, kind("wait"))
	}
	r.wait("them to run", func() bool { return len(c.Lines("waiting")) == 1 })
	t.Logf("all run after %v; %.2f KiB resident a running job", time.Since(c.began).Round(10*time.Millisecond),
		float64(c.number("waiting")-c.number("up"))/float64(jobs))
	// Each heartbeat gives the session its time to live anew: how far that runs down tells how late the next one was.
	session := r.rdb.ZRange(r.ctx, "tm:{default}:sessions", 0, -1).Val()[0]
	least := math.Inf(1)
	watched := worker.DefaultSessionTTL
	if *full {
		watched = time.Minute
	}
	began := time.Now()
	for time.Since(began) < watched {
		r.pass(50 * time.Millisecond)
		asked := time.Now() // before: that this process stood still while it was answered is not the worker's doing
		expiry, err := r.rdb.ZScore(r.ctx, "tm:{default}:sessions", session).Result()
		r.must(err) // the session would be another one
		least = min(least, expiry-float64(asked.UnixMilli()))
	}
	late := worker.DefaultSessionTTL - 2*time.Second - time.Duration(least)*time.Millisecond
	t.Logf("heartbeats late by %v at most", late)
	if late > slack(began) {
		t.Errorf("a heartbeat came %v late", late)
	}
	if n := r.counts(); n.Running != int64(jobs) || n.Recovered != 0 {
		t.Errorf("%+v", n)
	}
	began = time.Now()
	c.signal(syscall.SIGTERM)
	status, took := c.ended(patience)
	t.Logf("it stopped within %v", took.Round(10*time.Millisecond))
	if limit := s.Drain + s.Settle + 500*time.Millisecond; took > limit+slack(began) || status != 1 {
		t.Errorf("status %d after %v, want %v: %v", status, took, limit, c.Lines("failed"))
	}
	if n := r.counts(); n.Ready != int64(jobs) || n.Running != 0 || n.Recovered != 0 || n.Failed != 0 {
		t.Errorf("%+v", n)
	}
	if bad := append(c.logged("session lost"), c.logged("gone from redis")...); len(bad) > 0 {
		t.Errorf("logged %v", bad)
	}
}
