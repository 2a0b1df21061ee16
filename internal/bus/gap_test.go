package bus

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/conn"
	"github.com/tidemill/tidemill/internal/redistest"
)

// journal is a Receiver that notes the numbers it gets, and the gaps between them.
type journal struct {
	mu   sync.Mutex
	got  map[int]int
	gaps []Gap
	last int
	back int // numbers that came after a higher one
}

func newJournal() *journal { return &journal{got: make(map[int]int), last: -1} }

func (j *journal) Message(_ string, payload []byte) {
	n, _ := strconv.Atoi(string(payload))
	j.mu.Lock()
	defer j.mu.Unlock()
	j.got[n]++
	if n <= j.last {
		j.back++
	}
	j.last = n
}

func (j *journal) Missed(g Gap) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.gaps = append(j.gaps, g)
}

func (j *journal) Ended(error) {}

func (j *journal) count() (messages, gaps int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.got), len(j.gaps)
}

// first answers the first gap.
func (j *journal) first() Gap {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.gaps[0]
}

func (j *journal) has(n int) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.got[n] > 0
}

// knows tells whether a number was received, or was told to be missing perhaps.
func (j *journal) knows(n int, p published) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.got[n] > 0 || j.inGap(p)
}

func (j *journal) inGap(p published) bool {
	return slices.ContainsFunc(j.gaps, func(g Gap) bool { return !p.answered.Before(g.From) && !p.began.After(g.To) })
}

// published is a number that a publisher sent.
type published struct{ began, answered time.Time }

// publish sends numbers until stop says so, and answers when.
func publish(ctx context.Context, send func(n int) error, stop func(n int) bool) (all []published, err error) {
	for n := 0; !stop(n); n++ {
		one := published{began: time.Now()}
		if err := send(n); err != nil {
			return all, err
		}
		one.answered = time.Now()
		all = append(all, one)
	}
	return all, ctx.Err()
}

// judge holds against each other what was published and what was received: each number came once, or lies in a gap.
func (j *journal) judge(t testing.TB, all []published) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	missing := 0
	for n, p := range all {
		if j.got[n] > 1 {
			t.Errorf("%d came %d times", n, j.got[n])
		}
		if j.got[n] > 0 {
			continue
		}
		missing++
		if !j.inGap(p) {
			t.Errorf("%d, published from %v to %v, is missing and in none of %d gaps", n, p.began, p.answered, len(j.gaps))
		}
	}
	var sum time.Duration
	for _, g := range j.gaps {
		sum += g.To.Sub(g.From)
	}
	t.Logf("%d published, %d missing, all in %d gaps of %v together", len(all), missing, len(j.gaps), sum.Round(time.Millisecond))
	if j.back > 0 {
		t.Errorf("%d came out of order", j.back)
	}
}

// The connection is lost again and again, by the server's hand and on the way: what is missing is in a gap.
func TestNothingIsMissingSilently(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	proxy := redistest.NewProxy(t, srv.Addr())
	_, hub := open(t, "redis://"+proxy.Addr(), conn.Config{})
	admin := redistest.Client(t, srv)
	j := newJournal()
	subscribe(t, hub, Channel, "ch", j)
	var all []published
	var pub sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	rdb := redistest.Client(t, srv)
	pub.Go(func() {
		var err error
		all, err = publish(t.Context(), func(n int) error { return rdb.Publish(t.Context(), "ch", n).Err() },
			func(int) bool { return ctx.Err() != nil })
		if err != nil {
			t.Error(err)
		}
	})
	for i := range 8 {
		before, gaps := j.count()
		redistest.WaitFor(t, time.Minute, func() bool { n, _ := j.count(); return n > before+100 }, "messages")
		if i%2 == 0 {
			proxy.Cut()
		} else if err := admin.Do(t.Context(), "CLIENT", "KILL", "TYPE", "pubsub").Err(); err != nil {
			t.Fatal(err)
		}
		redistest.WaitFor(t, time.Minute, func() bool { _, n := j.count(); return n > gaps }, "a gap")
	}
	cancel()
	pub.Wait()
	redistest.WaitFor(t, time.Minute, func() bool { return j.knows(len(all)-1, all[len(all)-1]) }, "the last message")
	j.judge(t, all)
}

// What a server loses that dies while its subscriber lags is in the gap, although the subscriber heard it to the end.
func TestGapReachesBackBehindTheLag(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	proxy := redistest.NewProxy(t, srv.Addr())
	_, hub := open(t, "redis://"+proxy.Addr(), conn.Config{})
	j := newJournal()
	subscribe(t, hub, Channel, "ch", j)
	rdb := redistest.Client(t, srv)
	proxy.Bandwidth(0, 20_000) // bytes/s: some 400 messages
	all, err := publish(t.Context(), func(n int) error { return rdb.Publish(t.Context(), "ch", n).Err() }, func(n int) bool {
		got, _ := j.count()
		return got > 200 && n > 3000
	})
	if err != nil {
		t.Fatal(err)
	}
	proxy.Cut()
	proxy.Bandwidth(0, 0)
	redistest.WaitFor(t, time.Minute, func() bool { _, n := j.count(); return n == 1 }, "the gap")
	j.judge(t, all)
}
