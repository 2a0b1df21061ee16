// Command bench measures job systems side by side: one machine, one run,
// interleaved system by system, each step in a fresh process against a fresh
// server on loopback. See README.md for what the figures mean.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidemill/tidemill/bench/internal/rig"
)

// config is what the flags say.
type config struct {
	Variants []variant     `json:"systems"`
	Measures []string      `json:"measures"`
	N        int           `json:"n"`
	Samples  int           `json:"samples"`
	Runs     int           `json:"runs"`
	Idle     time.Duration `json:"idle_ns"`
	Within   time.Duration `json:"within_ns"`
	Patience time.Duration `json:"patience_ns"` // with a recovery
	Backlog  int           `json:"backlog"`     // the longest
	Curves   []string      `json:"curves"`      // the systems that have some
	Doc      string        `json:"-"`
	Profile  string        `json:"-"`
	JSON     bool          `json:"-"`
	// Procs is the GOMAXPROCS of every process in Go, but of systems that do better with all processors; 0 leaves it to Go.
	Procs int `json:"procs"`
	// Concurrency is that of a system that names none of its own.
	Concurrency int      `json:"concurrency"`
	Remarks     []string `json:"-"`
}

// variant is a system at one concurrency. Its label is a table column.
type variant struct {
	System      string `json:"system"`
	Concurrency int    `json:"concurrency"`
	Label       string `json:"label"`
}

func main() { rig.Program(steps, parentMain) }

// parentMain runs the whole benchmark and returns the exit code: 0 done, 1 a
// step failed, 2 wrong usage.
func parentMain(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cfg, err := parseFlags(args, stderr)
	if err != nil {
		return rig.Misused(err, "bench", stderr)
	}
	if cfg.Profile != "" {
		if err := rig.ProfileInto(cfg.Profile); err != nil {
			fmt.Fprintln(stderr, "bench:", err)
			return 1
		}
	}
	return rig.Main(ctx, newBench(cfg).plan(), stdout, stderr)
}

// parseFlags reads the command line and reports every fault at once.
func parseFlags(args []string, stderr io.Writer) (config, error) {
	var cfg config
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	usual, remarks := availableSystems(false)
	systemList := fs.String("systems", strings.Join(usual, ","), "systems to measure, `name or name@concurrency`, of "+strings.Join(systemNames(), ", ")+"; the first is the base of the ratios; or all")
	measureList := fs.String("measures", strings.Join(measureNames(), ","), "measures to take")
	curveList := fs.String("curves", "asynq,"+alone, "systems whose curves to take, or all that are measured")
	fs.IntVar(&cfg.Concurrency, "concurrency", 100, "handlers at once, where a system names none of its own")
	fs.IntVar(&cfg.Procs, "procs", max(1, runtime.GOMAXPROCS(0)/2), "GOMAXPROCS of each process in Go but Watermill's, as server, worker and producer share the machine; 0 leaves it to Go")
	fs.IntVar(&cfg.N, "n", 200_000, "jobs for what counts jobs a second; the slower systems get a quarter to a sixteenth of them")
	fs.IntVar(&cfg.Samples, "samples", 200, "samples for latency and delayed")
	fs.IntVar(&cfg.Runs, "runs", 5, "runs of everything, interleaved")
	fs.DurationVar(&cfg.Idle, "idle", 10*time.Second, "how long to watch the idle worker")
	fs.DurationVar(&cfg.Within, "within", 28*time.Minute, "begin no run that would likely end later than this, but at least five, with fewer jobs; 0 is no bound")
	fs.DurationVar(&cfg.Patience, "patience", 160*time.Second, "how long to wait for a killed worker's jobs")
	fs.IntVar(&cfg.Backlog, "backlog", 1_000_000, "the longest backlog; 10,000,000 take 5 GB of memory")
	fs.StringVar(&cfg.Doc, "doc", "", "`directory` in which to write benchmarks.md and the plots")
	fs.StringVar(&cfg.Profile, "profile", "", "`directory` for a CPU and an allocation profile of each step in Go, and Redis's counts of commands")
	fs.BoolVar(&cfg.JSON, "json", false, "print JSON in place of the table")
	if err := fs.Parse(args); err != nil {
		return cfg, err
	}
	var faults []error
	if fs.NArg() > 0 {
		faults = append(faults, fmt.Errorf("unexpected argument %q", fs.Arg(0)))
	}
	var err error
	if *systemList == "all" {
		all, left := availableSystems(true)
		*systemList, cfg.Remarks = strings.Join(all, ","), left
	}
	if cfg.Variants, err = parseVariants(*systemList, cfg.Concurrency); err != nil {
		faults = append(faults, err)
	}
	for _, v := range cfg.Variants {
		if sys, _ := systemNamed(v.System); sys.Missing() != nil {
			faults = append(faults, fmt.Errorf("-systems: %s cannot be measured here: %w", v.System, sys.Missing()))
		}
	}
	if *systemList == strings.Join(usual, ",") {
		cfg.Remarks = remarks
	}
	cfg.Measures = strings.Split(*measureList, ",")
	cfg.Curves = strings.Split(*curveList, ",")
	if *curveList == "all" {
		cfg.Curves = nil
		for _, v := range cfg.Variants {
			if !slices.Contains(cfg.Curves, v.System) {
				cfg.Curves = append(cfg.Curves, v.System)
			}
		}
	}
	faults = append(faults, cfg.validate()...)
	return cfg, errors.Join(faults...)
}

