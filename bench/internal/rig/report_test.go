package rig

import (
	"context"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSpreadAndPercentile(t *testing.T) {
	if got, want := spreadOf([]float64{4, 1, 3, 2}), (Spread{Median: 2.5, Min: 1, Max: 4, Runs: 4}); got != want {
		t.Errorf("spreadOf = %+v, want %+v", got, want)
	}
	var s []time.Duration
	for i := range 200 {
		s = append(s, time.Duration(i+1))
	}
	for p, want := range map[float64]time.Duration{0: 1, 0.5: 100, 0.99: 198, 1: 200} {
		if got := percentile(s, p); got != want {
			t.Errorf("percentile %v = %d, want %d", p, got, want)
		}
	}
}

func TestRatiosPairRuns(t *testing.T) {
	r := newReport(Plan{Runs: 3, Measures: []Measure{{Name: "drain", Columns: []string{"a", "b"}}}})
	add := func(run int, label string, v float64, failure string) {
		r.Results = append(r.Results, Result{Run: run, Measure: "drain", System: label, Error: failure,
			Metrics: []Metric{{Name: "rate", Value: v}}})
	}
	add(1, "a", 10, "")
	add(1, "b", 20, "")
	add(2, "b", 90, "")
	add(2, "a", 30, "")
	add(3, "a", 1, "broken")
	add(3, "b", 50, "")
	r.summarise()
	if got, want := r.Summary[0].Ratios["b"], (Spread{Median: 2.5, Min: 2, Max: 3, Runs: 2}); got != want {
		t.Errorf("ratios = %+v, want %+v: a failed run has no pair", got, want)
	}
}

func TestNoRunBeginsThatWouldNotFit(t *testing.T) {
	for _, c := range []struct {
		spent  time.Duration
		runs   int
		within time.Duration
		want   bool
	}{
		{0, 0, time.Nanosecond, true}, // the first
		{2 * time.Minute, 2, 3 * time.Minute, true},
		{2*time.Minute + time.Second, 2, 3 * time.Minute, false},
		{time.Hour, 2, 0, true},
	} {
		if got := fits(c.spent, c.runs, c.within); got != c.want {
			t.Errorf("after %d runs in %v, within %v: %v, want %v", c.runs, c.spent, c.within, got, c.want)
		}
	}
}

// The runs that are wanted at least are made however long they take, of less work; the others are not.
func TestLeastRuns(t *testing.T) {
	if err := Available(Redis); err != nil {
		t.Skip(err)
	}
	var taken int
	var parts []float64
	plan := Plan{Runs: 5, AtLeast: 3, Within: time.Nanosecond, Measures: []Measure{{Name: "drain", Columns: []string{"a"}, Limit: time.Minute,
		Run: func(context.Context, string, Broker) ([]Metric, error) {
			taken++
			return []Metric{{Name: "rate", Value: 1}}, nil
		}}}}
	plan.Shrink = func(part float64) string {
		parts = append(parts, part)
		return "less"
	}
	rep, err := runAll(t.Context(), plan, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if taken != 3 || rep.Runs != 3 || len(rep.Remarks) != 2 || rep.Remarks[0] != "less" {
		t.Errorf("%d runs were made, %d told, remarks %q; want 3, 3, that there is less and that there are not 5", taken, rep.Runs, rep.Remarks)
	}
	if !slices.Equal(parts, []float64{0.1, 0.1}) {
		t.Errorf("the runs after the first do %v of the work, want a tenth each", parts)
	}
}

func TestPartOf(t *testing.T) {
	for _, c := range []struct {
		left, took time.Duration
		want       float64
	}{{9 * time.Minute, 9 * time.Minute, 1}, {20 * time.Minute, 9 * time.Minute, 1}, {6 * time.Minute, 9 * time.Minute, 0.5}, {time.Minute, 9 * time.Minute, 0.1}, {-time.Minute, time.Minute, 0.1}} {
		if got := partOf(c.left, c.took); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%v left for what takes %v: %v of the work, want %v", c.left, c.took, got, c.want)
		}
	}
}

func TestBestOther(t *testing.T) {
	r := newReport(Plan{Runs: 2, Own: "own@10", Measures: []Measure{{Name: "drain", Columns: []string{"a", "b", "own@10", "own-metrics"}}}})
	add := func(run int, label string, v float64) {
		r.Results = append(r.Results, Result{Run: run, Measure: "drain", System: label, Metrics: []Metric{{Name: "rate", Better: Higher, Value: v}}})
	}
	for run, values := range [][]float64{{10, 20, 60, 70}, {10, 24, 48, 70}} {
		for i, label := range r.plan.Measures[0].Columns {
			add(run+1, label, values[i])
		}
	}
	r.summarise()
	if got, want := r.Summary[0].Best, (Spread{Median: 2.5, Min: 2, Max: 3, Runs: 2}); got != want || r.Summary[0].BestOther != "b" {
		t.Errorf("best = %+v to %q, want %+v to b", got, r.Summary[0].BestOther, want)
	}
}

// TestBestOtherIsNotTooEarly: a lateness below 0 is a fault, not the least.
func TestBestOtherIsNotTooEarly(t *testing.T) {
	r := newReport(Plan{Runs: 1, Own: "own", Measures: []Measure{{Name: "delayed", Columns: []string{"early", "late", "own"}}}})
	for label, v := range map[string]float64{"early": -8, "late": 10, "own": 1} {
		r.Results = append(r.Results, Result{Run: 1, Measure: "delayed", System: label, Metrics: []Metric{{Name: "lateness", Better: Lower, Value: v}}})
	}
	r.summarise()
	if got := r.Summary[0]; got.BestOther != "late" || got.Best.Median != 0.1 {
		t.Errorf("best = %+v to %q, want 0.1 to late", got.Best, got.BestOther)
	}
}

func TestMarkdown(t *testing.T) {
	r := newReport(Plan{Runs: 1, Own: "b", Measures: []Measure{
		{Name: "drain", Columns: []string{"a", "b", "c"}},
		{Name: "curve", Columns: []string{"a@1", "a@10"}, Points: true},
		{Name: "none", Columns: []string{"a"}},
	}})
	add := func(measure, label string, v float64) {
		r.Results = append(r.Results, Result{Run: 1, Measure: measure, System: label, Metrics: []Metric{{Name: "rate", Unit: "1/s", Better: Higher, Value: v}}})
	}
	add("drain", "a", 10)
	add("drain", "b", 30)
	add("curve", "a@10", 7)
	r.Results = append(r.Results, Result{Run: 1, Measure: "drain", System: "c", Error: "broken\nin two"})
	r.Remarks = []string{"a remark"}
	r.summarise()
	var text strings.Builder
	r.WriteMarkdown(&text)
	const want = `
### drain

|  | unit | a | b | c | b / best other |
| --- | --- | --- | --- | --- | --- |
| rate | 1/s ↑ | 10 | 30; ×3 | - | 3 a |

### curve

| curve | rate, 1/s ↑ |
| --- | --- |
| a@1 | - |
| a@10 | 7 |

### Remarks

- a remark
- failed: run 1, drain, c: broken in two
`
	if got := text.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestHeadline(t *testing.T) {
	r := newReport(Plan{Runs: 2, Own: "own", Measures: []Measure{
		{Name: "drain", Columns: []string{"a", "b", "own"}, Headline: []string{"rate", "of its own"}},
		{Name: "alone", Columns: []string{"1 queue", "10 queues"}},
		{Name: "curve", Columns: []string{"a@1", "own@1", "own@2"}, Points: true},
	}})
	add := func(run int, measure, label, metric string, v float64) {
		r.Results = append(r.Results, Result{Run: run, Measure: measure, System: label, Metrics: []Metric{{Name: metric, Unit: "1/s", Better: Higher, Value: v}}})
	}
	for run, values := range [][]float64{{10, 20, 60}, {10, 24, 48}} {
		for i, label := range r.plan.Measures[0].Columns {
			add(run+1, "drain", label, "rate", values[i])
		}
		add(run+1, "alone", "1 queue", "rate", 1)
		add(run+1, "curve", "own@1", "rate", 1)
	}
	add(1, "drain", "own", "of its own", 7)
	add(1, "drain", "b", "of another", 7)
	r.summarise()
	var text strings.Builder
	r.WriteHeadline(&text)
	const want = `|  |  | unit | a | best other | own | / a | / best other |
| --- | --- | --- | --- | --- | --- | --- | --- |
| drain | rate | 1/s ↑ | 10 (10-10) | b 22 | 54 (48-60) | ×5.40 (4.80-6) | ×2.50 (2-3) |
| drain | of its own | 1/s ↑ | - | - | 7 | - | - |
`
	if got := text.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
