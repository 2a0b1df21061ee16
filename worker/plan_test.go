package worker

import (
	"context"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// bench is a worker that is not connected to anything, for what is pure in it.
func bench(t testing.TB, config Config) *Worker {
	t.Helper()
	s := space(t)
	if err := config.prepare(s); err != nil {
		t.Fatal(err)
	}
	w := &Worker{config: config, base: context.Background(), log: zerolog.Nop(), zombies: make(map[claimKey]*run)}
	for _, q := range config.Queues {
		k, err := s.Queue(q.Name)
		if err != nil {
			t.Fatal(err)
		}
		c := newConsumer(k, q)
		c.active, c.maybe = true, true
		w.consumers = append(w.consumers, c)
	}
	return w
}

func three(weights ...int) []Queue {
	return []Queue{{Name: "a", Weight: weights[0]}, {Name: "b", Weight: weights[1]}, {Name: "c", Weight: weights[2]}}
}

func total(shares []int) (sum int) {
	for _, n := range shares {
		sum += n
	}
	return sum
}

func TestWeightedSharesInTheLongRun(t *testing.T) {
	for _, want := range []int{1, 2, 3, 7, 10, 100, 250} {
		w := bench(t, Config{Queues: three(6, 3, 1)})
		var got [3]int
		for range 1000 {
			shares := w.weightedLocked(want)
			if total(shares) != want {
				t.Fatalf("%v is not %d in all", shares, want)
			}
			for i, n := range shares {
				got[i] += n
			}
		}
		for i, weight := range []int{6, 3, 1} {
			if ideal := 1000 * want * weight / 10; got[i] < ideal-want || got[i] > ideal+want {
				t.Errorf("%d at a time: queue %d got %d, want %d", want, i, got[i], ideal)
			}
		}
	}
}

func TestNoQueueStarves(t *testing.T) {
	w := bench(t, Config{Queues: three(1000, 1000, 1)})
	last, waited := 0, 0
	for i := range 10_000 {
		if w.weightedLocked(1)[2] == 1 {
			waited, last = max(waited, i-last), i
		}
	}
	if waited == 0 || waited > 2002 {
		t.Errorf("the lightest queue waited for %d turns", waited)
	}
}

// A queue that was idle has no claim on the time it missed, and one that cannot take more leaves its share.
func TestSharesOfTheOthers(t *testing.T) {
	w := bench(t, Config{Queues: three(6, 3, 1)})
	a, c := w.consumers[0], w.consumers[2]
	a.maybe = false
	for range 1000 {
		if shares := w.weightedLocked(4); shares[0] != 0 || total(shares) != 4 {
			t.Fatalf("%v", shares)
		}
	}
	a.maybe = true
	if shares := w.weightedLocked(10); shares[0] > 7 {
		t.Errorf("after a rest: %v", shares)
	}
	a.limit, a.running = 5, 3
	for range 100 {
		if shares := w.weightedLocked(50); shares[0] > 2 || total(shares) != 50 {
			t.Fatalf("with a bound of 5 and 3 running: %v", shares)
		}
	}
	for _, other := range w.consumers {
		other.paused = other != c
	}
	if shares := w.weightedLocked(9); shares[2] != 9 {
		t.Errorf("alone: %v", shares)
	}
	c.active = false
	if shares := w.weightedLocked(9); shares != nil {
		t.Errorf("nobody: %v", shares)
	}
}

func TestStrictShares(t *testing.T) {
	w := bench(t, Config{Queues: three(1, 1, 1), Strict: true})
	w.consumers[1].limit = 3
	for i, want := range [][]int{{10, 0, 0}, {0, 3, 0}, {0, 0, 10}, nil} {
		got := w.strictLocked(10)
		if len(got) != len(want) || total(got) != total(want) || want != nil && got[i] != want[i] {
			t.Errorf("step %d: %v, want %v", i, got, want)
		}
		if i < 3 {
			w.consumers[i].maybe = false
		}
	}
}

func TestSharesFillFreeSlots(t *testing.T) {
	w := bench(t, Config{Concurrency: 20})
	now := time.Now()
	for _, c := range []struct{ running, buffered, wanted, prefetch, want int }{
		{0, 0, 0, 0, 20}, {15, 0, 0, 0, 5}, {20, 0, 0, 0, 0}, {0, 0, 20, 0, 0}, {10, 5, 5, 0, 0},
		{0, 0, 0, 100, 120}, {20, 0, 0, 100, 100}, {20, 49, 0, 100, 51}, {20, 50, 0, 100, 0}, {0, 0, 0, 1000, maxClaim},
	} {
		w.running, w.wanted, w.buffer = c.running, c.wanted, make([]*run, c.buffered)
		w.pace = pace{since: now, prefetch: c.prefetch}
		if got := total(w.sharesLocked(now)); got != c.want {
			t.Errorf("%+v: asks for %d", c, got)
		}
	}
	w.running, w.wanted, w.buffer = 0, 0, nil
	for _, off := range []*bool{&w.stopping, &w.quiet} {
		*off = true
		if shares := w.sharesLocked(now); shares != nil {
			t.Errorf("asks for %v", shares)
		}
		*off = false
	}
}

func TestPace(t *testing.T) {
	now := time.Now()
	p := pace{since: now}
	after := func(d time.Duration, finished int) int {
		p.finished += finished
		now = now.Add(d)
		return p.measure(now)
	}
	if got := after(time.Millisecond, 100); got != 0 {
		t.Errorf("within the window: %d", got)
	}
	for range 30 {
		after(2*time.Millisecond, 100)
	}
	if got := after(2*time.Millisecond, 100); got < 290 || got > 300 {
		t.Errorf("100 in 2 ms, steadily: %d", got)
	}
	// Handlers of 10 ms that were started at once end at once.
	least := maxPrefetch
	for i := range 50 {
		least = min(least, after(2*time.Millisecond, 500*(1-min(i%5, 1))))
	}
	if least < 100 {
		t.Errorf("500 in 10 ms, all in 2 of them: %d", least)
	}
	if got := after(2*time.Millisecond, 1_000_000); got != maxPrefetch {
		t.Errorf("a million in 2 ms: %d", got)
	}
	if got := after(time.Second, 0); got != 0 || p.rate != 0 {
		t.Errorf("after a rest: %d", got)
	}
}

// What is sent is taken off the lists and reserves its slots; what is answered gives them back.
func TestOrderReservesSlots(t *testing.T) {
	w := bench(t, Config{Concurrency: 50})
	c := w.consumers[0]
	b := &batch{runs: make([]run, 600), open: 600}
	for i := range b.runs {
		b.runs[i] = run{c: c, batch: b, phase: settling}
		c.done = append(c.done, &b.runs[i])
	}
	first := w.orderLocked(c, 0, 30, time.Now())
	second := w.orderLocked(c, 1, 20, time.Now())
	if len(first.done) != maxAcks || len(second.done) != maxAcks || len(c.done) != 600-2*maxAcks {
		t.Fatalf("%d, %d and %d left", len(first.done), len(second.done), len(c.done))
	}
	if w.wanted != 50 || c.wanted != 50 || w.suspects != 1 || !first.call.Suspect || second.call.Suspect {
		t.Errorf("%d, %d wanted, %d suspects", w.wanted, c.wanted, w.suspects)
	}
	if first.call.Seq != 1 || second.call.Seq != 1 || w.orderLocked(c, 0, 0, time.Now()).call.Seq != 2 {
		t.Error("lanes number their calls each for itself")
	}
	w.releaseSlotsLocked(first, true)
	w.releaseSlotsLocked(second, true)
	if w.wanted != 0 || c.wanted != 0 || w.suspects != 0 || b.open != 600-2*maxAcks {
		t.Errorf("%d, %d wanted, %d suspects, %d open", w.wanted, c.wanted, w.suspects, b.open)
	}
}

// Few acknowledgements wait a little for company while jobs run, and go at once when nothing does.
func TestAcknowledgementsGather(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		running, acks int
		age           time.Duration
		stopping      bool
		sent          bool
	}{
		"a few": {running: 20, acks: 3}, "old ones": {running: 20, acks: 3, age: ackDelay, sent: true},
		"many": {running: 20, acks: ackBatch, sent: true}, "idle": {acks: 1, sent: true},
		"stopping": {running: 20, acks: 1, stopping: true, sent: true}, "none": {running: 20},
	} {
		w := bench(t, Config{Concurrency: 20})
		q := w.consumers[0]
		q.maybe, q.since = false, now.Add(-c.age)
		w.running, w.stopping = c.running, c.stopping
		b := &batch{runs: make([]run, c.acks), open: c.acks}
		for i := range b.runs {
			b.runs[i].batch = b
			q.done = append(q.done, &b.runs[i])
		}
		round, wait := w.planLocked(0, now)
		if (round != nil) != c.sent || !c.sent && c.acks > 0 && wait != ackDelay {
			t.Errorf("%s: %d calls, wait %v", name, len(round), wait)
		}
	}
}

// The turn of suspects goes to the queue that waits longest for it, of those that can be asked.
func TestTurnOfSuspects(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(c *consumer)
		yields bool
	}{
		{"with suspects", func(*consumer) {}, true},
		{"that had its turn later", func(c *consumer) { c.turn = 3 }, false},
		{"without suspects", func(c *consumer) { c.suspects = false }, false},
		{"without a session", func(c *consumer) { c.active = false }, false},
		{"out of reach", func(c *consumer) { c.stranded[1] = true }, false},
		{"that is paused", func(c *consumer) { c.paused = true }, false},
		{"that is broken", func(c *consumer) { c.broken = context.Canceled }, false},
	} {
		w := bench(t, Config{Queues: three(1, 1, 1)})
		a, b := w.consumers[0], w.consumers[1]
		a.suspects, a.turn, b.suspects, b.turn = true, 2, true, 1
		if c.change(b); w.turnLocked(a) == c.yields {
			t.Errorf("beside a queue %s the other yields: %v, want %v", c.name, !c.yields, c.yields)
		}
	}
}
