package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tidemill/tidemill/bench/internal/rig"
)

// measures lists them in the order of the tables.
func (b *bench) measures() []rig.Measure {
	c, labels := b.config, b.labels()
	all := []rig.Measure{
		{Name: "drain", Columns: labels, Limit: c.perJob(), Run: b.each(measureDrain)},
		{Name: "mixed", Columns: labels, Limit: 3 * c.perJob(), Run: b.each(b.measureMixed)},
		{Name: "handlers", Columns: labels, Limit: 2 * c.perJob(), Run: b.each(measureHandlers)},
		{Name: "latency", Columns: labels, Limit: c.perSample(), Run: b.each(oneStep("latency"))},
		{Name: "load", Columns: labels, Limit: c.perJob(), Run: b.each(b.measureLoad(usualLoad))},
		{Name: "delayed", Columns: labels, Limit: c.perSample(), Run: b.each(oneStep("delayed"))},
		{Name: "enqueue", Columns: labels, Limit: c.perJob(), Run: b.each(oneStep("enqueue"))},
		{Name: "idle", Columns: labels, Limit: 2*lastWait + c.Idle, Once: true, Together: true,
			Run: b.each(func(ctx context.Context, spec stepSpec) ([]rig.Metric, error) { return measureIdle(ctx, spec, c.Idle) })},
		{Name: "memory", Columns: labels, Limit: c.perJob(), Once: true, Run: b.each(measureMemory)},
		{Name: "recovery", Columns: labels, Limit: 2*lastWait + c.Patience, Once: true, Together: true,
			Run: b.each(func(ctx context.Context, spec stepSpec) ([]rig.Metric, error) {
				return measureRecovery(ctx, spec, c.Patience)
			})},
		{Name: "floor", Columns: []string{bare, alone}, Limit: c.perSample() + c.perJob(), Run: b.measureFloor},
		{Name: "queues", Columns: []string{"1 queue", "10 queues", "100 queues"}, Limit: c.perJob(), Run: b.alone(b.measureQueues)},
		{Name: "processes", Columns: []string{"1 process", "4 processes"}, Limit: c.perJob(), Run: b.alone(b.measureProcesses)},
		{Name: "gomaxprocs", Columns: c.processorColumns(), Limit: 3 * c.perJob(), Run: b.alone(b.measureProcessors)},
		{Name: "aof", Columns: aofColumns, Limit: c.perJob(), Run: b.alone(measureAOF), Server: aofServer},
		{Name: "concurrency", Columns: b.points(concurrencies), Limit: c.perJob(), Once: true, Points: true, Run: b.point(b.measureConcurrency)},
		{Name: "loads", Columns: b.points(loads), Limit: 2 * c.perJob(), Once: true, Points: true, Run: b.point(b.measureLoads)},
		{Name: "backlog", Columns: b.backlogPoints(), Limit: c.perJob() + time.Duration(c.Backlog)*100*time.Microsecond,
			Once: true, Points: true, Run: b.point(b.measureBacklog)},
	}
	for i := range all {
		m := &all[i]
		m.Headline = headlines[m.Name]
		run := m.Run
		m.Run = func(ctx context.Context, column string, broker rig.Broker) ([]rig.Metric, error) {
			if err := skipped(systemOf(column), m.Name); err != nil {
				return nil, err
			}
			return run(ctx, column, broker)
		}
	}
	return all
}

// headlines are the metrics at the top of the document: those by which people choose.
var headlines = map[string][]string{
	"drain":    {"rate", "client CPU", "server CPU", "network in", "network out", "allocations", "memory, pending job"},
	"mixed":    {bestWay, oneByOne + "rate", oneByOne + "server CPU", batched + "rate", batched + "server CPU", eights + "server CPU"},
	"handlers": {"1ms of the ideal", "10ms rate", "10ms of the ideal", "10ms machine busy"},
	"latency":  {"p50", "p99"},
	"load":     {"sent", "p50", "p99"},
	"delayed":  {"lateness p50", "lateness p99", "early"},
	"enqueue":  {"1 caller rate", oneByOne + "rate", batched + "rate"},
	"idle":     {"requests"},
	"memory":   {"scheduled job", "finished job", "dead job"},
	"recovery": {lastBack},
}

// measureNames lists the known measures.
func measureNames() []string {
	var names []string
	for _, m := range newBench(config{}).measures() {
		names = append(names, m.Name)
	}
	return names
}

func (c config) perJob() time.Duration { return 2*time.Minute + 3*time.Duration(c.N)*time.Millisecond }

func (c config) perSample() time.Duration {
	return 3*lastWait + time.Duration(c.Samples)*100*time.Millisecond
}

// bench is a benchmark under way.
type bench struct {
	config
	capacity map[string]float64 // jobs/s of a variant, by its label, end to end and one job a call; the newest
}

func newBench(c config) *bench { return &bench{config: c, capacity: make(map[string]float64)} }

// measureFunc takes a measure of one system.
type measureFunc func(ctx context.Context, spec stepSpec) ([]rig.Metric, error)

// each takes a measure of the variant that a column is named after.
func (b *bench) each(run measureFunc) func(context.Context, string, rig.Broker) ([]rig.Metric, error) {
	return func(ctx context.Context, column string, broker rig.Broker) ([]rig.Metric, error) {
		i := slices.IndexFunc(b.Variants, func(v variant) bool { return v.Label == column })
		return run(ctx, b.spec(b.Variants[i], broker))
	}
}

