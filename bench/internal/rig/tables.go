package rig

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

// writeTables prints medians (min-max) and the ratios to the first system. Measures of the same systems share a table.
func (r *Report) writeTables(w io.Writer) error {
	r.summarise()
	fmt.Fprintf(w, "%d CPUs, %s; runs=%d; median (min-max)\n", r.CPUs, r.Versioned(), r.Runs)
	for _, line := range r.plan.Header {
		fmt.Fprintln(w, line)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	var columns []string
	for _, m := range r.plan.Measures {
		if m.Points {
			columns = nil
			r.writePoints(tw, m)
			continue
		}
		if !slices.Equal(columns, m.Columns) {
			columns = m.Columns
			writeHead(tw, columns, r.plan.Own, r.compares(columns))
		}
		for _, row := range r.Summary {
			if row.Measure == m.Name {
				row.write(tw, columns, r.compares(columns))
			}
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, line := range r.Remarks {
		fmt.Fprintf(w, "\n%s\n", line)
	}
	for _, res := range r.Results {
		if res.Error != "" {
			fmt.Fprintf(w, "\nFAILED run %d %s %s: %s\n", res.Run, res.Measure, res.System, res.Error)
		}
	}
	return nil
}

// Versioned names Go and the servers that were started with their versions.
func (r *Report) Versioned() string {
	text := r.Go
	for _, kind := range []Kind{Redis, Postgres} {
		if v := r.Servers[kind]; v != "" {
			text += fmt.Sprintf(", %s %s", kind, v)
		}
	}
	return text
}

// writePoints prints a measure whose columns are points of curves: a line each.
func (r *Report) writePoints(w io.Writer, m Measure) {
	fmt.Fprintln(w)
	for _, line := range r.points(m) {
		fmt.Fprintln(w, strings.Join(line, "\t"))
	}
}

// points is the table of such a measure, its head first.
func (r *Report) points(m Measure) [][]string {
	head := []string{m.Name}
	var rows []Row
	for _, row := range r.Summary {
		if row.Measure == m.Name {
			rows = append(rows, row)
			head = append(head, row.Metric+", "+row.Unit+arrow(row.Better))
		}
	}
	out := [][]string{head}
	for _, c := range m.Columns {
		line := []string{c}
		for _, row := range rows {
			line = append(line, cell(row.Systems, c))
		}
		out = append(out, line)
	}
	return out
}

// compares says whether the columns are systems of which the plan's own is to be compared with the best other.
func (r *Report) compares(columns []string) bool {
	return len(columns) > 2 && slices.Contains(columns, r.plan.Own)
}

// writeHead begins a table. The line before it ends the cells of the one above, which so has widths of its own.
func writeHead(w io.Writer, columns []string, name string, own bool) {
	head := append([]string{"measure", "metric", "unit"}, columns...)
	for _, c := range columns[1:] {
		head = append(head, c+"/"+columns[0])
	}
	if own {
		head = append(head, name+"/best other")
	}
	fmt.Fprintln(w, "\n"+strings.Join(head, "\t"))
}

// write prints a row.
func (row Row) write(w io.Writer, columns []string, own bool) {
	cells := []string{row.Measure, row.Metric, row.Unit + arrow(row.Better)}
	for _, c := range columns {
		cells = append(cells, cell(row.Systems, c))
	}
	for _, c := range columns[1:] {
		cells = append(cells, cell(row.Ratios, c))
	}
	if own {
		cells = append(cells, row.bestCell())
	}
	fmt.Fprintln(w, strings.Join(cells, "\t"))
}

// arrow shows which way is better.
func arrow(better string) string {
	if better == Higher {
		return " ↑"
	}
	return " ↓"
}

// cell prints a spread, a single value, or a dash where there is none.
func cell(spreads map[string]Spread, label string) string {
	s, ok := spreads[label]
	if !ok {
		return "-"
	}
	if s.Runs == 1 {
		return number(s.Median)
	}
	return fmt.Sprintf("%s (%s-%s)", number(s.Median), number(s.Min), number(s.Max))
}

// number prints v with about three significant digits.
func number(v float64) string {
	switch a := math.Abs(v); {
	case a >= 1000:
		return apart(fmt.Sprintf("%.0f", v))
	case a >= 100 || v == math.Trunc(v):
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 0.1:
		return fmt.Sprintf("%.2f", v)
	case a >= 0.01:
		return fmt.Sprintf("%.3f", v)
	case a >= 0.0001:
		return fmt.Sprintf("%.4f", v)
	default:
		return fmt.Sprintf("%.1e", v)
	}
}

// apart sets the thousands of a whole number apart.
func apart(digits string) string {
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
