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
			fmt.Fprintf(w, "| %s |\n", strings.Join(line, " | "))
			if i == 0 {
				fmt.Fprintf(w, "| %s |\n", strings.Join(slices.Repeat([]string{"---"}, len(line)), " | "))
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
