package plots

import (
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