// validate bounds the run: the traffic must stay finite on a shared machine.
func (c config) validate() []error {
	var faults []error
	for i, m := range c.Measures {
		if slices.Contains(c.Measures[:i], m) {
			faults = append(faults, fmt.Errorf("-measures: %q is named twice", m))
		}
		if !slices.Contains(measureNames(), m) {
			faults = append(faults, fmt.Errorf("-measures: no measure %q; have %s", m, strings.Join(measureNames(), ",")))
		}
	}
	between := func(name string, v, lo, hi int) {
		if v < lo || v > hi {
			faults = append(faults, fmt.Errorf("-%s: %d is not in %d to %d", name, v, lo, hi))
		}
	}
	between("n", c.N, fewest, 5_000_000)
	between("procs", c.Procs, 0, 10_000)
	between("samples", c.Samples, 1, 10_000)
	between("runs", c.Runs, 1, 100)
	between("backlog", c.Backlog, backlogs[0], backlogs[len(backlogs)-1])
	for _, name := range c.Curves {
		if !slices.Contains(systemNames(), name) {
			faults = append(faults, fmt.Errorf("-curves: no system %q; have %s", name, strings.Join(systemNames(), ",")))
		}
	}
	if c.Within < 0 {
		faults = append(faults, fmt.Errorf("-within: %v is not 0 or more", c.Within))
	}
	if c.Patience < time.Second || c.Patience > 10*time.Minute {
		faults = append(faults, fmt.Errorf("-patience: %v is not in 1s to 10m", c.Patience))
	}
	if c.Idle < time.Second || c.Idle > 5*time.Minute {
		faults = append(faults, fmt.Errorf("-idle: %v is not in 1s to 5m", c.Idle))
	}
	return faults
}

// parseVariants reads "asynq@10,asynq@1000,tidemill".
func parseVariants(list string, concurrency int) ([]variant, error) {
	var out []variant
	var faults []error
	for item := range strings.SplitSeq(list, ",") {
		name, own, has := strings.Cut(item, "@")
		v := variant{System: name, Concurrency: concurrency, Label: item}
		if has {
			n, err := strconv.Atoi(own)
			if err != nil {
				faults = append(faults, fmt.Errorf("-systems: %q is no concurrency in %q", own, item))
				continue
			}
			v.Concurrency = n
		}
		switch {
		case !slices.Contains(systemNames(), name):
			faults = append(faults, fmt.Errorf("-systems: no system %q; have %s", name, strings.Join(systemNames(), ",")))
		case v.Concurrency < 1 || v.Concurrency > 10_000:
			faults = append(faults, fmt.Errorf("concurrency %d of %q is not in 1 to 10000", v.Concurrency, item))
		case slices.ContainsFunc(out, func(o variant) bool { return o.Label == v.Label }):
			faults = append(faults, fmt.Errorf("-systems: %q is named twice", item))
		default:
			out = append(out, v)
		}
	}
	return out, errors.Join(faults...)
}
