package rig

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"
)

// Result is what one step of one run gave.
type Result struct {
	Run     int      `json:"run"`
	Measure string   `json:"measure"`
	System  string   `json:"system"`
	Metrics []Metric `json:"metrics,omitempty"`
	Error   string   `json:"error,omitempty"`
}

// headline is the first metric, or the error, in a few words.
func (r Result) headline() string {
	if r.Error != "" {
		return "FAILED: " + r.Error
	}
	if len(r.Metrics) == 0 {
		return "no figures"
	}
	m := r.Metrics[0]
	return fmt.Sprintf("%s %s %s", m.Name, number(m.Value), m.Unit)
}

// Report is the whole outcome.
type Report struct {
	Go       string            `json:"go"`
	CPUs     int               `json:"cpus"`
	Runs     int               `json:"runs"`    // that were made
	Servers  map[Kind]string   `json:"servers"` // versions
	Versions map[string]string `json:"versions"`
	Config   any               `json:"config"`
	Remarks  []string          `json:"remarks,omitempty"`
	Summary  []Row             `json:"summary"`
	Results  []Result          `json:"results"`
	Took     time.Duration     `json:"took_ns"`
	plan     Plan
	mu       sync.Mutex // Remarks, Servers and the progress, where columns are taken together
}

// Row is one metric over all systems and runs.
type Row struct {
	Measure string            `json:"measure"`
	Metric  string            `json:"metric"`
	Unit    string            `json:"unit"`
	Better  string            `json:"better"`
	Systems map[string]Spread `json:"systems"`
	// Ratios are to the measure's first system, taken run by run and then summed up.
	Ratios map[string]Spread `json:"ratios,omitempty"`
	// Best is the ratio of the plan's own system to the best of the others, by their medians; taken as the others are.
	Best      Spread `json:"best,omitzero"`
	BestOther string `json:"best_other,omitempty"`
}

// newReport notes what is measured, and with what.
func newReport(plan Plan) *Report {
	return &Report{Go: runtime.Version(), CPUs: runtime.NumCPU(), Servers: make(map[Kind]string), Versions: plan.Versions,
		Config: plan.Config, Remarks: plan.Remarks, plan: plan}
}

// failed says whether any step failed.
func (r *Report) failed() bool {
	return slices.ContainsFunc(r.Results, func(res Result) bool { return res.Error != "" })
}

// summarise fills in the rows, in the order of measures and metrics.
func (r *Report) summarise() {
	r.Summary = nil
	for _, m := range r.plan.Measures {
		seen := make(map[string]bool)
		for _, res := range r.Results {
			for _, key := range res.Metrics {
				if res.Measure == m.Name && !seen[key.Name] {
					seen[key.Name] = true
					r.Summary = append(r.Summary, r.row(m, key))
				}
			}
		}
	}
}

// row sums up one metric.
func (r *Report) row(m Measure, key Metric) Row {
	out := Row{Measure: m.Name, Metric: key.Name, Unit: key.Unit, Better: key.Better, Systems: make(map[string]Spread), Ratios: make(map[string]Spread)}
	base := r.values(m.Name, key.Name, m.Columns[0])
	for i, column := range m.Columns {
		byRun := r.values(m.Name, key.Name, column)
		var values, ratios []float64
		for run := 1; run <= r.plan.Runs; run++ {
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
			out.Systems[column] = spreadOf(values)
		}
		if len(ratios) > 0 {
			out.Ratios[column] = spreadOf(ratios)
		}
	}
	r.addBest(&out, m)
	return out
}

// addBest compares the plan's own system with the best of the others.
func (r *Report) addBest(row *Row, m Measure) {
	own := r.values(m.Name, row.Metric, r.plan.Own)
	for _, column := range m.Columns {
		s, ok := row.Systems[column]
		if !ok || len(own) == 0 || baseName(column) == baseName(r.plan.Own) || s.Median < 0 { // a job that began too early
			continue
		}
		best, any := row.Systems[row.BestOther]
		if !any || row.Better == Higher && s.Median > best.Median || row.Better == Lower && s.Median < best.Median {
			row.BestOther = column
		}
	}
	var ratios []float64
	for run, other := range r.values(m.Name, row.Metric, row.BestOther) {
		if value, ok := own[run]; ok && other > 0 {
			ratios = append(ratios, value/other)
		}
	}
	row.Best = spreadOf(ratios)
}

// baseName is that of a system without its concurrency or variety: "tidemill" of "tidemill-metrics@10".
func baseName(column string) string {
	return strings.FieldsFunc(column+" ", func(c rune) bool { return strings.ContainsRune("@- ", c) })[0]
}

// bestCell prints that ratio and to whom.
func (row Row) bestCell() string {
	if row.Best.Runs == 0 {
		return "-"
	}
	return cell(map[string]Spread{"": row.Best}, "") + " " + row.BestOther
}

// values are one system's figures of one metric, by run.
func (r *Report) values(measure, name, column string) map[int]float64 {
	out := make(map[int]float64)
	for _, res := range r.Results {
		if res.Measure != measure || res.System != column || res.Error != "" {
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
func (r *Report) writeJSON(w io.Writer) error {
	r.summarise()
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// ModuleVersion is the version of a module built into this program.
func ModuleVersion(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, dep := range info.Deps {
		if dep.Path != path {
			continue
		}
		if dep.Replace != nil {
			return "working tree"
		}
		return dep.Version
	}
	return "unknown"
}
