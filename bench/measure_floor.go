package main

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/tidemill/tidemill/bench/internal/rig"
)

// measureFloor takes the latency of a system, and how well its handlers of 10 ms fill their time, beside the best that there can
// be on this machine: a bare list, and goroutines that do nothing but wait.
func (b *bench) measureFloor(ctx context.Context, column string, broker rig.Broker) ([]rig.Metric, error) {
	spec := b.spec(b.usualVariant(column), broker)
	spec.N, spec.Procs = b.N, b.procsOf(alone)
	latency, err := runStep(ctx, "latency", spec)
	if err != nil {
		return nil, err
	}
	spec.Handler = sleeps[len(sleeps)-1]
	var handlers []rig.Metric
	if column == bare {
		spec.Variant.Concurrency = sleeping
		handlers, err = runStep(ctx, "wait", spec)
		prefixed(spec.Handler.String()+" ", handlers)
	} else {
		handlers, err = measureSleeping(ctx, spec)
	}
	return append(latency, slices.DeleteFunc(handlers, func(m rig.Metric) bool { return m.Unit != "%" || m.Better != rig.Higher })...), err
}

// waitStep has as many goroutines as there are handlers wait for as long as those take, one time after another, N times in all.
func waitStep(_ context.Context, _ adapter, spec stepSpec) ([]rig.Metric, error) {
	pauses := rig.NewPauses(spec.Handler)
	rounds := (spec.N + spec.Variant.Concurrency - 1) / spec.Variant.Concurrency
	var all sync.WaitGroup
	began := time.Now()
	for range spec.Variant.Concurrency {
		all.Go(func() {
			for range rounds {
				pauses.Pause()
			}
		})
	}
	all.Wait()
	return []rig.Metric{spec.efficiency(time.Since(began))}, nil
}
