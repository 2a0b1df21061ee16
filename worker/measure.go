package worker

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/queue"
)

// fate is what an attempt came to.
type fate uint8

const (
	fateSucceeded fate = iota
	fateRetried
	fateDied
	fateSnoozed
	fateCancelled
	fateReleased
	fateExpired
	fateLost
	fateUnknownKind
	fateCount = iota
)

var fateWords = [fateCount]string{"succeeded", "retried", "died", "snoozed", "cancelled", "released", "expired", "lost", "unknown_kind"}

// Outcomes lists what attempts may come to: succeeded; retried (failed, to be tried again); died (failed for the last
// time, or could not be run at all); snoozed; cancelled (by an operator); released (given back while the worker
// drained); expired (not started in time); lost (the claim was lost, what the handler came to does not count);
// unknown_kind (no handler here: it waits for a worker that has one).
func Outcomes() []string { return slices.Clone(fateWords[:]) }

// OtherKind stands for all the kinds that are not measured by themselves.
const OtherKind = "other"

// Measured is what the attempts at jobs of one kind in one queue came to and how long they took, since Measure.
type Measured struct {
	Queue, Kind string
	Attempts    map[string]uint64 // how many came to each of Outcomes
	// Wait is how long jobs whose handler was called had been ready: since they were due, or created where they were not
	// delayed, by the server's clock and that of whoever enqueued them. A job that was dead and redriven is left out.
	// Run is how long attempts took whose handler was called. EndToEnd is from creation to the end, of jobs that
	// succeeded.
	Wait, Run, EndToEnd Histogram
}

// Histogram is a distribution of times.
type Histogram struct {
	Buckets []uint64 // how many fell into each: up to the bound in MeasureBounds and above the one before; the last has none
	Count   uint64
	Sum     float64 // seconds
}

// MeasureBounds are the upper bounds of a Histogram's buckets.
func MeasureBounds() []time.Duration { return slices.Clone(bounds[:]) }

var bounds = [...]time.Duration{
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second,
	10 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 4 * time.Hour,
}

// Measure makes the worker measure its attempts by queue and kind from now on; the first call decides. Kinds come from
// jobs: those with a handler of their own are measured each by itself, of those that a pattern serves the first ones until
// a queue has so many kinds (1 to 10000), and all else as OtherKind. Safe for concurrent use. Errors: queue.ErrInvalid.
func (w *Worker) Measure(kinds int) error {
	if kinds < 1 || kinds > 10_000 {
		return fmt.Errorf("%w kinds to measure: %d; allowed: 1 to 10000", queue.ErrInvalid, kinds)
	}
	w.measures.CompareAndSwap(nil, &measures{kinds: kinds})
	return nil
}

// Measured answers what was measured so far, sorted by queue and kind: nothing before Measure. Safe for concurrent use.
func (w *Worker) Measured() []Measured {
	var all []Measured
	for _, c := range w.consumers {
		known := c.measured()
		w.mu.Lock()
		for _, kind := range slices.Sorted(maps.Keys(known)) {
			all = append(all, known[kind].measured(c.name, kind))
		}
		w.mu.Unlock()
	}
	slices.SortStableFunc(all, func(a, b Measured) int { return strings.Compare(a.Queue, b.Queue) })
	return all
}

// measures is how attempts are measured.
type measures struct {
	kinds int        // of a queue at most, but for those with a handler of their own
	grow  sync.Mutex // held to put a larger map into a consumer
}

// series is the numbers of one kind in one queue, guarded by Worker.mu.
type series struct {
	count               [fateCount]uint64
	wait, run, endToEnd histogram
}

type histogram struct {
	buckets [len(bounds) + 1]uint64
	sum     float64
}

