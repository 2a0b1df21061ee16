package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tidemill/tidemill/bench/internal/rig"
)

// The points of the curves: handlers at once; percent of the capacity; jobs that wait.
var (
	concurrencies = []int{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000}
	loads         = []int{5, 10, 25, 50, 75, 90}
	backlogs      = []int{1_000, 10_000, 100_000, 1_000_000, 10_000_000}
)

// points are the columns of a curve: each of its systems at each point.
func (b *bench) points(xs []int) (columns []string) {
	for _, system := range b.Curves {
		for _, x := range xs {
			columns = append(columns, system+"@"+strconv.Itoa(x))
		}
	}
	return columns
}

// backlogPoints are those of the curve that has only one system, up to the bound that was set.
func (b *bench) backlogPoints() (columns []string) {
	for _, x := range backlogs {
		if x <= b.Backlog {
			columns = append(columns, alone+"@"+strconv.Itoa(x))
		}
	}
	return columns
}

// point takes a measure at a point of a curve.
func (b *bench) point(run func(ctx context.Context, x int, spec stepSpec) ([]rig.Metric, error)) func(context.Context, string, rig.Broker) ([]rig.Metric, error) {
	return func(ctx context.Context, column string, broker rig.Broker) ([]rig.Metric, error) {
		system, text, _ := strings.Cut(column, "@")
		x, err := strconv.Atoi(text)
		if err != nil {
			return nil, err
		}
		return run(ctx, x, b.spec(b.usualVariant(system), broker))
	}
}

// measureConcurrency drains with so many handlers at once; where those are few, fewer jobs.
func (b *bench) measureConcurrency(ctx context.Context, x int, spec stepSpec) ([]rig.Metric, error) {
	spec.Variant.Concurrency = x
	spec.N = max(min(100, spec.N), spec.N*min(100, 10+2*x)/100)
	metrics, err := measureDrain(ctx, spec)
	return slices.DeleteFunc(metrics, func(m rig.Metric) bool { return m.Name != "rate" && !strings.HasSuffix(m.Name, "CPU") }), err
}

// measureLoads takes the latency at some percent of the capacity.
func (b *bench) measureLoads(ctx context.Context, x int, spec stepSpec) ([]rig.Metric, error) {
	return b.measureLoad(float64(x)/100)(ctx, spec)
}

// measureBacklog enqueues and drains some jobs while others wait.
func (b *bench) measureBacklog(ctx context.Context, x int, spec stepSpec) ([]rig.Metric, error) {
	spec.Backlog = x
	fill := spec
	fill.N = x
	before, err := rig.Memory(ctx, spec.Broker)
	if err != nil {
		return nil, err
	}
	if _, err := runStep(ctx, "fill", fill); err != nil {
		return nil, fmt.Errorf("fill: %w", err)
	}
	after, err := rig.Memory(ctx, spec.Broker)
	if err != nil {
		return nil, err
	}
	metrics, err := runStep(ctx, "deep", spec)
	return append(metrics, rig.Metric{Name: "memory, pending job", Unit: "bytes", Better: rig.Lower, Value: float64(after-before) / float64(x)}), err
}
