package main

import (
	"context"
	"fmt"
	"time"

	"github.com/tidemill/tidemill/bench/internal/rig"
)

// The payload sizes, in bytes, at which constants are taken, and how many jobs of each: a Redis holds them at once.
var sizes = []int{200, 2_000, 20_000}

// jobsOf is how many jobs of a size are enqueued and run, about 50 MB: an append-only file that grows beyond 64 MB is
// rewritten, which is not to be measured.
func jobsOf(size int) int { return min(80_000, 40_000_000/(size+400)) }

// The rates, in jobs a second of the smallest size, at which constants are taken, and for how long.
var rates = []int{1_000, 5_000, 20_000}

const rateTime = 2 * time.Second

// The points at which the constants are checked, by the measure they belong to.
var (
	checkedBatches = []int{1_000, 8_000}
	checkedEights  = []int{1_000}
	checkedRate    = 3_000 // of checkedSize
)

const checkedSize = 1_000

// The measures. Those of the checks have names of their own.
const (
	inBatches  = "batches"
	inCalls    = "calls of 8"
	inEights   = "eights"
	oneByOne   = "ones"
	atRates    = "rates"
	appendOnly = "aof"
	ofMemory   = "memory"
	ofIdle     = "idle"
	checking   = "check "
)

// sized makes columns of sizes, and finds the size of one.
func sized(sizes []int) (columns []string) {
	for _, size := range sizes {
		columns = append(columns, fmt.Sprintf("%d bytes", size))
	}
	return columns
}

func leading(column string) (n int) {
	_, _ = fmt.Sscan(column, &n) // the columns are our own
	return n
}

// measures lists what is measured.
func (c config) measures() []rig.Measure {
	const limit = 2 * time.Minute
	measure := func(name string, columns []string, run func(context.Context, stepSpec) ([]rig.Metric, error)) rig.Measure {
		return rig.Measure{Name: name, Columns: columns, Limit: limit, Run: func(ctx context.Context, column string, b rig.Broker) ([]rig.Metric, error) {
			size := leading(column)
			return run(ctx, stepSpec{Broker: b, Size: size, N: c.scaled(jobsOf(size))})
		}}
	}
	rated := func(name string, size int, rates ...int) rig.Measure {
		var columns []string
		for _, rate := range rates {
			columns = append(columns, fmt.Sprintf("%d jobs/s", rate))
		}
		return rig.Measure{Name: name, Columns: columns, Limit: limit, Run: func(ctx context.Context, column string, b rig.Broker) ([]rig.Metric, error) {
			rate := leading(column)
			return rig.Run(ctx, "rate", stepSpec{Broker: b, Size: size, Rate: float64(rate), N: c.scaled(int(float64(rate) * rateTime.Seconds()))})
		}}
	}
	aof := measure(appendOnly, sized(sizes), measureAOF)
	aof.Server = func(string) rig.Kind { return rig.RedisAOF }
	memory := measure(ofMemory, sized(sizes), measureMemory)
	memory.Once = true
	return []rig.Measure{
		measure(inBatches, sized(sizes), measureBatches),
		measure(inCalls, sized(sizes), c.calls(8)),
		measure(inEights, sized(sizes), c.rounds(8)),
		measure(oneByOne, sized(sizes), c.rounds(1)),
		rated(atRates, sizes[0], rates...),
		aof,
		measure(checking+inBatches, sized(checkedBatches), measureBatches),
		measure(checking+inCalls, sized(checkedEights), c.calls(8)),
		measure(checking+inEights, sized(checkedEights), c.rounds(8)),
		rated(checking+atRates, checkedSize, checkedRate),
		memory,
		{Name: ofIdle, Columns: []string{"a worker"}, Limit: limit, Once: true, Run: c.idle},
	}
}

func (c config) scaled(n int) int { return max(10, int(float64(n)*c.Scale)) }