// find answers where a kind's attempts are counted, mostly without a lock. route is who serves it, nil when nobody does.
func (m *measures) find(c *consumer, kind string, route *route) *series {
	known := c.measured()
	if route == nil || len(kind) > maxKind {
		kind = OtherKind
	}
	s := known[kind]
	if s == nil && m.other(known, kind, route) {
		kind = OtherKind
		s = known[kind]
	}
	if s != nil {
		return s
	}
	m.grow.Lock()
	defer m.grow.Unlock()
	known = c.measured()
	if m.other(known, kind, route) {
		kind = OtherKind
	}
	if s = known[kind]; s == nil {
		s = new(series)
		larger := map[string]*series{kind: s}
		maps.Copy(larger, known)
		c.series.Store(&larger)
	}
	return s
}

// other tells whether a kind that was not met yet is to be counted with others.
func (m *measures) other(known map[string]*series, kind string, route *route) bool {
	own := route != nil && route.kind == kind
	return !own && (len(known) >= m.kinds || !utf8.ValidString(kind))
}

// measured is the numbers by kind; others may put a larger map there.
func (c *consumer) measured() map[string]*series {
	if known := c.series.Load(); known != nil {
		return *known
	}
	return nil
}

// maxKind bounds the kinds that are measured by themselves as package queue bounds them; a foreign producer may not.
const maxKind = 128

// note is what is to be counted of one attempt; without series nothing.
type note struct {
	series              *series
	at                  time.Time // when the attempt ended: the next one may begin with it
	fate                fate
	wait, run, endToEnd time.Duration // below 0 = not measured
}

// note measures an attempt that has come to an outcome.
func (t *task) note(o *outcome) {
	m := t.w.measures.Load()
	if m == nil {
		return
	}
	n := note{series: m.find(t.r.c, t.e.Kind, t.route), at: time.Now(), fate: t.fate(o), wait: -1, run: -1, endToEnd: -1}
	if t.called {
		began := t.began.UnixMicro() + t.w.offset.Load()
		n.run = n.at.Sub(t.began)
		if t.since > 0 {
			n.wait = max(time.Duration(began-1000*t.since)*time.Microsecond, 0)
		}
		if n.fate == fateSucceeded && t.e.CreatedAt > 0 {
			n.endToEnd = max(time.Duration(began-1000*t.e.CreatedAt)*time.Microsecond, 0) + n.run
		}
	}
	o.note = n
}

// fate is what an attempt came to.
func (t *task) fate(o *outcome) fate {
	switch {
	case o.drop:
		return fateLost
	case o.settle == nil:
		return fateSucceeded
	}
	switch o.settle.Verdict {
	case broker.Retry:
		return fateRetried
	case broker.Dead:
		return fateDied
	case broker.Cancelled:
		return fateCancelled
	case broker.Expired:
		return fateExpired
	case broker.Release:
		return fateReleased
	}
	if !t.called {
		return fateUnknownKind
	}
	return fateSnoozed
}

// add counts it, under Worker.mu. What was lost meanwhile counts as that.
func (n *note) add(gone bool) {
	s := n.series
	if gone {
		n.fate, n.endToEnd = fateLost, -1
	}
	s.count[n.fate]++
	s.wait.add(n.wait)
	s.run.add(n.run)
	s.endToEnd.add(n.endToEnd)
}

func (h *histogram) add(d time.Duration) {
	if d < 0 {
		return
	}
	low, high := 0, len(bounds)
	for low < high {
		if mid := (low + high) / 2; d > bounds[mid] {
			low = mid + 1
		} else {
			high = mid
		}
	}
	h.buckets[low]++
	h.sum += d.Seconds()
}

func (h *histogram) read() Histogram {
	out := Histogram{Buckets: slices.Clone(h.buckets[:]), Sum: h.sum}
	for _, n := range out.Buckets {
		out.Count += n
	}
	return out
}

func (s *series) measured(queue, kind string) Measured {
	m := Measured{Queue: queue, Kind: kind, Attempts: make(map[string]uint64, fateCount), Wait: s.wait.read(), Run: s.run.read(), EndToEnd: s.endToEnd.read()}
	for i, n := range s.count {
		m.Attempts[fateWords[i]] = n
	}
	return m
}
