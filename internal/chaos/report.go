package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is what came of a run.
type Report struct {
	*Verdict
	o    Options
	h    *History
	e    *Ending
	took time.Duration
}

func newReport(o Options, h *History, e *Ending, took time.Duration) *Report {
	return &Report{Verdict: Judge(h, e), o: o, h: h, e: e, took: took}
}

// shownViolations bounds the table: the first few tell.
const shownViolations = 20

// String is the report as a table.
func (r *Report) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	fates, attempts, cutShort := make(map[Fate]int), 0, 0
	for _, j := range r.h.Jobs {
		fates[j.Fate]++
		attempts += len(j.Claims)
		for _, c := range j.Claims {
			if c.End == 0 {
				cutShort++
			}
		}
	}
	row("seed", "%d, %v in all", r.o.Seed, r.took.Round(100*time.Millisecond))
	row("jobs", "%d begun: %d acknowledged, %d of unknown outcome, %d refused", len(r.h.Jobs), fates[Acked], fates[Maybe], fates[Refused])
	row("attempts", "%d, of which %d were cut short", attempts, cutShort)
	row("effects", "%d written by attempts that succeeded", len(r.h.effects()))
	row("fenced", "%d stand, %d were replaced by a later claim's, %d came late and were refused", r.Store.Len(), r.Store.Replaced, r.Store.Refused)
	row("repeats", "%s", counted(r.Repeats))
	row("at the end", "%s", counted(r.Crowded))
	row("in redis", "%s", counted(r.totals()))
	row("faults", "%s", counted(r.faults()))
	all := r.h.Recoveries()
	row("recovery", "%s", spread(all, func(Recovered) bool { return true }))
	row("  undisturbed", "%s", spread(all, func(r Recovered) bool { return r.Undisturbed && !r.Suspect }))
	row("  suspects", "%s", spread(all, func(r Recovered) bool { return r.Suspect }))
	if n := len(all); n > 0 {
		row("  the slowest", "%s", r.h.story(all[n-1]))
	}
	row("violations", "%d", len(r.Violations))
	for _, v := range r.Violations[:min(len(r.Violations), shownViolations)] {
		row("", "%s", v)
	}
	row("again by", "%s", r.o.Replay())
	w.Flush()
	return b.String()
}

// gaps are what was planned and did not come about: a run without its jobs and its faults proves nothing.
func (r *Report) gaps() (gaps []string) {
	acked, effects := 0, 0
	for _, j := range r.h.Jobs {
		if j.Fate == Acked {
			acked++
		}
		if j.ran(func(Claim) bool { return true }) {
			effects++
		}
	}
	if begun := len(r.h.Jobs); begun != r.o.Jobs || acked < begun/2 || effects < begun/2 {
		gaps = append(gaps, fmt.Sprintf("of %d jobs %d were begun, %d acknowledged, %d done", r.o.Jobs, begun, acked, effects))
	}
	planned, struck := make(map[Kind]int), make(map[Kind]int)
	for _, f := range NewPlan(r.o, 0) {
		planned[f.Kind]++
	}
	for _, s := range r.h.Strikes {
		if s.Way != noticed {
			struck[s.Kind]++
		}
	}
	for _, kind := range r.o.Faults {
		if n := planned[kind]; struck[kind] < n/2 {
			gaps = append(gaps, fmt.Sprintf("of %d faults %s %d hit anything", n, kind, struck[kind]))
		}
	}
	return gaps
}

func (r *Report) faults() map[string]int {
	n := make(map[string]int)
	for _, s := range r.h.Strikes {
		n[strings.TrimSpace(string(s.Kind)+" "+s.Way)]++
	}
	return n
}

func (r *Report) totals() map[string]int {
	sum := make(map[string]int)
	for _, counters := range r.e.Counters {
		for word, n := range counters {
			sum[word] += int(n)
		}
	}
	return sum
}

func counted(n map[string]int) string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(n)) {
		words = append(words, fmt.Sprintf("%s %d", name, n[name]))
	}
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, ", ")
}
