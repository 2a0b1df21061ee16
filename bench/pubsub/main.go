// Command pubsub measures pub/sub systems side by side: live subscriptions, durable groups, many subscriptions on one
// connection, latency when idle, and a slow consumer beside fast ones. See ../README.md for what the figures mean.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/tidemill/tidemill/bench/internal/rig"
)

// config is what the flags say.
type config struct {
	Measures []string      `json:"measures"`
	Live     int           `json:"live"`    // messages
	Durable  int           `json:"durable"` // messages
	Fanout   int           `json:"fanout"`  // messages
	Subs     int           `json:"subs"`
	Slow     int           `json:"slow"` // messages
	Samples  int           `json:"samples"`
	Runs     int           `json:"runs"`
	Python   string        `json:"python"`
	Within   time.Duration `json:"within_ns"`
	JSON     bool          `json:"-"`
}

func main() { rig.Program(steps, parentMain) }

// parentMain runs the whole benchmark and returns the exit code: 0 done, 1 a step failed, 2 wrong usage.
func parentMain(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cfg, err := parseFlags(args, stderr)
	if err != nil {
		return rig.Misused(err, "bench", stderr)
	}
	return rig.Main(ctx, cfg.plan(ctx), stdout, stderr)
}

// parseFlags reads the command line and reports every fault at once.
func parseFlags(args []string, stderr io.Writer) (config, error) {
	var cfg config
	fs := flag.NewFlagSet("pubsub", flag.ContinueOnError)
	fs.SetOutput(stderr)
	list := fs.String("measures", strings.Join(measureNames, ","), "measures to take")
	fs.IntVar(&cfg.Live, "live", 500_000, "messages to the one live subscriber")
	fs.IntVar(&cfg.Durable, "durable", 100_000, "messages to the durable group")
	fs.IntVar(&cfg.Fanout, "fanout", 2_000, "messages to the many subscriptions")
	fs.IntVar(&cfg.Subs, "subs", 10_000, "how many subscriptions those are")
	fs.IntVar(&cfg.Slow, "slow", 100_000, "messages to the fast and slow consumers")
	fs.IntVar(&cfg.Samples, "samples", 2_000, "samples for idle")
	fs.IntVar(&cfg.Runs, "runs", 5, "runs of everything, interleaved")
	fs.StringVar(&cfg.Python, "python", "", "the Python to measure; none named: one on PATH or in /usr/bin that has redis.asyncio")
	fs.DurationVar(&cfg.Within, "within", 4*time.Minute+30*time.Second, "begin no run that would likely end later than this; 0 is no bound")
	fs.BoolVar(&cfg.JSON, "json", false, "print JSON in place of the tables")
	if err := fs.Parse(args); err != nil {
		return cfg, err
	}
	var faults []error
	if fs.NArg() > 0 {
		faults = append(faults, fmt.Errorf("unexpected argument %q", fs.Arg(0)))
	}
	cfg.Measures = strings.Split(*list, ",")
	return cfg, errors.Join(append(faults, cfg.validate()...)...)
}

// validate bounds the run: the traffic must stay finite on a shared machine.
func (c config) validate() []error {
	var faults []error
	for i, m := range c.Measures {
		if slices.Contains(c.Measures[:i], m) {
			faults = append(faults, fmt.Errorf("-measures: %q is named twice", m))
		}
		if !slices.Contains(measureNames, m) {
			faults = append(faults, fmt.Errorf("-measures: no measure %q; have %s", m, strings.Join(measureNames, ",")))
		}
	}
	between := func(name string, v, lo, hi int) {
		if v < lo || v > hi {
			faults = append(faults, fmt.Errorf("-%s: %d is not in %d to %d", name, v, lo, hi))
		}
	}
	between("live", c.Live, 100, 50_000_000)
	between("durable", c.Durable, 100, 5_000_000)
	between("fanout", c.Fanout, 10, 1_000_000)
	between("subs", c.Subs, 1, 100_000)
	between("slow", c.Slow, 100, 10_000_000)
	between("samples", c.Samples, 1, 100_000)
	between("runs", c.Runs, 1, 100)
	return faults
}
