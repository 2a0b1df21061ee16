//go:build unix

package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

const (
	// soakRounds is how often everything is drained and measured on the way, of at least so many jobs each.
	soakRounds   = 20
	soakPerRound = 50_000
	// soakWarmUp is how many jobs come before the first measure: clients connect, scripts are loaded, heaps grow.
	soakWarmUp = 30_000
	soakMany   = 5_000
	// redisSlack is what used_memory may differ by: buffers of connections, of which some are new.
	redisSlack = 1 << 20
)

// Measure is what Redis and a worker that lives through it all take up when all is drained.
type Measure struct {
	Keys, Lasting int64 // all keys, and those that are no tokens that come and go
	Redis         int64 // used_memory, bytes
	Resident      int64 // of the worker, bytes
	Goroutines    int   // of the worker
}

func (m Measure) String() string {
	return fmt.Sprintf("%d keys, used_memory %.2f MB; worker: %.1f MB resident, %d goroutines", m.Keys, float64(m.Redis)/1e6,
		float64(m.Resident)/1e6, m.Goroutines)
}

// soak is a run of many jobs past a server and two workers: one lives on, the other is killed in every round.
type soak struct {
	testing.TB
	ctx           context.Context
	client        *queue.Client
	rdb           *redis.Client
	rnd           *rand.Rand
	steady, other *slot
	sent, deleted int
}

// Soak puts jobs through in rounds, and answers what was taken up before and after them.
func Soak(t testing.TB, jobs int) (before, after Measure) {
	t.Helper()
	srv := redistest.Server(t)
	client, err := queue.Open(context.Background(), srv.URL())
	if err != nil {
		t.Fatal(err)
	}
	s := &soak{TB: t, ctx: context.Background(), client: client, rdb: redistest.Client(t, srv), rnd: rand.New(rand.NewPCG(1, 2))}
	t.Cleanup(func() { _ = client.Close() })
	dir := t.TempDir()
	for i, at := range []**slot{&s.steady, &s.other} {
		*at = &slot{role: role{Role: roleSoaker, Slot: i, URL: srv.URL(), Dir: dir, TTL: queue.MinSessionTTL}}
		s.must((*at).start())
		t.Cleanup(func() { (*at).retire(killSignal, time.Second) })
	}
	s.round(soakWarmUp)
	before = s.measure()
	t.Logf("after the first %d jobs: %v", s.sent, before)
	start := time.Now()
	for rounds := min(soakRounds, max(2, jobs/soakPerRound)); rounds > 0; rounds-- {
		s.round((soakWarmUp + jobs - s.sent) / rounds)
		after = s.measure()
		t.Logf("%v: %d jobs; %v", time.Since(start).Round(time.Second), s.sent, after)
	}
	s.settle(before)
	return before, s.measure()
}

func (s *soak) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// round puts so many jobs in, kills a worker in the midst of them, deletes those that were put off, and drains.
func (s *soak) round(jobs int) {
	s.Helper()
	for done := 0; done < jobs; {
		n := min(soakMany, jobs-done)
		_, err := s.client.EnqueueMany(s.ctx, soakBatch(s.rnd, s.sent, n))
		s.must(err)
		if half := jobs / 2; done < half && done+n >= half {
			s.crash()
		}
		done, s.sent = done+n, s.sent+n
		s.ready(100_000)
	}
	gone, err := s.client.Purge(s.ctx, soakQueue, queue.Scheduled, nil) // retries under way too
	s.must(err)
	s.deleted += int(gone)
	s.drained()
}

// crash kills the second worker with what it runs, and starts another in its place.
func (s *soak) crash() {
	s.Helper()
	victim := s.other.aim(true)
	if victim == nil {
		s.Fatal("the second worker ended by itself")
	}
	s.must(victim.signal(syscall.SIGKILL))
	<-victim.done
	s.must(s.other.start())
}

// ready waits until no more than so many jobs wait, so that the backlog stays bounded.
func (s *soak) ready(most int64) {
	s.Helper()
	redistest.WaitFor(s, time.Minute, func() bool {
		n, err := s.client.Counts(s.ctx, soakQueue)
		return err == nil && n.Ready <= most
	}, "the backlog to be worked off")
}

// drained waits until every job has ended and what is kept has gone, and holds the counters against what was sent.
func (s *soak) drained() {
	s.Helper()
	var n queue.Counts
	defer func() {
		if s.Failed() {
			s.Logf("last seen: %+v", n)
		}
	}()
	redistest.WaitFor(s, 2*time.Minute, func() bool {
		var err error
		n, err = s.client.Counts(s.ctx, soakQueue)
		return err == nil && n.Ready+n.Running+n.Scheduled+n.Finished == 0
	}, "the queue to be empty")
	dead, err := s.client.Purge(s.ctx, soakQueue, queue.DeadState, nil)
	s.must(err)
	s.deleted += int(dead)
	n, err = s.client.Counts(s.ctx, soakQueue)
	s.must(err)
	if int(n.Enqueued) != s.sent || int(n.Succeeded)+s.deleted != s.sent {
		s.Fatalf("%d jobs were sent: %d enqueued, %d succeeded, %d deleted", s.sent, n.Enqueued, n.Succeeded, s.deleted)
	}
}

// settle waits until Redis has given back what it had: buffers of connections and pokes go with a delay.
func (s *soak) settle(before Measure) {
	s.Helper()
	redistest.WaitFor(s, 30*time.Second, func() bool {
		m := s.measure()
		return m.Lasting <= before.Lasting && m.Redis <= before.Redis+redisSlack
	}, fmt.Sprintf("Redis to be as before: %v", before))
}

// measure reads what is taken up.
func (s *soak) measure() (m Measure) {
	s.Helper()
	names, err := s.rdb.Keys(s.ctx, "*").Result()
	s.must(err)
	m.Keys = int64(len(names))
	for _, name := range names {
		if !strings.HasSuffix(name, ":wake") && !strings.HasSuffix(name, ":due") && !strings.Contains(name, ":poke:") {
			m.Lasting++
		}
	}
	info, err := s.rdb.Info(s.ctx, "memory").Result()
	s.must(err)
	for line := range strings.SplitSeq(info, "\r\n") {
		if text, found := strings.CutPrefix(line, "used_memory:"); found {
			m.Redis, err = strconv.ParseInt(text, 10, 64)
			s.must(err)
		}
	}
	steady := s.steady.aim(false)
	if steady == nil {
		s.Fatalf("the worker ended by itself: %q", s.steady.fallen)
	}
	_, err = fmt.Fprintln(steady.hold)
	s.must(err)
	text, err := steady.says.ReadString('\n')
	s.must(err)
	_, err = fmt.Sscan(text, &m.Resident, &m.Goroutines)
	s.must(err)
	return m
}