// fillFrom enqueues N jobs behind a first one, whose keys and scripts are not counted, and answers what that cost and what
// each takes of the memory.
func fillFrom(ctx context.Context, spec stepSpec) ([]rig.Metric, error) {
	first := spec
	first.N = 1
	if _, err := rig.Run(ctx, "fill", first); err != nil {
		return nil, err
	}
	before, err := rig.Memory(ctx, spec.Broker)
	if err != nil {
		return nil, err
	}
	metrics, err := rig.Run(ctx, "fill", spec)
	if err != nil {
		return nil, err
	}
	after, err := rig.Memory(ctx, spec.Broker)
	return append(metrics, rig.Metric{Name: pendingMemory, Unit: "bytes", Better: rig.Lower, Value: float64(after-before) / float64(spec.N)}), err
}

// pendingMemory is the metric that is taken beside the costs in batches.
const pendingMemory = "pending job"

func measureBatches(ctx context.Context, spec stepSpec) ([]rig.Metric, error) {
	filled, err := fillFrom(ctx, spec)
	if err != nil {
		return nil, fmt.Errorf("fill: %w", err)
	}
	spec.N++
	drained, err := rig.Run(ctx, "drain", spec)
	return append(filled, drained...), err
}

// measureAOF does the same on a server with an append-only file.
func measureAOF(ctx context.Context, spec stepSpec) ([]rig.Metric, error) {
	metrics, err := measureBatches(ctx, spec)
	if err != nil {
		return nil, err
	}
	written, err := rig.AppendOnlySize(ctx, spec.Broker)
	return append(metrics, rig.Metric{Name: fileSize, Unit: "bytes/job", Better: rig.Lower, Value: float64(written) / float64(spec.N)}), err
}

// fileSize is the metric of the file.
const fileSize = "file"

// rounds has jobs come so many at a time, each time once the last ones have been handled: 2,000 in all, 1,000 where they
// come alone.
func (c config) rounds(at int) func(context.Context, stepSpec) ([]rig.Metric, error) {
	return func(ctx context.Context, spec stepSpec) ([]rig.Metric, error) {
		spec.Round, spec.N = at, c.scaled(2_000/at*at)
		if at == 1 {
			spec.N = c.scaled(1_000)
		}
		return rig.Run(ctx, "rounds", spec)
	}
}

// calls moves 8,000 jobs, so many in each call.
func (c config) calls(at int) func(context.Context, stepSpec) ([]rig.Metric, error) {
	return func(ctx context.Context, spec stepSpec) ([]rig.Metric, error) {
		spec.Round, spec.N = at, min(spec.N, c.scaled(8_000))
		return rig.Run(ctx, "calls", spec)
	}
}

// measureMemory weighs jobs in the states other than pending.
func measureMemory(ctx context.Context, spec stepSpec) ([]rig.Metric, error) {
	spec.N = max(10, spec.N/4)
	var out []rig.Metric
	for _, spec.State = range states {
		if err := rig.Empty(ctx, spec.Broker); err != nil {
			return nil, err
		}
		first := spec
		first.N = 1
		if _, err := rig.Run(ctx, "leave", first); err != nil {
			return nil, fmt.Errorf("%s: %w", spec.State, err)
		}
		before, err := rig.Memory(ctx, spec.Broker)
		if err != nil {
			return nil, err
		}
		if _, err := rig.Run(ctx, "leave", spec); err != nil {
			return nil, fmt.Errorf("%s: %w", spec.State, err)
		}
		after, err := rig.Memory(ctx, spec.Broker)
		if err != nil {
			return nil, err
		}
		out = append(out, rig.Metric{Name: spec.State + " job", Unit: "bytes", Better: rig.Lower, Value: float64(after-before) / float64(spec.N)})
	}
	return out, nil
}

// idle watches a worker that has nothing to do.
func (c config) idle(ctx context.Context, _ string, b rig.Broker) ([]rig.Metric, error) {
	return rig.Run(ctx, "idle", stepSpec{Broker: b, Watch: time.Duration(5 * float64(time.Second) * min(1, c.Scale))})
}
