package main

import (
	"math"
	"slices"
	"time"
)

// metric is one figure of one step.
type metric struct {
	Name   string  `json:"name"`
	Unit   string  `json:"unit"`
	Better string  `json:"better"` // higher or lower
	Value  float64 `json:"value"`
}

// The directions of a metric.
const (
	higher = "higher"
	lower  = "lower"
)

// spread is the middle and the ends of a metric over the runs.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	Runs   int     `json:"runs"`
}

// spreadOf sums up values; it is the zero spread for none.
func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	s := slices.Sorted(slices.Values(values))
	mid := s[len(s)/2]
	if len(s)%2 == 0 {
		mid = (s[len(s)/2-1] + mid) / 2
	}
	return spread{Median: mid, Min: s[0], Max: s[len(s)-1], Runs: len(s)}
}

// percentile is the nearest-rank percentile p (0 to 1) of sorted samples.
func percentile(sorted []time.Duration, p float64) time.Duration {
	i := int(math.Ceil(p*float64(len(sorted)))) - 1
	return sorted[max(0, min(i, len(sorted)-1))]
}

// quantiles are the metrics p50, p99 and max of samples, in milliseconds.
func quantiles(samples []time.Duration, prefix string) []metric {
	s := slices.Sorted(slices.Values(samples))
	ms := func(name string, d time.Duration) metric {
		return metric{Name: prefix + name, Unit: "ms", Better: lower, Value: float64(d) / float64(time.Millisecond)}
	}
	return []metric{ms("p50", percentile(s, 0.5)), ms("p99", percentile(s, 0.99)), ms("max", s[len(s)-1])}
}
