package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/rivo/uniseg"

	"github.com/tidemill/tidemill/internal/cli"
	"github.com/tidemill/tidemill/internal/doctor"
)

// levelWidth is how wide the column of levels is: "not checked" and the gap behind it.
const levelWidth = 13

// printReport prints what was found, grouped by what it was found at. Planning says that a repair was asked for.
func printReport(w io.Writer, r *doctor.Report, planning bool) error {
	var text strings.Builder
	group := ""
	for i := range r.Findings {
		f := &r.Findings[i]
		if title := groupOf(r, f); title != group {
			if group != "" {
				text.WriteByte('\n')
			}
			group = title
			fmt.Fprintln(&text, cli.Clean(group))
		}
		printFinding(&text, f, cli.Width(w), planning)
	}
	text.WriteByte('\n')
	wrap(&text, summary(r, planning), 0, cli.Width(w))
	_, err := io.WriteString(w, text.String())
	return err
}

func groupOf(r *doctor.Report, f *doctor.Finding) string {
	switch {
	case f.Server != "":
		return "Server " + f.Server
	case f.Queue != "":
		return "Queue " + f.Queue
	}
	return "Namespace " + r.Namespace
}

func printFinding(text *strings.Builder, f *doctor.Finding, width int, planning bool) {
	const indent = 2 + levelWidth
	fmt.Fprintf(text, "  %-*s", levelWidth, f.Level)
	wrap(text, f.Check+": "+cli.Clean(f.Text), indent, width)
	if f.Level == doctor.OK {
		return
	}
	add := func(line string) {
		text.WriteString(strings.Repeat(" ", indent))
		wrap(text, line, indent, width)
	}
	if f.Means != "" {
		add(f.Means)
	}
	for _, example := range f.Examples {
		text.WriteString(strings.Repeat(" ", indent+2) + cli.Clean(example) + "\n")
	}
	if more := f.Count - int64(len(f.Examples)); len(f.Examples) > 0 && more > 0 {
		text.WriteString(strings.Repeat(" ", indent+2) + "and " + grouped(more) + " more\n")
	}
	if f.Repair != "" && planning {
		add("The repair " + f.Repair + ".")
	} else if f.Repair != "" {
		add("--repair " + f.Repair + ".")
	}
}

// wrap writes words, on lines of at most width cells where there is a limit, those after the first indented.
func wrap(text *strings.Builder, words string, indent, width int) {
	at := indent
	for i, word := range strings.Fields(words) {
		size := uniseg.StringWidth(word)
		switch {
		case i == 0:
		case width > 0 && at+1+size > width && at > indent:
			text.WriteString("\n" + strings.Repeat(" ", indent))
			at = indent
		default:
			text.WriteByte(' ')
			at++
		}
		text.WriteString(word)
		at += size
	}
	text.WriteByte('\n')
}

// summary is the last line.
func summary(r *doctor.Report, planning bool) string {
	n := make(map[doctor.Level]int64)
	for i := range r.Findings {
		n[r.Findings[i].Level]++
	}
	var parts []string
	for _, level := range []doctor.Level{doctor.Problem, doctor.Warning, doctor.Note} {
		if n[level] > 0 {
			parts = append(parts, amount(n[level], string(level)))
		}
	}
	if n[doctor.Unchecked] > 0 {
		parts = append(parts, fmt.Sprintf("%d not checked", n[doctor.Unchecked]))
	}
	switch {
	case len(parts) == 0:
		return "All is well."
	case planning && r.Repairable() == 0:
		return strings.Join(parts, ", ") + ". There is nothing that a repair could mend."
	case !planning && r.Repairable() > 0:
		return strings.Join(parts, ", ") + ". To mend what can be mended: worker doctor --repair"
	}
	return strings.Join(parts, ", ") + "."
}
