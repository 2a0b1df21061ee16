package matrix

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
)

// Consumers of a durable topic die by kill -9, and Redis is killed and started again: each message that it took is
// delivered. Those of the dead come to others within TTL + 1 s; a slow consumer that lives keeps its message through all of it; and
// nothing is delivered again but what a dead one had.
func TestDurableKilled(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t, redistest.WithAOF("always"))
	c := newConsumers(t, srv.URL())
	var held atomic.Int64
	release := make(chan struct{})
	holder := c.join(3*time.Second, func(ctx context.Context, n int) {
		if held.CompareAndSwap(0, int64(n)) {
			select {
			case <-release:
			case <-ctx.Done():
				t.Errorf("the slow consumer lost note %d: %v", n, context.Cause(ctx))
			}
		}
	})
	c.publish()
	c.wait("the slow consumer to have a note", func() bool { return held.Load() != 0 })
	for range 4 {
		c.start()
	}
	c.progress(100)

	var again []time.Duration
	began := time.Now()
	for range 2 {
		again = append(again, c.killTwo()...)
		c.start()
		c.start()
		c.progress(100)
	}
	slices.Sort(again)
	if len(again) == 0 {
		t.Fatal("the dead had nothing: this shows nothing")
	}
	t.Logf("%d notes of the dead came to others after p50 %v, most %v", len(again), again[len(again)/2].Round(time.Millisecond),
		again[len(again)-1].Round(time.Millisecond))
	if again[len(again)-1] > c.ttl+9*time.Second+slack(began) {
		t.Errorf("one took %v", again[len(again)-1])
	}

	c.killRedis(srv)
	c.killRedis(srv)
	c.kill(c.alive()[1])
	c.killRedis(srv)
	c.cease()
	c.wait("every note that Redis took", func() bool { return c.missing() == 0 })
	if n := c.byNote()[int(held.Load())]; len(n) != 1 || n[0].by != holder {
		t.Errorf("the slow consumer's note was delivered %d times", len(n))
	}
	close(release)
	c.settled()
	c.account()
}

// killRedis is kill -9 of the server, and a start at once; it answers when the group gets on.
func (c *consumers) killRedis(srv *redisserver.Server) {
	c.t.Helper()
	srv.Kill()
	if err := srv.Restart(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
	c.progress(50)
}

// redisField answers a field of INFO.
func redisField(info, name string) string {
	_, rest, _ := strings.Cut(info, name+":")
	value, _, _ := strings.Cut(rest, "\r")
	return value
}

// alive are the consumers that were not killed, that of this process first.
func (c *consumers) alive() (out []*consumer) {
	for _, one := range c.all {
		if one.killed.IsZero() {
			out = append(out, one)
		}
	}
	return out
}

// killTwo kills two processes and answers how long it takes until others have what they had.
func (c *consumers) killTwo() (again []time.Duration) {
	c.t.Helper()
	dead := c.alive()[1:3]
	open := make(map[int]time.Time)
	for _, one := range dead {
		c.kill(one)
	}
	for _, one := range dead {
		for _, d := range one.deliveries() {
			if !d.done {
				open[d.n] = one.killed
			}
		}
	}
	c.wait("others to have what the dead had", func() bool {
		all := c.byNote()
		again = again[:0]
		for n, killed := range open {
			if last := all[n][len(all[n])-1]; last.at.After(killed) && !slices.Contains(dead, last.by) {
				again = append(again, last.at.Sub(killed))
			}
		}
		return len(again) == len(open)
	})
	return again
}

// missing is how many notes that Redis took nobody got.
func (c *consumers) missing() (n int) {
	all := c.byNote()
	for _, one := range c.stored {
		if len(all[one.N]) == 0 {
			n++
		}
	}
	return n
}

// account explains each delivery after the first: who had it before was killed. Sessions of the living are not lost.
func (c *consumers) account() {
	c.t.Helper()
	repeated, deliveries := 0, 0
	for n, list := range c.byNote() {
		deliveries += len(list)
		for i, d := range list[1:] {
			repeated++
			if before := list[i].by; before.killed.IsZero() || d.at.Before(before.killed) {
				c.t.Errorf("note %d came to %s, though %s had it and lived", n, d.by.name, before.name)
			}
		}
	}
	lost := c.logs.find("session lost")
	for _, one := range c.all {
		if one.child != nil {
			lost = append(lost, one.logged("session lost")...)
		}
	}
	if len(lost) > 0 {
		c.t.Errorf("living consumers lost their sessions: %.500s", fmt.Sprint(lost))
	}
	c.t.Logf("%d notes stored, %d deliveries, %d of them again, each of what a killed process had", len(c.stored), deliveries, repeated)
}

// The primary dies, and a Sentinel puts its replica in its place: members go on with their sessions, and what the replica
// had, or the new primary took, is delivered. Redis may lose what it had not passed on yet: that is counted.
func TestDurableFailover(t *testing.T) {
	t.Parallel()
	s := redistest.NewSentinel(t, 1, 1)
	old := s.Primary(t)
	c := newConsumers(t, s.URL())
	for range 2 {
		c.join(3*time.Second, func(context.Context, int) {})
	}
	c.publish()
	c.progress(200)
	offsets := func(srv *redisserver.Server, field string) int64 {
		var n int64
		info := redistest.Client(t, srv).Info(t.Context(), "replication").Val()
		if _, err := fmt.Sscan(redisField(info, field), &n); err != nil {
			t.Fatalf("no %s in %q", field, info)
		}
		return n
	}
	confirmed := time.Now() // what was answered before is with the replica
	at := offsets(old, "master_repl_offset")
	c.wait("the replica to follow", func() bool { return offsets(s.Data[1], "slave_repl_offset") >= at })
	old.Kill()
	s.AwaitOther(t, old)
	taken := time.Now() // what is begun from now on goes to the new primary
	c.progress(200)
	c.cease()
	window := func(i int) bool { return c.at[i].After(confirmed) && c.at[i].Before(taken) }
	lost := 0
	c.wait("what was not lost with the primary", func() bool {
		all := c.byNote()
		missing := 0
		lost = 0
		for i, one := range c.stored {
			switch {
			case len(all[one.N]) > 0:
			case window(i):
				lost++
			default:
				missing++
			}
		}
		return missing == 0
	})
	c.settled()
	all := c.byNote()
	again := 0
	for _, list := range all {
		again += len(list) - 1
	}
	t.Logf("%d notes stored; %d answered in the last moment of the old primary were lost with it; %d delivered again",
		len(c.stored), lost, again)
	if found := c.logs.find("session lost"); len(found) > 0 {
		t.Errorf("%.500s", fmt.Sprint(found))
	}
}