// spec is the order for a variant: the slower systems get fewer jobs.
func (b *bench) spec(v variant, broker rig.Broker) stepSpec {
	return stepSpec{Variant: v, Broker: broker, N: max(100, b.N/shareOf(v.System)), Samples: b.Samples, Procs: b.procsOf(v.System)}
}

// procsOf is the GOMAXPROCS of a system's processes.
func (c config) procsOf(system string) int {
	if hasAll(system) {
		return 0
	}
	return c.Procs
}

func (b *bench) labels() []string {
	var labels []string
	for _, v := range b.Variants {
		labels = append(labels, v.Label)
	}
	return labels
}

// oneStep is a measure of a single child process.
func oneStep(name string) measureFunc {
	return func(ctx context.Context, spec stepSpec) ([]rig.Metric, error) { return runStep(ctx, name, spec) }
}

// prefixed puts a word or two before the names of metrics.
func prefixed(prefix string, metrics []rig.Metric) []rig.Metric {
	for i := range metrics {
		metrics[i].Name = prefix + metrics[i].Name
	}
	return metrics
}

// valueOf finds a metric.
func valueOf(metrics []rig.Metric, name string) (float64, bool) {
	i := slices.IndexFunc(metrics, func(m rig.Metric) bool { return m.Name == name })
	if i < 0 {
		return 0, false
	}
	return metrics[i].Value, true
}

// measureDrain fills and drains, and reads between the two what a job takes of the server's memory.
func measureDrain(ctx context.Context, spec stepSpec) ([]rig.Metric, error) {
	before, err := rig.Memory(ctx, spec.Broker)
	if err != nil {
		return nil, err
	}
	if _, err := runStep(ctx, "fill", spec); err != nil {
		return nil, fmt.Errorf("fill: %w", err)
	}
	after, err := rig.Memory(ctx, spec.Broker)
	if err != nil {
		return nil, err
	}
	metrics, err := runStep(ctx, "drain", spec)
	if err != nil || len(metrics) == 0 {
		return nil, err
	}
	return append(metrics, rig.Metric{Name: "memory, pending job", Unit: "bytes", Better: rig.Lower, Value: float64(after-before) / float64(spec.N)}), nil
}

// sleeping is the concurrency of the measure handlers, and how long those take.
const sleeping = 1000

var sleeps = []time.Duration{time.Millisecond, 10 * time.Millisecond}

// measureHandlers drains with handlers that take their time.
func measureHandlers(ctx context.Context, spec stepSpec) ([]rig.Metric, error) {
	var out []rig.Metric
	for _, spec.Handler = range sleeps {
		metrics, err := measureSleeping(ctx, spec)
		if err != nil {
			return nil, err
		}
		out = append(out, metrics...)
	}
	return out, nil
}

// measureSleeping is one of them.
func measureSleeping(ctx context.Context, spec stepSpec) ([]rig.Metric, error) {
	spec.Variant.Concurrency = sleeping
	if err := rig.Empty(ctx, spec.Broker); err != nil {
		return nil, err
	}
	if _, err := runStep(ctx, "fill", spec); err != nil {
		return nil, fmt.Errorf("fill: %w", err)
	}
	metrics, err := runStep(ctx, "drain", spec)
	return prefixed(spec.Handler.String()+" ", metrics), err
}

// leastRuns is how many there are however long they take, if as many are asked for: of fewer a median and its ends say little.
const leastRuns = 5

// shrinkMost divides -n on a slow machine at most: the first poll of a system that polls must not decide its rate.
const shrinkMost = 4

// fewest is the least -n.
const fewest = 100

// plan is what the flags say, for the rig.
func (b *bench) plan() rig.Plan {
	c := b.config
	own := b.usualVariant(alone).Label
	p := rig.Plan{Runs: c.Runs, Within: c.Within, AtLeast: min(c.Runs, leastRuns), Config: c, JSON: c.JSON, Remarks: c.Remarks, Own: own, Versions: make(map[string]string)}
	p.Versions["go-redis"] = rig.ModuleVersion("github.com/redis/go-redis/v9")
	p.Header = append(p.Header, fmt.Sprintf("n=%d samples=%d, go-redis %s", c.N, c.Samples, p.Versions["go-redis"]))
	p.Shrink = func(part float64) string {
		b.N = max(fewest, c.N/shrinkMost, int(part*float64(b.N)))
		return fmt.Sprintf("the machine was slow: runs after the first with n=%d, so that there are %d", b.N, min(c.Runs, leastRuns))
	}
	for _, v := range c.Variants {
		sys, _ := systemNamed(v.System)
		p.Versions[v.System] = sys.Version()
		p.Header = append(p.Header, fmt.Sprintf("%s: version %s, concurrency %d, GOMAXPROCS %s, %d jobs", v.Label, p.Versions[v.System], v.Concurrency, c.processors(v.System), b.spec(v, rig.Broker{}).N))
	}
	for _, m := range b.measures() {
		if !slices.Contains(c.Measures, m.Name) || len(m.Columns) == 0 {
			continue
		}
		if m.Server == nil {
			m.Server = func(column string) rig.Kind { return serverOf(systemOf(column)) }
		}
		p.Measures = append(p.Measures, m)
	}
	if c.Doc != "" {
		p.Write = func(r *rig.Report) error { return c.writeDoc(r, p.Header[:1]) } // the other lines are a table there
	}
	return p
}

// unsupported says that a system has not got what a step needs: the step printed no figures.
func unsupported(metrics []rig.Metric, err error) bool {
	return errors.Is(err, errors.ErrUnsupported) || err == nil && len(metrics) == 0
}
