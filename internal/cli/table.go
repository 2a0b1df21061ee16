package cli

import (
	"io"
	"strings"
	"sync"
	"time"

	"github.com/rivo/uniseg"
)

// Column is one column of a Table. The last one takes what room there is.
type Column struct {
	Title string
	Right bool // for numbers
	// Whole cells are never cut: half a number is a wrong one.
	Whole bool
	// Yield: where the terminal is too narrow, the columns of the highest Yield are cut first, with an ellipsis, and then
	// left out first. 0 = neither.
	Yield int
	// Stays: it is cut, and never left out: without it nobody could tell what a row is about.
	Stays bool
	// Least is how many cells wide a column that is cut stays; the width of its title at least. Good is the same as long as
	// cutting the others down to theirs is enough; 0 = no more than Least.
	Least, Good int
}

const (
	gap = 2 // cells between two columns
	// firstPage rows decide how wide the columns are.
	firstPage = 50
	// firstWait is how long rows wait for the first page to fill.
	firstWait = 100 * time.Millisecond
	ellipsis  = "…"
)

// Table prints rows as they come: the first ones, which decide the widths, are held back for a moment. What is printed is
// cleaned (see Clean). Safe for concurrent use.
type Table struct {
	w       io.Writer
	limit   int
	columns []Column

	mu     sync.Mutex
	held   [][]string
	widths []int // -1 = left out; nil until the first page is printed
	timer  *time.Timer
	err    error
}

// NewTable makes a table no wider than width cells; 0 = as wide as it gets.
func NewTable(w io.Writer, width int, columns ...Column) *Table {
	return &Table{w: w, limit: width, columns: columns}
}

// Row adds a row, with a cell for each column. Its error is that of the writer, perhaps of an earlier row.
func (t *Table) Row(cells ...string) error {
	row := make([]string, len(cells))
	for i, cell := range cells {
		row[i] = Clean(cell)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.widths != nil {
		t.print(row)
		return t.err
	}
	if t.timer == nil {
		t.timer = time.AfterFunc(firstWait, func() { _ = t.Flush() }) // its error is kept for the next call
	}
	if t.held = append(t.held, row); len(t.held) == firstPage {
		t.flush()
	}
	return t.err
}

// Flush prints what is held back. A table without rows prints nothing.
func (t *Table) Flush() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flush()
	return t.err
}

// LeftOut answers the titles of the columns for which there was no room, once something is printed.
func (t *Table) LeftOut() (titles []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, w := range t.widths {
		if w < 0 {
			titles = append(titles, t.columns[i].Title)
		}
	}
	return titles
}

func (t *Table) flush() {
	if len(t.held) == 0 {
		return
	}
	t.timer.Stop()
	titles := make([]string, len(t.columns))
	for i, c := range t.columns {
		titles[i] = c.Title
	}
	t.widths = fit(t.columns, t.natural(titles), t.limit)
	t.print(titles)
	for _, row := range t.held {
		t.print(row)
	}
	t.held = nil
}

// natural is how wide each column would like to be.
func (t *Table) natural(titles []string) []int {
	widths := make([]int, len(t.columns))
	for _, row := range append([][]string{titles}, t.held...) {
		for i := range widths {
			if i < len(row) {
				widths[i] = max(widths[i], uniseg.StringWidth(row[i]))
			}
		}
	}
	return widths
}

// fit answers how wide each column is made, -1 for one that is left out.
func fit(columns []Column, natural []int, limit int) []int {
	out := make([]bool, len(columns))
	for {
		widths, over := shrink(columns, natural, out, limit)
		if over <= 0 {
			return widths
		}
		next := yielding(columns, func(i int) bool { return !out[i] && columns[i].Yield > 0 && !columns[i].Stays })
		if next < 0 { // then the lines are longer than the terminal is wide
			return widths
		}
		// The last column takes what room there is rather than none.
		if last := len(columns) - 1; next == last && !columns[last].Whole && widths[last]-over >= uniseg.StringWidth(columns[last].Title) {
			widths[last] -= over
			return widths
		}
		out[next] = true
	}
}

// shrink cuts the columns that are not out, and answers by how much the line is too long still.
func shrink(columns []Column, natural []int, out []bool, limit int) (widths []int, over int) {
	widths = make([]int, len(columns))
	total := -gap
	for i := range columns {
		if widths[i] = natural[i]; out[i] {
			widths[i] = -1
			continue
		}
		total += natural[i] + gap
	}
	if limit <= 0 {
		return widths, 0
	}
	least := func(c *Column) int { return max(c.Least, uniseg.StringWidth(c.Title)) }
	over = cut(columns, widths, total-limit, func(c *Column) int { return max(c.Good, least(c)) })
	return widths, cut(columns, widths, over, least)
}

// cut takes what a line is too long off the columns, each down to its least, and answers what is too long still.
func cut(columns []Column, widths []int, over int, least func(*Column) int) int {
	done := make([]bool, len(columns))
	for over > 0 {
		i := yielding(columns, func(i int) bool { return !done[i] && widths[i] >= 0 && !columns[i].Whole && columns[i].Yield > 0 })
		if i < 0 {
			break
		}
		by := max(0, min(over, widths[i]-least(&columns[i])))
		widths[i] -= by
		over -= by
		done[i] = true
	}
	return over
}

// yielding answers the eligible column of the highest Yield, the last of several; -1 when there is none.
func yielding(columns []Column, eligible func(i int) bool) int {
	best := -1
	for i := range columns {
		if eligible(i) && (best < 0 || columns[i].Yield >= columns[best].Yield) {
			best = i
		}
	}
	return best
}

// print prints a row. Where the line has room, a cell wider than those of the first page takes it; else it is cut.
func (t *Table) print(row []string) {
	if t.err != nil {
		return
	}
	slack, last := t.limit+gap, 0
	for i, w := range t.widths {
		if w >= 0 {
			slack -= w + gap
			last = i
		}
	}
	var line strings.Builder
	pad := 0 // owed before the next cell, so that no line ends in spaces
	write := func(text string, width int) {
		line.WriteString(strings.Repeat(" ", pad))
		line.WriteString(text)
		pad = max(0, width-uniseg.StringWidth(text)) + gap
	}
	for i, w := range t.widths {
		if w < 0 || i >= len(row) {
			continue
		}
		cell, c := row[i], t.columns[i]
		wide := uniseg.StringWidth(cell)
		if t.limit > 0 && wide > w && c.Yield > 0 && !c.Whole {
			room := w + max(0, slack)
			if i == last {
				room = max(room, 1)
			}
			cell = Cut(cell, room)
			wide = uniseg.StringWidth(cell)
		}
		slack -= max(0, wide-w)
		if c.Right {
			cell = strings.Repeat(" ", max(0, w-wide)) + cell
		}
		write(cell, w)
	}
	_, t.err = io.WriteString(t.w, strings.TrimRight(line.String(), " ")+"\n")
}

// Cut makes text at most width cells wide, with an ellipsis for what is missing. It does not tear letters apart.
func Cut(text string, width int) string {
	if uniseg.StringWidth(text) <= width {
		return text
	}
	var out strings.Builder
	room, state := width-1, -1
	for text != "" && room >= 0 {
		var cluster string
		var w int
		cluster, text, w, state = uniseg.FirstGraphemeClusterInString(text, state)
		if w > room {
			break
		}
		out.WriteString(cluster)
		room -= w
	}
	if width > 0 {
		out.WriteString(ellipsis)
	}
	return out.String()
}
