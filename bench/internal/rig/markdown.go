package rig

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// WriteMarkdown writes what WriteTables prints, as tables of a Markdown document.
func (r *Report) WriteMarkdown(w io.Writer) {
	for _, m := range r.plan.Measures {
		lines := r.markdownLines(m)
		if len(lines) < 2 || len(lines[0]) < 2 {
			continue // nothing was found
		}
		fmt.Fprintf(w, "\n### %s\n\n", m.Name)
		for i, line := range lines {
			writeLine(w, line)
			if i == 0 {
				writeLine(w, slices.Repeat([]string{"---"}, len(line)))
			}
		}
	}
	if len(r.Remarks) > 0 || r.failed() {
		fmt.Fprint(w, "\n### Remarks\n\n")
	}
	for _, line := range r.Remarks {
		fmt.Fprintln(w, "- "+oneLine(line))
	}
	for _, res := range r.Results {
		if res.Error != "" {
			fmt.Fprintf(w, "- failed: run %d, %s, %s: %s\n", res.Run, res.Measure, res.System, oneLine(res.Error))
		}
	}
}

// WriteHeadline writes a table of the headline metrics: of the plan's own system beside the first and the best of the others, with the ratios to both.
func (r *Report) WriteHeadline(w io.Writer) {
	head := true
	for _, m := range r.plan.Measures {
		if m.Points || !r.compares(m.Columns) {
			continue
		}
		first := m.Columns[0]
		for _, row := range r.Summary {
			if row.Measure != m.Name || !slices.Contains(m.Headline, row.Metric) {
				continue
			}
			if head {
				writeLine(w, []string{"", "", "unit", first, "best other", r.plan.Own, "/ " + first, "/ best other"})
				writeLine(w, slices.Repeat([]string{"---"}, 8))
				head = false
			}
			best := "-"
			if row.Best.Runs > 0 {
				best = row.BestOther + " " + number(row.Systems[row.BestOther].Median)
			}
			writeLine(w, []string{m.Name, row.Metric, row.Unit + arrow(row.Better), cell(row.Systems, first), best, cell(row.Systems, r.plan.Own),
				times(row.Ratios[r.plan.Own]), times(row.Best)})
		}
	}
}

// times prints a ratio with its ends.
func times(ratio Spread) string {
	if ratio.Runs == 0 {
		return "-"
	}
	return "×" + cell(map[string]Spread{"": ratio}, "")
}

func writeLine(w io.Writer, cells []string) { fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | ")) }

// markdownLines is the table of a measure, its head first.
func (r *Report) markdownLines(m Measure) [][]string {
	if m.Points {
		return r.points(m)
	}
	lines := [][]string{append([]string{"", "unit"}, m.Columns...)}
	own := r.compares(m.Columns)
	if own {
		lines[0] = append(lines[0], r.plan.Own+" / best other")
	}
	for _, row := range r.Summary {
		if row.Measure != m.Name {
			continue
		}
		line := []string{row.Metric, row.Unit + arrow(row.Better)}
		for _, c := range m.Columns {
			text := cell(row.Systems, c)
			if ratio, ok := row.Ratios[c]; ok {
				text += "; ×" + number(ratio.Median)
			}
			line = append(line, text)
		}
		if own {
			line = append(line, row.bestCell())
		}
		lines = append(lines, line)
	}
	return lines
}

// oneLine fits a text into a list of a document.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
