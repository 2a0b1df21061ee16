package main

import (
	"fmt"
	"math"
	"os"
	"strings"
)

// writePage puts the tables in between their marks, `<!-- table NAME -->` and `<!-- end -->`.
func writePage(dir string, c *constants) error {
	old, err := os.ReadFile(pageFile(dir))
	if err != nil {
		return err
	}
	text, err := fill(string(old), c.tables())
	if err != nil {
		return fmt.Errorf("%s: %w", pageFile(dir), err)
	}
	return os.WriteFile(pageFile(dir), []byte(text), 0o644)
}

// The marks around a table.
const markBegin, markMiddle, markEnd = "<!-- table ", " -->\n", "<!-- end -->"

// fill replaces each table of a page. Each must be there once.
func fill(page string, tables map[string]string) (string, error) {
	for name, table := range tables {
		begin := markBegin + name + markMiddle
		before, rest, ok := strings.Cut(page, begin)
		_, after, closed := strings.Cut(rest, markEnd)
		if !ok || !closed || strings.Contains(after, begin) {
			return "", fmt.Errorf("the marks of table %q are not there once", name)
		}
		page = before + begin + table + markEnd + after
	}
	if n := strings.Count(page, markBegin); n != len(tables) {
		return "", fmt.Errorf("%d tables are marked, not %d", n, len(tables))
	}
	return page, nil
}

// tables are all of the page, by name.
func (c *constants) tables() map[string]string {
	return map[string]string{
		"setup":   c.setup(),
		"million": c.millionTable(),
		"core":    c.coreTable(),
		"memory":  c.memoryTable(),
		"aof":     c.aofTable(),
		"sizing":  c.sizingTable(),
		"check":   c.checkTable(),
	}
}

// table writes one in Markdown, the head first.
func table(lines ...[]string) string {
	var b strings.Builder
	for i, line := range lines {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(line, " | "))
		if i == 0 {
			fmt.Fprintf(&b, "|%s\n", strings.Repeat(" --- |", len(line)))
		}
	}
	return b.String()
}

// bytesOf names a size as people do.
func bytesOf(size int) string {
	if size < 1000 {
		return fmt.Sprintf("%d B", size)
	}
	return fmt.Sprintf("%d KB", size/1000)
}

// short prints three digits, with thousands set apart.
func short(v float64) string {
	a := math.Abs(v)
	if a >= 1000 {
		return thousands(int64(round(v)))
	}
	switch {
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// round leaves three digits.
func round(v float64) float64 {
	if v == 0 {
		return 0
	}
	unit := math.Pow(10, math.Floor(math.Log10(math.Abs(v)))-2)
	return math.Round(v/unit) * unit
}

func thousands(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func (c *constants) setup() string {
	return fmt.Sprintf("Measured %s on %s; %s.\n", c.Written, c.Machine, c.Versions)
}

// mode is a way in which jobs come.
type mode struct {
	name string
	cost func(size int) cost
}

func (c *constants) modes() []mode {
	return []mode{
		{"in batches of 1,000, run from a backlog", c.batches},
		{"8 in each call, a busy queue", func(size int) cost { return bySize(c.Calls, size) }},
		{"8 at a time, to an idle worker", func(size int) cost { return bySize(c.Eights, size) }},
		{"one at a time, to an idle worker", func(size int) cost { return bySize(c.Ones, size) }},
	}
}

func (c *constants) millionTable() string {
	lines := [][]string{{"jobs come", "payload", "Redis CPU (min-max)", "network in", "network out", "producer and worker CPU"}}
	for _, m := range c.modes() {
		for _, size := range sizes {
			k := m.cost(size)
			// A microsecond a job is a second a million, a byte a job a megabyte.
			lines = append(lines, []string{m.name, bytesOf(size), fmt.Sprintf("%s s (%s-%s)", short(k.Redis.Median), short(k.Redis.Min), short(k.Redis.Max)),
				short(k.In) + " MB", short(k.Out) + " MB", short(k.Client) + " s"})
		}
	}
	return table(lines...)
}

// atMost is the part of a core that a Redis is planned to use.
const atMost = 0.7

func (c *constants) coreTable() string {
	head := []string{"jobs come"}
	for _, size := range sizes {
		head = append(head, bytesOf(size))
	}
	lines := [][]string{head}
	row := func(name string, cost func(size int) cost) {
		line := []string{name}
		for _, size := range sizes {
			line = append(line, thousands(int64(round(atMost*1e6/cost(size).Redis.Median)))+"/s")
		}
		lines = append(lines, line)
	}
	fastest := rates[len(rates)-1]
	row(fmt.Sprintf("one by one, as at %s/s", thousands(int64(fastest))), func(size int) cost { return c.atRate(float64(fastest), size) })
	for _, m := range c.modes() {
		row(m.name, m.cost)
	}
	return table(lines...)
}

func (c *constants) memoryTable() string {
	head := []string{"a million jobs that are"}
	for _, size := range sizes {
		head = append(head, bytesOf(size))
	}
	lines := [][]string{head}
	for _, state := range append([]string{statePending}, states...) {
		line := []string{state}
		for _, size := range sizes {
			line = append(line, short(c.Memory[state][size])+" MB")
		}
		lines = append(lines, line)
	}
	return table(lines...)
}

func (c *constants) aofTable() string {
	lines := [][]string{{"payload", "Redis CPU without", "with", "file grows by"}}
	for _, size := range sizes {
		lines = append(lines, []string{bytesOf(size), short(c.batches(size).Redis.Median) + " s", short(c.AOF[size].Redis.Median) + " s", short(c.File[size]) + " MB"})
	}
	return table(lines...)
}

// sizedRates are those of the sizing table, in jobs a second.
var sizedRates = []int{100, 1_000, 10_000, 50_000, 100_000}

func (c *constants) sizingTable() string {
	lines := [][]string{{"jobs/s", "payload", "Redis CPU, in batches", "one by one", "network in / out, one by one", "backlog of an hour"}}
	for _, rate := range sizedRates {
		for _, size := range sizes {
			r := float64(rate)
			one := c.atRate(r, size)
			mbit := func(bytes float64) string { return short(bytes * r * 8 / 1e6) }
			lines = append(lines, []string{thousands(int64(rate)), bytesOf(size), share(c.batches(size), r), share(one, r),
				mbit(one.In) + " / " + mbit(one.Out) + " Mbit/s", short(c.Memory[statePending][size]*r*3600/1e9) + " GB"})
		}
	}
	return table(lines...)
}

// share is the part of a core that a rate takes, and how many servers that are if it is more than one should.
func share(k cost, rate float64) string {
	part := k.Redis.Median * rate / 1e6
	text := short(100*part) + "%"
	if servers := math.Ceil(part / atMost); servers > 1 {
		text += fmt.Sprintf(" (%.0f servers)", servers)
	}
	return text
}

func (c *constants) checkTable() string {
	lines := [][]string{{"point", "figure", "predicted", "measured (min-max)", "error"}}
	for _, k := range c.Checks {
		point := map[string]string{inBatches: "in batches", inCalls: "8 in each call", inEights: "8 at a time", atRates: thousands(int64(k.Rate)) + "/s one by one"}[k.Measure]
		measured := short(k.Measured.Median)
		if k.Measured.Min != k.Measured.Max {
			measured += fmt.Sprintf(" (%s-%s)", short(k.Measured.Min), short(k.Measured.Max))
		}
		lines = append(lines, []string{bytesOf(k.Size) + ", " + point, k.What, short(c.predict(k)), measured, fmt.Sprintf("%+.0f%%", c.errorOf(k))})
	}
	return table(lines...)
}
