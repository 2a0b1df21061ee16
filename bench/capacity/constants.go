package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidemill/tidemill/bench/internal/rig"
)

// cost is what a job costs.
type cost struct {
	Redis  rig.Spread `json:"redis_us"`  // CPU time of the server
	Client float64    `json:"client_us"` // CPU time of the processes that enqueue and run
	In     float64    `json:"in_bytes"`  // received by the server
	Out    float64    `json:"out_bytes"` // sent by it
}

// add is both; from one run to the next their ends need not have come together.
func (c cost) add(d cost) cost {
	return cost{
		Redis:  rig.Spread{Median: c.Redis.Median + d.Redis.Median, Min: c.Redis.Min + d.Redis.Min, Max: c.Redis.Max + d.Redis.Max, Runs: min(c.Redis.Runs, d.Redis.Runs)},
		Client: c.Client + d.Client, In: c.In + d.In, Out: c.Out + d.Out,
	}
}

// constants are what was measured, all that the page is made from. Costs are by payload size, but Rates are by jobs a second
// of the smallest size.
type constants struct {
	Written  string                     `json:"written"`
	Machine  string                     `json:"machine"`
	Versions string                     `json:"versions"`
	Enqueue  map[int]cost               `json:"enqueue_in_batches"`
	Run      map[int]cost               `json:"run_from_a_backlog"`
	Calls    map[int]cost               `json:"in_calls_of_8"`
	Eights   map[int]cost               `json:"eight_at_a_time"`
	Ones     map[int]cost               `json:"one_at_a_time"`
	Rates    map[int]cost               `json:"at_a_rate"`
	AOF      map[int]cost               `json:"in_batches_with_aof"`
	File     map[int]float64            `json:"aof_bytes"`
	Memory   map[string]map[int]float64 `json:"memory_bytes"`
	Idle     cost                       `json:"idle_worker_a_second"`
	Checks   []check                    `json:"checks"`
}

// check is what was measured at a point that is not among the constants.
type check struct {
	Measure  string     `json:"measure"`
	Size     int        `json:"size"`
	Rate     int        `json:"rate,omitempty"`
	What     string     `json:"what"`
	Measured rig.Spread `json:"measured"`
}

// finder finds figures in a report, and notes those that it does not find.
type finder struct {
	report *rig.Report
	faults []string
}

func (f *finder) spread(measure, column, metric string) rig.Spread {
	for _, row := range f.report.Summary {
		if s, ok := row.Systems[column]; ok && row.Measure == measure && row.Metric == metric {
			return rig.Spread{Median: digits(s.Median), Min: digits(s.Min), Max: digits(s.Max), Runs: s.Runs}
		}
	}
	f.faults = append(f.faults, fmt.Sprintf("%s of %s, %s", metric, measure, column))
	return rig.Spread{}
}

func (f *finder) cost(measure, column, prefix string) cost {
	of := func(metric string) rig.Spread { return f.spread(measure, column, prefix+metric) }
	return cost{Redis: of("server CPU"), Client: of("client CPU").Median, In: of("network in").Median, Out: of("network out").Median}
}

// costs are those of a measure at points whose columns begin with their numbers.
func (f *finder) costs(measure, prefix, unit string, points []int) map[int]cost {
	out := make(map[int]cost)
	for _, x := range points {
		out[x] = f.cost(measure, fmt.Sprintf("%d %s", x, unit), prefix)
	}
	return out
}

