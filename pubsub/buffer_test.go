package pubsub

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// fill pushes messages numbered by their topics, and answers what became of them.
func fill(b *buffer[int], from, to int) (dropped int, slow bool) {
	for i := from; i < to; i++ {
		f := &frame[int]{}
		f.m.Data = i
		var at moment
		n, _, s := b.push(f, &at)
		dropped, slow = dropped+n, slow || s
	}
	return dropped, slow
}

// empties a buffer: "3 4 gap(2) 5".
func emptied(b *buffer[int]) string {
	text := ""
	for {
		f, gap, _ := b.pop()
		switch {
		case f != nil:
			text += fmt.Sprintf(" %d", f.m.Data)
		case gap != nil && gap.Missed > 0:
			text += fmt.Sprintf(" gap(%d)", gap.Missed)
		case gap != nil:
			text += " lost(" + gap.Reason + ")"
		case text == "":
			return text
		default:
			return text[1:]
		}
	}
}

func TestPolicies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost := func(reason string) *Gap { return &Gap{From: time.Now(), To: time.Now().Add(1), Reason: reason} }
		for _, c := range []struct {
			name   string
			policy Policy
			limit  int
			do     func(b *buffer[int])
			want   string
		}{
			{"room for all", DropOldest, 4, func(b *buffer[int]) { fill(b, 0, 4) }, "0 1 2 3"},
			{"oldest", DropOldest, 4, func(b *buffer[int]) { fill(b, 0, 10) }, "gap(6) 6 7 8 9"},
			{"oldest, one place", DropOldest, 1, func(b *buffer[int]) { fill(b, 0, 10) }, "gap(9) 9"},
			{"oldest, in between", DropOldest, 2, func(b *buffer[int]) { fill(b, 0, 2); b.pop(); fill(b, 2, 5) }, "gap(2) 3 4"},
			{"newest", DropNewest, 4, func(b *buffer[int]) { fill(b, 0, 10) }, "0 1 2 3 gap(6)"},
			{"newest, in between", DropNewest, 2, func(b *buffer[int]) { fill(b, 0, 4); b.pop(); fill(b, 4, 6) }, "1 gap(2) 4 gap(1)"},
			{"slow", CloseWhenSlow, 2, func(b *buffer[int]) { fill(b, 0, 3) }, "0 1"},
			{"block, room to wait", Block(time.Second), 2, func(b *buffer[int]) { fill(b, 0, 4) }, "0 1 2 3"},
			{"block, none", Block(time.Second), 2, func(b *buffer[int]) { fill(b, 0, 6) }, "0 1 2 3 gap(2)"},
			{"block, too long", Block(time.Second), 2, func(b *buffer[int]) { fill(b, 0, 4); time.Sleep(time.Second) }, "0 1 gap(2)"},
			{"block, some too long", Block(time.Second), 2, func(b *buffer[int]) {
				fill(b, 0, 3)
				time.Sleep(time.Second / 2)
				fill(b, 3, 4)
				time.Sleep(time.Second / 2)
			}, "0 1 gap(1) 3"},
			{"block, room in time", Block(time.Second), 2, func(b *buffer[int]) {
				fill(b, 0, 4)
				b.pop()
				time.Sleep(time.Second)
			}, "1 2 gap(1)"},
			{"block, too long and none to wait", Block(time.Second), 1, func(b *buffer[int]) {
				fill(b, 0, 4)
				time.Sleep(time.Second)
				fill(b, 4, 5)
			}, "0 gap(3) 4"},
			{"lost", DropOldest, 4, func(b *buffer[int]) { fill(b, 0, 2); b.missed(lost("a")); fill(b, 2, 4); b.missed(lost("b")) }, "0 1 lost(a) 2 3 lost(b)"},
			{"lost twice", DropOldest, 4, func(b *buffer[int]) { b.missed(lost("a")); b.missed(lost("b")); fill(b, 0, 1) }, "lost(b) 0"},
			{"lost behind what is dropped", DropOldest, 2, func(b *buffer[int]) {
				fill(b, 0, 2)
				b.missed(lost("a"))
				time.Sleep(time.Nanosecond)
				fill(b, 2, 5)
			}, "lost(a) gap(3) 3 4"},
			{"lost where nothing fits", DropNewest, 1, func(b *buffer[int]) {
				fill(b, 0, 2)
				time.Sleep(time.Nanosecond)
				b.missed(lost("a"))
				fill(b, 2, 3)
			}, "0 gap(2) lost(a)"},
		} {
			b := &buffer[int]{limit: c.limit, policy: c.policy}
			c.do(b)
			if got := emptied(b); got != c.want {
				t.Errorf("%s: %q, want %q", c.name, got, c.want)
			}
		}
		if n, slow := fill(&buffer[int]{limit: 2, policy: CloseWhenSlow}, 0, 3); n != 1 || !slow {
			t.Errorf("CloseWhenSlow: %d dropped, slow %v", n, slow)
		}
	})
}

// TestBuffersAtRandom: whatever happens, what goes in comes out once and in order, is told as dropped where it would have
// been, or stands in the count; and no more is held than is allowed.
func TestBuffersAtRandom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for round := range 400 {
			rnd := rand.New(rand.NewPCG(uint64(round), 7))
			policy := []Policy{DropOldest, DropNewest, Block(10)}[round%3]
			b := &buffer[int]{limit: 1 + rnd.IntN(9), policy: policy}
			next, expect, dropped := 0, 0, uint64(0)
			take := func() bool {
				f, gap, n := b.pop()
				dropped += uint64(n)
				switch {
				case f != nil && f.m.Data != expect:
					t.Fatalf("round %d, %v: %d came, %d was expected", round, policy, f.m.Data, expect)
				case f != nil:
					expect++
				case gap != nil:
					expect += int(gap.Missed)
					if gap.To.Before(gap.From) || gap.Missed == 0 {
						t.Fatalf("round %d: %+v", round, gap)
					}
				}
				return f != nil || gap != nil
			}
			for range 300 {
				switch rnd.IntN(5) {
				case 0, 1:
					many := 1 + rnd.IntN(4)
					n, _ := fill(b, next, next+many)
					dropped, next = dropped+uint64(n), next+many
				case 2, 3:
					take()
				default:
					time.Sleep(time.Duration(rnd.IntN(6)))
				}
				if held := b.main.n + b.waiting.n; b.main.n > b.limit || held > 2*b.limit {
					t.Fatalf("round %d, %v of %d: %d and %d are held", round, policy, b.limit, b.main.n, b.waiting.n)
				}
			}
			for take() {
			}
			if expect != next || dropped != b.dropped {
				t.Fatalf("round %d, %v: %d of %d accounted for; %d dropped, the buffer says %d", round, policy, expect, next, dropped, b.dropped)
			}
		}
	})
}

// TestRingsShrink: what a burst took is given back when it is not needed for long.
func TestRingsShrink(t *testing.T) {
	b := &buffer[int]{limit: 1024}
	fill(b, 0, 1024)
	emptied(b)
	if n := len(b.main.slots); n != 1024 {
		t.Fatalf("%d slots after a burst of 1024", n)
	}
	for range 9 * shrinkAfter {
		fill(b, 0, 1)
		emptied(b)
	}
	if n := len(b.main.slots); n > smallestRing {
		t.Errorf("%d slots for one message at a time", n)
	}
}
