package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"runtime"
	"strings"
	"text/tabwriter"
)

// result is what one step of one run gave.
type result struct {
	Run     int      `json:"run"`
	Measure string   `json:"measure"`
	System  string   `json:"system"`
	Metrics []metric `json:"metrics,omitempty"`
	Error   string   `json:"error,omitempty"`
}

// headline is the first metric, or the error, in a few words.
func (r result) headline() string {
	if r.Error != "" {
		return "FAILED: " + r.Error
	}
	if len(r.Metrics) == 0 {
		return "no figures"
	}
	m := r.Metrics[0]
	return fmt.Sprintf("%s %s %s", m.Name, number(m.Value), m.Unit)
}

// report is the whole outcome.
type report struct {
	Go       string            `json:"go"`
	CPUs     int               `json:"cpus"`
	Redis    string            `json:"redis"`
	Versions map[string]string `json:"versions"`
	Config   config            `json:"config"`
	Summary  []row             `json:"summary"`
	Results  []result          `json:"results"`
}

// row is one metric over all systems and runs.
type row struct {
	Measure string            `json:"measure"`
	Metric  string            `json:"metric"`
	Unit    string            `json:"unit"`
	Better  string            `json:"better"`
	Systems map[string]spread `json:"systems"`
	// Ratios are to the first system, taken run by run and then summed up.
	Ratios map[string]spread `json:"ratios,omitempty"`
}

// newReport notes what was measured, and with what.
func newReport(cfg config) *report {
	r := &report{Go: runtime.Version(), CPUs: runtime.NumCPU(), Config: cfg, Versions: make(map[string]string)}
	for _, v := range cfg.Variants {
		if sys, ok := systemNamed(v.System); ok {
			r.Versions[v.System] = moduleVersion(sys.Module())
		}
	}
	r.Versions["go-redis"] = moduleVersion("github.com/redis/go-redis/v9")
	return r
}

// failed says whether any step failed.
func (r *report) failed() bool {
	for _, res := range r.Results {
		if res.Error != "" {
			return true
		}
	}
	return false
}

// summarise fills in the rows, in the order of measures and metrics.
func (r *report) summarise() {
	r.Summary = nil
	for _, name := range r.Config.Measures {
		var keys []metric
		seen := make(map[string]bool)
		for _, res := range r.Results {
			for _, m := range res.Metrics {
				if res.Measure == name && !seen[m.Name] {
					seen[m.Name] = true
					keys = append(keys, m)
				}
			}
		}
		for _, k := range keys {
			r.Summary = append(r.Summary, r.row(name, k))
		}
	}
}

// row sums up one metric.
func (r *report) row(measure string, key metric) row {
	out := row{Measure: measure, Metric: key.Name, Unit: key.Unit, Better: key.Better, Systems: make(map[string]spread), Ratios: make(map[string]spread)}
	base := r.values(measure, key.Name, r.Config.Variants[0].Label)
	for i, v := range r.Config.Variants {
		byRun := r.values(measure, key.Name, v.Label)
		var values, ratios []float64
		for run := 1; run <= r.Config.Runs; run++ {
			value, ok := byRun[run]
			if !ok {
				continue
			}
			values = append(values, value)
			if b := base[run]; i > 0 && b > 0 {
				ratios = append(ratios, value/b)
			}
		}
		if len(values) > 0 {
			out.Systems[v.Label] = spreadOf(values)
		}
		if len(ratios) > 0 {
			out.Ratios[v.Label] = spreadOf(ratios)
		}
	}
	return out
}

// values are one system's figures of one metric, by run.
func (r *report) values(measure, name, label string) map[int]float64 {
	out := make(map[int]float64)
	for _, res := range r.Results {
		if res.Measure != measure || res.System != label || res.Error != "" {
			continue
		}
		for _, m := range res.Metrics {
			if m.Name == name {
				out[res.Run] = m.Value
			}
		}
	}
	return out
}

// writeJSON prints everything, every run's figures included.
func (r *report) writeJSON(w io.Writer) error {
	r.summarise()
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// writeTable prints medians (min-max) and the ratios to the first system.
func (r *report) writeTable(w io.Writer) error {
	r.summarise()
	fmt.Fprintf(w, "%d CPUs, %s, redis %s, go-redis %s; n=%d samples=%d runs=%d; median (min-max)\n",
		r.CPUs, r.Go, r.Redis, r.Versions["go-redis"], r.Config.N, r.Config.Samples, r.Config.Runs)
	for _, v := range r.Config.Variants {
		fmt.Fprintf(w, "%s: version %s, concurrency %d\n", v.Label, r.Versions[v.System], v.Concurrency)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	head := []string{"measure", "metric", "unit"}
	for _, v := range r.Config.Variants {
		head = append(head, v.Label)
	}
	for _, v := range r.Config.Variants[1:] {
		head = append(head, v.Label+"/"+r.Config.Variants[0].Label)
	}
	fmt.Fprintln(tw, "\n"+strings.Join(head, "\t"))
	for _, row := range r.Summary {
		cells := []string{row.Measure, row.Metric, row.Unit + arrow(row.Better)}
		for _, v := range r.Config.Variants {
			cells = append(cells, cell(row.Systems, v.Label))
		}
		for _, v := range r.Config.Variants[1:] {
			cells = append(cells, cell(row.Ratios, v.Label))
		}
		fmt.Fprintln(tw, strings.Join(cells, "\t"))
	}
	for _, res := range r.Results {
		if res.Error != "" {
			fmt.Fprintf(tw, "\nFAILED run %d %s %s: %s\n", res.Run, res.Measure, res.System, res.Error)
		}
	}
	return tw.Flush()
}

// arrow shows which way is better.
func arrow(better string) string {
	if better == higher {
		return " ↑"
	}
	return " ↓"
}

// cell prints a spread, or a dash where there is none.
func cell(spreads map[string]spread, label string) string {
	s, ok := spreads[label]
	if !ok {
		return "-"
	}
	return fmt.Sprintf("%s (%s-%s)", number(s.Median), number(s.Min), number(s.Max))
}

// number prints v with about three significant digits.
func number(v float64) string {
	switch a := math.Abs(v); {
	case a >= 100 || v == math.Trunc(v):
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}
