package main

import (
	"context"
	"fmt"
	"io"
	"time"
)

// measure is one thing to measure, on one fresh server.
type measure struct {
	name string
	// limit bounds its time, beyond which its processes are killed.
	limit func(cfg config) time.Duration
	run   func(ctx context.Context, cfg config, spec stepSpec) ([]metric, error)
}

// measures lists them in the order of the table.
func measures() []measure {
	perJob := func(cfg config) time.Duration { return time.Minute + 3*time.Duration(cfg.N)*time.Millisecond }
	perSample := func(cfg config) time.Duration {
		return 3*lastWait + time.Duration(cfg.Samples)*100*time.Millisecond
	}
	return []measure{
		{"drain", perJob, func(ctx context.Context, _ config, spec stepSpec) ([]metric, error) {
			spec.Step = "fill"
			if _, err := runChild(ctx, spec); err != nil {
				return nil, fmt.Errorf("fill: %w", err)
			}
			spec.Step = "drain"
			return runChild(ctx, spec)
		}},
		{"latency", perSample, oneStep("latency")},
		{"delayed", perSample, oneStep("delayed")},
		{"enqueue", perJob, oneStep("enqueue")},
		{"idle", func(cfg config) time.Duration { return 2*lastWait + cfg.Idle },
			func(ctx context.Context, cfg config, spec stepSpec) ([]metric, error) {
				spec.Step = "idle"
				return measureIdle(ctx, spec, cfg.Idle)
			}},
	}
}

// oneStep is a measure of a single child process.
func oneStep(step string) func(context.Context, config, stepSpec) ([]metric, error) {
	return func(ctx context.Context, _ config, spec stepSpec) ([]metric, error) {
		spec.Step = step
		return runChild(ctx, spec)
	}
}

// measureNames lists the known measures.
func measureNames() []string {
	var names []string
	for _, m := range measures() {
		names = append(names, m.name)
	}
	return names
}

// runAll takes every measure of every system in every run: run by run,
// measure by measure, and system beside system. The system that goes first
// changes from run to run. A failed step is kept in the report, and the rest
// goes on; only an interrupt ends the run.
func runAll(ctx context.Context, cfg config, progress io.Writer) (*report, error) {
	rep := newReport(cfg)
	for run := range cfg.Runs {
		for _, name := range cfg.Measures {
			for i := range cfg.Variants {
				v := cfg.Variants[(i+run)%len(cfg.Variants)]
				res := result{Run: run + 1, Measure: name, System: v.Label}
				began := time.Now()
				metrics, version, err := runOne(ctx, cfg, name, v)
				if ctx.Err() != nil {
					return nil, fmt.Errorf("interrupted: %w", ctx.Err())
				}
				res.Metrics = metrics
				rep.Redis = max(rep.Redis, version)
				if err != nil {
					res.Error = err.Error()
				}
				rep.Results = append(rep.Results, res)
				fmt.Fprintf(progress, "run %d/%d  %-8s %-14s %5.1f s  %s\n", run+1, cfg.Runs, name, v.Label, time.Since(began).Seconds(), res.headline())
			}
		}
	}
	return rep, nil
}

// runOne takes one measure of one system on a server of its own.
func runOne(ctx context.Context, cfg config, name string, v variant) ([]metric, string, error) {
	for _, m := range measures() {
		if m.name != name {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, m.limit(cfg))
		defer cancel()
		srv, err := startRedis(ctx)
		if err != nil {
			return nil, "", err
		}
		defer srv.stop()
		metrics, err := m.run(ctx, cfg, stepSpec{Variant: v, Addr: srv.Addr, N: cfg.N, Samples: cfg.Samples})
		return metrics, srv.Version, err
	}
	return nil, "", fmt.Errorf("no measure %q", name)
}
