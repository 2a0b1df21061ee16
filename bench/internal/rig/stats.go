package rig

import (
	"math"
	"slices"
	"time"
)

// Metric is one figure of one step.
type Metric struct {
	Name   string  `json:"name"`
	Unit   string  `json:"unit"`
	Better string  `json:"better"` // Higher or Lower
	Value  float64 `json:"value"`
}

// The directions of a metric.
const (
	Higher = "higher"
	Lower  = "lower"
)

// Spread is the middle and the ends of a metric over the runs.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	Runs   int     `json:"runs"`
}

// spreadOf sums up values; it is the zero spread for none.
func spreadOf(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	s := slices.Sorted(slices.Values(values))
	mid := s[len(s)/2]
	if len(s)%2 == 0 {
		mid = (s[len(s)/2-1] + mid) / 2
	}
	return Spread{Median: mid, Min: s[0], Max: s[len(s)-1], Runs: len(s)}
}

// percentile is the nearest-rank percentile p (0 to 1) of sorted samples.
func percentile(sorted []time.Duration, p float64) time.Duration {
	i := int(math.Ceil(p*float64(len(sorted)))) - 1
	return sorted[max(0, min(i, len(sorted)-1))]
}

// Quantiles are the metrics p50, p99, p99.9 (of a thousand or more) and max of samples, in milliseconds.
func Quantiles(samples []time.Duration, prefix string) []Metric {
	s := slices.Sorted(slices.Values(samples))
	ms := func(name string, d time.Duration) Metric {
		return Metric{Name: prefix + name, Unit: "ms", Better: Lower, Value: float64(d) / float64(time.Millisecond)}
	}
	out := []Metric{ms("p50", percentile(s, 0.5)), ms("p99", percentile(s, 0.99))}
	if len(s) >= 1000 {
		out = append(out, ms("p99.9", percentile(s, 0.999)))
	}
	return append(out, ms("max", s[len(s)-1]))
}
