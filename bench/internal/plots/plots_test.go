package plots

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWrite(t *testing.T) {
	chart := Chart{Title: "Throughput", X: "handlers at once", Y: "jobs/s", Curves: []Curve{
		{Name: "one system", Points: []Point{{100, 5000}, {1, 900}, {10, 0}}},
		{Name: "nothing"},
		{Name: "another", Points: []Point{{1, 10_000}, {10, 60_000}, {100, 150_000}}, Dashed: true, Same: true},
	}}
	file := filepath.Join(t.TempDir(), "chart.svg")
	drawn, err := Write(file, chart)
	if err != nil || !drawn {
		t.Fatalf("drawn: %v, %v", drawn, err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<svg", "Throughput", "one system", "another"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is not in the file", want)
		}
	}
	if strings.Contains(string(text), "nothing") {
		t.Error("a curve without points is in the legend")
	}
}

func TestWriteNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "chart.svg")
	drawn, err := Write(file, Chart{Curves: []Curve{{Name: "one", Points: []Point{{0, 1}}}}})
	if err != nil || drawn {
		t.Fatalf("drawn: %v, %v", drawn, err)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("the file: %v", err)
	}
}

func TestSteps(t *testing.T) {
	for v, want := range map[float64][2]float64{1: {1, 1}, 1.5: {1, 2}, 3: {2, 5}, 7: {5, 10}, 0.03: {0.02, 0.05}, 4600: {2000, 5000}, 1000: {1000, 1000}} {
		if below, above := stepBelow(v), stepAbove(v); math.Abs(below/want[0]-1) > slack || math.Abs(above/want[1]-1) > slack {
			t.Errorf("%v lies between %v and %v, want %v", v, below, above, want)
		}
	}
}

func TestTicks(t *testing.T) {
	for want, ends := range map[string][2]float64{
		"5 10 20 50":                                 {5, 50},
		"0.1 _ _ 1 _ _ 10 _ _ 100":                   {0.1, 100},
		"1,000 _ _ 10,000 _ _ 100,000 _ _ 1,000,000": {1000, 1_000_000},
	} {
		var labels []string
		for _, tick := range (steps{}).Ticks(ends[0], ends[1]) {
			if tick.Label == "" {
				tick.Label = "_"
			}
			labels = append(labels, tick.Label)
		}
		if got := strings.Join(labels, " "); got != want {
			t.Errorf("from %v to %v: %s, want %s", ends[0], ends[1], got, want)
		}
	}
}
