package main

import (
	"bytes"
	"context"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/bench/internal/rig"
)

// TestMain lets the test binary stand in for the program as a child process.
func TestMain(m *testing.M) {
	if rig.IsChild(os.Args) {
		os.Exit(rig.ChildMain(context.Background(), os.Args, steps))
	}
	os.Exit(m.Run())
}

const docs = "../../docs"

// The tables of the page are those that its constants give: neither is edited by hand.
func TestPageAgreesWithConstants(t *testing.T) {
	c, err := readConstants(docs)
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(pageFile(docs))
	if err != nil {
		t.Fatal(err)
	}
	want, err := fill(string(page), c.tables())
	if err != nil {
		t.Fatal(err)
	}
	if want != string(page) {
		t.Error("docs/capacity.md does not have the tables of docs/capacity.json: go run ./capacity -page -doc ../docs")
	}
}

// Page or measuring is wrong where a prediction is far out. Bytes of memory are the same on every machine; what a busy machine
// does to the others must not fail here.
func TestConstantsPredict(t *testing.T) {
	c, err := readConstants(docs)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Checks) < 10 {
		t.Fatalf("only %d checks", len(c.Checks))
	}
	for _, k := range c.Checks {
		bound := 1.5
		switch {
		case k.What == whatMemory:
			bound = 1.1
		case k.What == whatCPU || k.Measure == atRates:
			bound = 3
		}
		if ratio := c.predict(k) / k.Measured.Median; !(ratio < bound && ratio > 1/bound) {
			t.Errorf("%d bytes, %s, %s: predicted %.1f, measured %.1f", k.Size, k.Measure, k.What, c.predict(k), k.Measured.Median)
		}
	}
}

func TestAllocated(t *testing.T) {
	for n, want := range map[int]int{1: 16, 128: 128, 129: 160, 240: 256, 257: 320, 1024: 1024, 1025: 1280, 2040: 2048, 20_040: 20_480} {
		if got := allocated(n); got != want {
			t.Errorf("allocated(%d) = %d, want %d", n, got, want)
		}
	}
}

func TestBetween(t *testing.T) {
	by := map[int]float64{10: 100, 20: 200, 40: 300}
	for x, want := range map[int]float64{5: 100, 10: 100, 15: 150, 20: 200, 30: 250, 40: 300, 60: 400} {
		if got := between(by, x); got != want {
			t.Errorf("between(%d) = %v, want %v", x, got, want)
		}
	}
}

func TestAtRate(t *testing.T) {
	redis := func(us float64) cost { return cost{Redis: rig.Spread{Median: us}} }
	c := &constants{
		Rates:   map[int]cost{1_000: redis(80), 5_000: redis(40), 20_000: redis(20)},
		Ones:    map[int]cost{200: redis(100)},
		Enqueue: map[int]cost{200: redis(1), 2_000: redis(4)}, Run: map[int]cost{200: redis(2), 2_000: redis(6)},
	}
	for rate, want := range map[float64]float64{10: 100, 100: 100, 1_000: 80, 10_000: 30, 20_000: 20, 90_000: 20} {
		if got := c.atRate(rate, 200).Redis.Median; math.Abs(got-want) > 1e-6 {
			t.Errorf("at %v/s: %v us, want %v", rate, got, want)
		}
	}
	if got := c.atRate(1_000, 2_000).Redis.Median; math.Abs(got-87) > 1e-6 {
		t.Errorf("a larger payload at 1,000/s: %v us, want 80 + 10 - 3", got)
	}
}

func TestFillWantsEachTableOnce(t *testing.T) {
	const page = "a\n<!-- table one -->\nold\n<!-- end -->\nb\n"
	got, err := fill(page, map[string]string{"one": "| new |\n"})
	if want := "a\n<!-- table one -->\n| new |\n<!-- end -->\nb\n"; err != nil || got != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	for name, tables := range map[string]map[string]string{"missing": {"one": "", "two": ""}, "unknown": {}} {
		if _, err := fill(page, tables); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := fill(page+page, map[string]string{"one": ""}); err == nil {
		t.Error("twice: no error")
	}
}

func TestFlags(t *testing.T) {
	_, err := parseFlags([]string{"-runs", "0", "-scale", "50", "-page", "more"}, io.Discard)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"-runs:", "-scale:", "-page needs -doc", `"more"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

// TestMeasures takes all of it, small.
func TestMeasures(t *testing.T) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("no redis-server on PATH")
	}
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	dir := t.TempDir()
	page, err := os.ReadFile(pageFile(docs))
	if err == nil {
		err = os.WriteFile(pageFile(dir), page, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	if code := parentMain(t.Context(), []string{"-scale", "0.01", "-runs", "1", "-doc", dir}, &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d\n%s\n%s", code, stdout.String(), stderr.String())
	}
	if !strings.Contains(stdout.String(), "| 1 KB, in batches | "+whatCPU) {
		t.Errorf("what is predicted is not printed:\n%s", stdout.String())
	}
	c, err := readConstants(dir)
	if err != nil {
		t.Fatal(err)
	}
	for state, by := range c.Memory {
		for size, bytes := range by {
			if bytes < float64(size) {
				t.Errorf("a %s job of %d bytes takes %.0f", state, size, bytes)
			}
		}
	}
	for size, k := range c.Enqueue {
		if k.In < float64(size) || k.Out > float64(size) {
			t.Errorf("to enqueue %d bytes takes %.0f in and %.0f out", size, k.In, k.Out)
		}
	}
	for size, bytes := range c.File {
		if bytes < float64(size) {
			t.Errorf("the file has %.0f bytes for a job of %d", bytes, size)
		}
	}
	again, err := os.ReadFile(filepath.Join(dir, "capacity.md"))
	if err != nil {
		t.Fatal(err)
	}
	if want, err := fill(string(again), c.tables()); err != nil || want != string(again) {
		t.Errorf("the page that was written has other tables than its constants give: %v", err)
	}
}