// newConstants takes the constants out of a report.
func newConstants(r *rig.Report) (*constants, error) {
	f := &finder{report: r}
	c := &constants{
		Written: time.Now().UTC().Format("2006-01-02 15:04 MST"), Machine: rig.Machine(),
		Versions: fmt.Sprintf("%s, go-redis %s; medians of %d runs", r.Versioned(), r.Versions["go-redis"], r.Runs),
		Enqueue:  f.costs(inBatches, "enqueue ", "bytes", sizes),
		Run:      f.costs(inBatches, "run ", "bytes", sizes),
		Calls:    f.costs(inCalls, "", "bytes", sizes),
		Eights:   f.costs(inEights, "", "bytes", sizes),
		Ones:     f.costs(oneByOne, "", "bytes", sizes),
		Rates:    f.costs(atRates, "", "jobs/s", rates),
		AOF:      make(map[int]cost), File: make(map[int]float64),
		Memory: map[string]map[int]float64{statePending: {}},
		Idle:   f.cost(ofIdle, "a worker", ""),
	}
	enqueued, ran := f.costs(appendOnly, "enqueue ", "bytes", sizes), f.costs(appendOnly, "run ", "bytes", sizes)
	for i, column := range sized(sizes) {
		size := sizes[i]
		c.AOF[size] = enqueued[size].add(ran[size])
		c.File[size] = f.spread(appendOnly, column, fileSize).Median
		c.Memory[statePending][size] = f.spread(inBatches, column, pendingMemory).Median
		for _, state := range states {
			if c.Memory[state] == nil {
				c.Memory[state] = make(map[int]float64)
			}
			c.Memory[state][size] = f.spread(ofMemory, column, state+" job").Median
		}
	}
	c.Checks = f.checks()
	if f.faults != nil {
		return nil, fmt.Errorf("no figures of %s", strings.Join(f.faults, "; "))
	}
	return c, nil
}

// statePending is that of a job that waits for a worker.
const statePending = "pending"

// The quantities that are checked.
const (
	whatCPU    = "Redis CPU, us/job"
	whatIn     = "network in, bytes/job"
	whatOut    = "network out, bytes/job"
	whatMemory = "memory pending, bytes/job"
)

// checks takes the points between the constants out of a report.
func (f *finder) checks() (out []check) {
	add := func(measure string, size, rate int, c cost) {
		out = append(out,
			check{measure, size, rate, whatCPU, c.Redis},
			check{measure, size, rate, whatIn, rig.Spread{Median: c.In}},
			check{measure, size, rate, whatOut, rig.Spread{Median: c.Out}})
	}
	enqueued, ran := f.costs(checking+inBatches, "enqueue ", "bytes", checkedBatches), f.costs(checking+inBatches, "run ", "bytes", checkedBatches)
	for i, column := range sized(checkedBatches) {
		size := checkedBatches[i]
		add(inBatches, size, 0, enqueued[size].add(ran[size]))
		out = append(out, check{inBatches, size, 0, whatMemory, f.spread(checking+inBatches, column, pendingMemory)})
	}
	for _, measure := range []string{inCalls, inEights} {
		for size, c := range f.costs(checking+measure, "", "bytes", checkedEights) {
			add(measure, size, 0, c)
		}
	}
	add(atRates, checkedSize, checkedRate, f.cost(checking+atRates, fmt.Sprintf("%d jobs/s", checkedRate), ""))
	return out
}

// digits leaves four of them, which is more than a measurement has.
func digits(v float64) float64 {
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 4, 64), 64) // what Format wrote
	return rounded
}

// readConstants reads what write has written.
func readConstants(dir string) (*constants, error) {
	data, err := os.ReadFile(constantsFile(dir))
	if err != nil {
		return nil, err
	}
	c := new(constants)
	if err := json.Unmarshal(data, c); err != nil {
		return nil, fmt.Errorf("%s: %w", constantsFile(dir), err)
	}
	for _, size := range sizes {
		for _, costs := range []map[int]cost{c.Enqueue, c.Run, c.Calls, c.Eights, c.Ones, c.AOF} {
			if costs[size].Redis.Median <= 0 {
				return nil, fmt.Errorf("%s: a cost at %d bytes is missing", constantsFile(dir), size)
			}
		}
	}
	if slices.ContainsFunc(rates, func(rate int) bool { return c.Rates[rate].Redis.Median <= 0 }) {
		return nil, fmt.Errorf("%s: the cost at a rate is missing", constantsFile(dir))
	}
	return c, nil
}

// write keeps them.
func (c *constants) write(dir string) error {
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(constantsFile(dir), append(data, '\n'), 0o644)
}
