package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/tidemill/tidemill/bench/internal/plots"
	"github.com/tidemill/tidemill/bench/internal/rig"
)

// plotsDir is where the plots are, seen from the document.
const plotsDir = "benchmarks"

// writeDoc writes the document with the tables, and the plots, into a directory.
func (c config) writeDoc(r *rig.Report, header []string) error {
	if err := os.MkdirAll(filepath.Join(c.Doc, plotsDir), 0o755); err != nil {
		return err
	}
	var text bytes.Buffer
	fmt.Fprintf(&text, `# Benchmarks

Written by %s. What each figure means, how each system is set up, and what is not fair to compare, is told in
[bench/README.md](../bench/README.md).

- Date: %s; it took %s
- Machine: %s, shared by producer, worker and server over loopback
- %s; %s
- Redis without persistence (but where it says AOF), all other settings at their defaults
- Runs: %d, interleaved (idle, memory, recovery and the curves: 1). Each cell is the median (min-max)

## What is compared

%s
## In short

Ratios are taken run by run: the median (min-max). Where less is better (↓), a ratio below 1 is.

`, "`make bench`", time.Now().UTC().Format("2006-01-02 15:04 MST"), r.Took.Round(time.Second), rig.Machine(), r.Versioned(), strings.Join(header, "; "), r.Runs, c.compared(r))
	r.WriteHeadline(&text)
	if err := c.writePlots(&text, r); err != nil {
		return err
	}
	fmt.Fprint(&text, "\n## Tables\n\nIn each cell, after ×, the median ratio to the first system.\n")
	r.WriteMarkdown(&text)
	return os.WriteFile(filepath.Join(c.Doc, "benchmarks.md"), text.Bytes(), 0o644)
}

// compared is a table of the systems: how each is set up, and what it promises.
func (c config) compared(r *rig.Report) string {
	var text strings.Builder
	fmt.Fprint(&text, "| system | version | concurrency | GOMAXPROCS | jobs | a job is run |\n| --- | --- | --- | --- | --- | --- |\n")
	b := newBench(c)
	for _, v := range c.Variants {
		fmt.Fprintf(&text, "| %s | %s | %d | %s | %d | %s |\n", v.Label, r.Versions[v.System], v.Concurrency, c.processors(v.System), b.spec(v, rig.Broker{}).N, promiseOf(v.System))
	}
	return text.String()
}

// processors is the GOMAXPROCS of a system's processes, in words: none is in Go, or as Go itself has it.
func (c config) processors(system string) string {
	sys, _ := systemNamed(system)
	switch _, ok := sys.(inGo); {
	case !ok:
		return "-"
	case c.procsOf(system) == 0:
		return strconv.Itoa(runtime.GOMAXPROCS(0))
	}
	return strconv.Itoa(c.procsOf(system))
}

// writePlots draws the curves that were taken and shows them in the document.
func (c config) writePlots(text *bytes.Buffer, r *rig.Report) error {
	head := "\n## Curves\n"
	for _, chart := range []struct {
		file string
		plots.Chart
	}{
		{"concurrency.svg", plots.Chart{Title: "Throughput against concurrency: drain, handlers that do nothing", X: "handlers at once", Y: "jobs/s", Curves: c.throughput(r)}},
		{"load.svg", plots.Chart{Title: "Latency against load: 32 callers, from 5 to 90% of what the system can do one by one", X: "jobs/s enqueued, one by one", Y: "call to handler, ms", Curves: c.latencies(r)}},
		{"backlog.svg", plots.Chart{Title: "Cost against backlog: Tidemill, batches of 1,000 and a drain beside waiting jobs", X: "jobs waiting", Y: "CPU, us/job", Curves: costs(r)}},
	} {
		drawn, err := plots.Write(filepath.Join(c.Doc, plotsDir, chart.file), chart.Chart)
		if err != nil {
			return fmt.Errorf("plot %s: %w", chart.file, err)
		}
		if drawn {
			fmt.Fprintf(text, "%s\n![%s](%s/%s)\n", head, chart.Title, plotsDir, chart.file)
			head = ""
		}
	}
	return nil
}

// throughput is each system's rate at each concurrency.
func (c config) throughput(r *rig.Report) (curves []plots.Curve) {
	for _, system := range c.Curves {
		curves = append(curves, plots.Curve{Name: system, Points: points(r, "concurrency", system, "", "rate")})
	}
	return curves
}

// latencies is each system's at each load: by the jobs that came.
func (c config) latencies(r *rig.Report) (curves []plots.Curve) {
	for _, system := range c.Curves {
		curves = append(curves,
			plots.Curve{Name: system + " p50", Points: points(r, "loads", system, "sent", "p50")},
			plots.Curve{Name: system + " p99", Points: points(r, "loads", system, "sent", "p99"), Dashed: true, Same: true})
	}
	return curves
}

// costs is the CPU time that a job takes at each backlog.
func costs(r *rig.Report) (curves []plots.Curve) {
	for _, what := range []string{"drain", "enqueue"} {
		curves = append(curves,
			plots.Curve{Name: what + ", client", Points: points(r, "backlog", alone, "", what+" client CPU")},
			plots.Curve{Name: what + ", Redis", Points: points(r, "backlog", alone, "", what+" server CPU"), Dashed: true, Same: true})
	}
	return curves
}

// points are one system's at a measure whose columns are points: the medians of the metric y against those of x, or, if
// that is not named, against the number in the column's name.
func points(r *rig.Report, measure, system, x, y string) (out []plots.Point) {
	var xs map[string]rig.Spread
	for _, row := range r.Summary {
		if row.Measure == measure && row.Metric == x {
			xs = row.Systems
		}
	}
	for _, row := range r.Summary {
		if row.Measure != measure || row.Metric != y {
			continue
		}
		for column, spread := range row.Systems {
			name, number, _ := strings.Cut(column, "@")
			if name != system {
				continue
			}
			at := plots.Point{X: xs[column].Median, Y: spread.Median}
			if x == "" {
				_, _ = fmt.Sscan(number, &at.X) // a point without a number has no place
			}
			out = append(out, at)
		}
	}
	return out
}
