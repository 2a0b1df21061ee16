package pitfalls

import (
	"testing"
	"time"

	"github.com/tidemill/tidemill/pubsub"
)

// account is one ear's list held against what was published.
type account struct {
	*testing.T
	e         *ear
	shots     [][]fired
	lost      []*pubsub.Gap // told because of the connection
	told      uint64        // dropped, by the gaps
	holes     int           // without a gap in their place
	delivered map[int]map[int]bool
	end       map[int]int // of each publisher, the first shot after the faults that was delivered
}

// judge holds that every message was delivered once, in the order of its publisher, or that the ear was told of it: it lies in
// time within a gap, or was counted as dropped; and that whatever is missing between two messages of a publisher
// was told between them.
func (b *barrage) judge(e *ear) tally {
	b.t.Helper()
	a := &account{T: b.t, e: e, shots: b.shots, delivered: make(map[int]map[int]bool), end: make(map[int]int)}
	if e.err != nil {
		a.Errorf("%s: %v", e.name, e.err)
	}
	a.read()
	sum := a.settle()
	a.Logf("%-12s %v", e.name, sum)
	return sum
}

// read goes through what was heard.
func (a *account) read() {
	last := make(map[int]int)    // of each publisher, the last number
	warned := make(map[int]bool) // a gap was told since
	first := make(map[int]bool)  // was heard of
	for _, p := range a.e.of {
		a.delivered[p] = make(map[int]bool)
	}
	for _, h := range a.e.list {
		if h.gap != nil {
			a.gap(h.gap)
			for _, p := range a.e.of {
				warned[p] = true
			}
			continue
		}
		p, n := h.shot.P, h.shot.N
		if p < 0 { // ballast
			continue
		}
		switch {
		case a.delivered[p] == nil:
			a.Errorf("%s heard publisher %d", a.e.name, p)
			continue
		case n >= len(a.shots[p]):
			a.Errorf("%s: message %d of publisher %d was never published", a.e.name, n, p)
			continue
		case a.delivered[p][n]:
			a.Errorf("%s: message %d of publisher %d came twice", a.e.name, n, p)
		case first[p] && n < last[p]:
			a.delivered[p][n] = true
			a.Errorf("%s: message %d of publisher %d came after %d", a.e.name, n, p, last[p])
			continue
		case first[p] && !warned[p]:
			a.whole(p, last[p]+1, n)
		}
		if a.shots[p][n].outcome == refused {
			a.Errorf("%s: message %d of publisher %d came, and its publisher was told that it was not sent", a.e.name, n, p)
		}
		a.delivered[p][n] = true
		last[p], warned[p], first[p] = n, false, true
		if _, there := a.end[p]; !there && h.shot.End {
			a.end[p] = n
		}
	}
}

// gap takes note of one that was told.
func (a *account) gap(g *pubsub.Gap) {
	if g.To.Before(g.From) || g.Reason == "" {
		a.Errorf("%s: %+v", a.e.name, g)
	}
	if g.Missed > 0 {
		a.told += g.Missed
		return
	}
	a.lost = append(a.lost, g)
}

// whole holds that nothing is missing from..to of a publisher: nothing was told there.
func (a *account) whole(p, from, to int) {
	for n := from; n < to; n++ {
		if a.shots[p][n].outcome == taken {
			if a.holes++; a.holes > 3 {
				return
			}
			a.Errorf("%s: message %d of publisher %d is missing, and no gap was told in its place", a.e.name, n, p)
			return
		}
	}
}

// settle counts what was published from the ear's subscription on.
func (a *account) settle() tally {
	sum := tally{dropped: int(a.e.sub.Dropped()), gaps: len(a.lost)}
	for _, g := range a.lost {
		sum.gapTime += g.To.Sub(g.From)
		sum.longest = max(sum.longest, g.To.Sub(g.From))
	}
	outside, silent := 0, 0
	for _, p := range a.e.of {
		for n, f := range a.shots[p] {
			switch {
			case f.outcome != taken || f.at.Before(a.e.from) || n >= a.end[p]:
				outside++
			case a.delivered[p][n]:
				sum.published++
				sum.delivered++
			default:
				sum.published++
				if a.within(f) {
					sum.within++
					continue
				}
				if silent++; silent > sum.dropped && silent <= sum.dropped+3 { // the first few tell enough
					a.Errorf("%s: message %d of publisher %d, published at %v, answered %v later, is not delivered nor in a gap: %s", a.e.name, n, p,
						f.at.Format("05.000000"), f.answered.Sub(f.at), a.around(f))
				}
			}
		}
	}
	if missing := sum.published - sum.delivered; sum.dropped > missing+outside || int(a.told) < silent || int(a.told) > sum.dropped {
		a.Errorf("%s: %d counted as dropped, %d told; %v", a.e.name, sum.dropped, a.told, sum)
	}
	return sum
}

// within tells whether a shot may have been under way in a gap.
func (a *account) within(f fired) bool {
	for _, g := range a.lost {
		if !f.answered.Before(g.From) && !f.at.After(g.To) {
			return true
		}
	}
	return false
}

// around is the gap that is nearest, for a report.
func (a *account) around(f fired) string {
	best, text := time.Duration(1<<62), "no gap at all"
	for _, g := range a.lost {
		if d := min(g.From.Sub(f.answered).Abs(), f.at.Sub(g.To).Abs()); d < best {
			best, text = d, "the nearest is "+g.From.Format("05.000000")+" to "+g.To.Format("05.000000")+" "+g.Reason
		}
	}
	return text
}
