package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tidemill/tidemill/bench/internal/rig"
)

// usualLoad is the part of its capacity at which a system's latency is taken, and loadTime for how long.
const (
	usualLoad = 0.5
	loadTime  = 2 * time.Second
)

// oneByOne is how the capacity is measured to which a load refers; batched and eights are other ways to enqueue, of systems that have
// a batch call, and bestWay the rate of the one that carried most.
const (
	oneByOne = "32 callers "
	batched  = "batch of 1000 "
	eights   = "batch of 8 "
	bestWay  = "best way, rate"
)

// measureMixed has a worker and a producer at once: with 32 callers, and in large and small batches where the system has a batch call.
func (b *bench) measureMixed(ctx context.Context, spec stepSpec) ([]rig.Metric, error) {
	out := []rig.Metric{{Name: bestWay, Unit: "jobs/s", Better: rig.Higher}}
	for _, mode := range []struct {
		name  string
		batch int
	}{{oneByOne, 0}, {batched, batchSize}, {eights, 8}} {
		spec.Batch = mode.batch
		metrics, err := beside(ctx, spec)
		if unsupported(metrics, err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		rate, ok := valueOf(metrics, "rate")
		if ok && mode.batch == 0 {
			b.capacity[spec.Variant.Label] = rate
		}
		out[0].Value = max(out[0].Value, rate)
		out = append(out, prefixed(mode.name, metrics)...)
	}
	if len(out) == 1 {
		return nil, nil
	}
	return out, nil
}

// measureLoad takes the latency while jobs come one by one at a part of what the system can do, as the measure mixed has
// last found, or as is found now.
func (b *bench) measureLoad(part float64) measureFunc {
	return func(ctx context.Context, spec stepSpec) ([]rig.Metric, error) {
		capacity, known := b.capacity[spec.Variant.Label]
		if !known {
			metrics, err := beside(ctx, spec)
			if err != nil {
				return nil, err
			}
			if capacity, known = valueOf(metrics, "rate"); !known {
				return nil, nil
			}
			b.capacity[spec.Variant.Label] = capacity
		}
		spec.Rate = part * capacity
		// All at the smallest N are done in no time: then only that they are done is of interest.
		spec.N = min(max(100, int(spec.Rate*loadTime.Seconds())), 10*spec.N)
		return beside(ctx, spec)
	}
}

// beside runs, on an emptied server, a worker and once it is ready the producer, each in a process of its own.
func beside(ctx context.Context, spec stepSpec) ([]rig.Metric, error) {
	if err := rig.Empty(ctx, spec.Broker); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	worker, err := startStep(ctx, "consume", spec)
	if err != nil {
		return nil, err
	}
	if err := worker.Line(ctx, readyLine); err != nil {
		return nil, err
	}
	producer, err := startStep(ctx, "produce", spec)
	if err != nil {
		cancel(err)
		_, _ = worker.Finish(ctx)
		return nil, err
	}
	type outcome struct {
		metrics []rig.Metric
		err     error
	}
	produced := make(chan outcome, 1)
	go func() {
		metrics, err := producer.Finish(ctx)
		switch {
		case unsupported(metrics, err): // the worker would wait for ever
			cancel(errors.ErrUnsupported)
		case err != nil:
			cancel(fmt.Errorf("producer: %w", err))
		}
		produced <- outcome{metrics, err}
	}()
	metrics, err := worker.Finish(ctx)
	if err != nil {
		cancel(err)
	}
	p := <-produced
	if err = cmp.Or(err, p.err); err != nil {
		return nil, err
	}
	return both(metrics, p.metrics), nil
}

// serverSide are the metrics of the server, not of the process that reads them.
var serverSide = []string{"server CPU", "network in", "network out"}

// both joins a worker's and a producer's metrics. The server's are the worker's to tell: it began first and ended last.
func both(worker, producer []rig.Metric) []rig.Metric {
	rename := func(metrics []rig.Metric, name, as string) (out []rig.Metric) {
		for _, m := range metrics {
			if m.Name == name {
				m.Name = as
			}
			out = append(out, m)
		}
		return out
	}
	out := rename(worker, "client CPU", "worker CPU")
	for _, m := range rename(producer, "client CPU", "producer CPU") {
		if !slices.Contains(serverSide, m.Name) {
			out = append(out, m)
		}
	}
	return out
}
