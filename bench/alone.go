package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidemill/tidemill/bench/internal/rig"
)

// alone is the system that some measures are of alone.
const alone = "tidemill"

// alone takes a measure of that system, of which the column says how.
func (b *bench) alone(run func(ctx context.Context, column string, spec stepSpec) ([]rig.Metric, error)) func(context.Context, string, rig.Broker) ([]rig.Metric, error) {
	return func(ctx context.Context, column string, broker rig.Broker) ([]rig.Metric, error) {
		return run(ctx, column, b.spec(b.usualVariant(alone), broker))
	}
}

// usualVariant is a system as it is measured here, or else as it usually is.
func (b *bench) usualVariant(system string) variant {
	for _, v := range b.Variants {
		if v.System == system {
			return v
		}
	}
	v, _ := parseVariants(labelOf(system), b.Concurrency)
	return v[0]
}

// leadingNumber is the one that a column begins with, such as "10 queues".
func leadingNumber(column string) (int, error) {
	number, _, _ := strings.Cut(column, " ")
	return strconv.Atoi(number)
}

// measureQueues drains some queues that hold the jobs between them.
func (b *bench) measureQueues(ctx context.Context, column string, spec stepSpec) (metrics []rig.Metric, err error) {
	if spec.Queues, err = leadingNumber(column); err != nil {
		return nil, err
	}
	return measureDrain(ctx, spec)
}

// processorColumns are the settings of GOMAXPROCS that are compared: the one of the other measures, and Go's own.
func (c config) processorColumns() (columns []string) {
	for _, n := range []int{c.Procs, runtime.GOMAXPROCS(0)} {
		if column := strconv.Itoa(n) + " a process"; n > 0 && !slices.Contains(columns, column) {
			columns = append(columns, column)
		}
	}
	return columns
}

// measureProcessors gives each process so many processors.
func (b *bench) measureProcessors(ctx context.Context, column string, spec stepSpec) (metrics []rig.Metric, err error) {
	if spec.Procs, err = leadingNumber(column); err != nil {
		return nil, err
	}
	drained, err := measureDrain(ctx, spec)
	if err != nil {
		return nil, err
	}
	mixed, err := beside(ctx, spec)
	if err != nil {
		return nil, err
	}
	if err := rig.Empty(ctx, spec.Broker); err != nil {
		return nil, err
	}
	enqueued, err := runStep(ctx, "enqueue", spec)
	return slices.Concat(prefixed("drain ", drained[:1]), prefixed("mixed "+oneByOne, mixed[:1]), prefixed("enqueue ", enqueued)), err
}

// measureAOF drains and enqueues; the server makes the difference.
func measureAOF(ctx context.Context, _ string, spec stepSpec) ([]rig.Metric, error) {
	metrics, err := measureDrain(ctx, spec)
	if err != nil {
		return nil, err
	}
	enqueued, err := runStep(ctx, "enqueue", spec)
	return append(prefixed("drain ", metrics), prefixed("enqueue ", enqueued)...), err
}

// aofColumns are the servers that are compared. A rewrite of the file, by a fork that copies what the server changes meanwhile, is
// seldom, but one in the middle of a measure of a second would be most of it.
var aofColumns = []string{"off", "everysec", "everysec, rewritten at 64 MB"}

func aofServer(column string) rig.Kind {
	return map[string]rig.Kind{aofColumns[0]: rig.Redis, aofColumns[1]: rig.RedisAOF, aofColumns[2]: rig.RedisAOFRewrites}[column]
}

// shareStep is one of several worker processes on one queue. It works until its stdin ends, and tells how many jobs it ran
// and when the first began, in seconds since 1970.
func shareStep(ctx context.Context, sys adapter, spec stepSpec) ([]rig.Metric, error) {
	start, err := rig.MarkUsage(ctx, spec.Broker)
	if err != nil {
		return nil, err
	}
	t := rig.NewTally(spec.N)
	began := time.Now()
	err = withWorker(ctx, sys, spec.work(mainQueue), t.Handle, func(context.Context) error {
		_, err := io.Copy(io.Discard, os.Stdin)
		return err
	})
	if err != nil {
		return nil, err
	}
	end, err := rig.MarkUsage(ctx, spec.Broker)
	if err != nil {
		return nil, err
	}
	return append([]rig.Metric{
		{Name: "jobs", Value: float64(t.Distinct())},
		{Name: "first", Value: float64(began.Add(t.ToFirst()).UnixNano()) / 1e9},
	}, end.Per("job", 1, start, "")...), t.Check()
}

// measureProcesses drains one queue with some worker processes. The clock runs from the first handler of all until a poll
// each millisecond sees nothing pending and nothing active.
func (b *bench) measureProcesses(ctx context.Context, column string, spec stepSpec) ([]rig.Metric, error) {
	n, err := leadingNumber(column)
	if err != nil {
		return nil, err
	}
	if _, err := runStep(ctx, "fill", spec); err != nil {
		return nil, fmt.Errorf("fill: %w", err)
	}
	c, err := tidemillSystem{}.Open(ctx, spec.Broker)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	before, err := rig.MarkUsage(ctx, spec.Broker)
	if err != nil {
		return nil, err
	}
	var children []*rig.Child
	for range n {
		child, err := startStep(ctx, "share", spec)
		if err != nil {
			return nil, err // the others end when their stdin does, with this process's end of it
		}
		children = append(children, child)
	}
	failure := awaitEmpty(ctx, c)
	ended := float64(time.Now().UnixNano()) / 1e9
	after, err := rig.MarkUsage(ctx, spec.Broker)
	sum, endFailure := endShares(ctx, children)
	if err := errors.Join(failure, err, endFailure, expectPending(ctx, c, 0)); err != nil {
		return nil, err
	}
	if sum.jobs != spec.N {
		return nil, fmt.Errorf("%d of %d jobs ran", sum.jobs, spec.N)
	}
	server := after.Per("job", spec.N, before, "")[1:]
	return append([]rig.Metric{
		{Name: "rate", Unit: "jobs/s", Better: rig.Higher, Value: float64(spec.N) / (ended - sum.first)},
		{Name: "client CPU", Unit: "us/job", Better: rig.Lower, Value: sum.cpu / float64(spec.N)},
		{Name: "least busy process", Unit: "% of its share", Better: rig.Higher, Value: 100 * float64(sum.least*n) / float64(spec.N)},
	}, server...), nil
}

// awaitEmpty polls until the queue is, for as long as its context lets it.
func awaitEmpty(ctx context.Context, c client) error {
	for ctx.Err() == nil {
		b, err := c.Backlog(ctx, mainQueue)
		if err != nil || b.Pending+b.Active == 0 {
			return err
		}
		time.Sleep(time.Millisecond)
	}
	return ctx.Err()
}

// shares is what the processes of a measure did between them.
type shares struct {
	jobs, least int
	first, cpu  float64
}

// endShares has them stop and adds up what they tell.
func endShares(ctx context.Context, children []*rig.Child) (sum shares, failure error) {
	sum = shares{least: math.MaxInt, first: math.Inf(1)}
	for _, child := range children {
		failure = errors.Join(failure, child.Stdin.Close())
		metrics, err := child.Finish(ctx)
		failure = errors.Join(failure, err)
		jobs, _ := valueOf(metrics, "jobs")
		first, _ := valueOf(metrics, "first")
		cpu, _ := valueOf(metrics, "client CPU")
		if jobs > 0 {
			sum.first = min(sum.first, first)
		}
		sum.jobs, sum.least, sum.cpu = sum.jobs+int(jobs), min(sum.least, int(jobs)), sum.cpu+cpu
	}
	return sum, failure
}
