package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary stand in for the program as a child process.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == stepCommand {
		os.Exit(childMain(context.Background(), os.Args[2]))
	}
	os.Exit(m.Run())
}

func TestPayloadSize(t *testing.T) {
	data, err := json.Marshal(newPayload(123_456))
	if err != nil {
		t.Fatal(err)
	}
	if len(data) < 190 || len(data) > 215 {
		t.Errorf("the payload has %d bytes, want about 200", len(data))
	}
}

func TestSpreadAndPercentile(t *testing.T) {
	if got, want := spreadOf([]float64{4, 1, 3, 2}), (spread{Median: 2.5, Min: 1, Max: 4, Runs: 4}); got != want {
		t.Errorf("spreadOf = %+v, want %+v", got, want)
	}
	var s []time.Duration
	for i := range 200 {
		s = append(s, time.Duration(i+1))
	}
	for p, want := range map[float64]time.Duration{0: 1, 0.5: 100, 0.99: 198, 1: 200} {
		if got := percentile(s, p); got != want {
			t.Errorf("percentile %v = %d, want %d", p, got, want)
		}
	}
}

func TestRatiosPairRuns(t *testing.T) {
	cfg := config{Variants: []variant{{Label: "a"}, {Label: "b"}}, Measures: []string{"drain"}, Runs: 3}
	r := &report{Config: cfg}
	add := func(run int, label string, v float64, failure string) {
		r.Results = append(r.Results, result{Run: run, Measure: "drain", System: label, Error: failure,
			Metrics: []metric{{Name: "rate", Value: v}}})
	}
	add(1, "a", 10, "")
	add(1, "b", 20, "")
	add(2, "b", 90, "")
	add(2, "a", 30, "")
	add(3, "a", 1, "broken")
	add(3, "b", 50, "")
	r.summarise()
	if got, want := r.Summary[0].Ratios["b"], (spread{Median: 2.5, Min: 2, Max: 3, Runs: 2}); got != want {
		t.Errorf("ratios = %+v, want %+v: a failed run has no pair", got, want)
	}
}

func TestMonitorLineIsLua(t *testing.T) {
	for line, want := range map[string]bool{
		`+1700000000.1 [0 127.0.0.1:4242] "EVALSHA" "[0 lua]"`: false,
		`+1700000000.1 [0 lua] "GET" "k"`:                      true,
		`+1700000000.1 [0 unix:/tmp/s] "PING"`:                 false,
	} {
		if got := monitorLineIsLua(line); got != want {
			t.Errorf("monitorLineIsLua(%s) = %v", line, got)
		}
	}
}

func TestParseFlagsReportsEveryFault(t *testing.T) {
	var sink bytes.Buffer
	_, err := parseFlags([]string{"-systems", "nosuch,asynq@x", "-measures", "drain,drain,bogus", "-n", "1", "-runs", "0", "-idle", "1ms"}, &sink)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{`"nosuch"`, `"asynq@x"`, "twice", `"bogus"`, "-n:", "-runs:", "-idle:"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	cfg, err := parseFlags([]string{"-systems", "asynq@10,asynq", "-concurrency", "7"}, &sink)
	if err != nil {
		t.Fatal(err)
	}
	want := []variant{{"asynq", 10, "asynq@10"}, {"asynq", 7, "asynq"}}
	if !slices.Equal(cfg.Variants, want) {
		t.Errorf("variants = %+v, want %+v", cfg.Variants, want)
	}
}

// TestEveryMeasure runs the program, small, against each adapter.
func TestEveryMeasure(t *testing.T) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("no redis-server on PATH")
	}
	if testing.Short() {
		t.Skip("takes half a minute a system")
	}
	var stdout, stderr bytes.Buffer
	code := parentMain(t.Context(), []string{"-n", "500", "-samples", "5", "-runs", "1", "-idle", "2s", "-json"}, &stdout, &stderr)
	if code != 0 {
		t.Fatalf("exit code %d\n%s", code, stderr.String())
	}
	var rep report
	if err := json.Unmarshal(stdout.Bytes(), &rep); err != nil {
		t.Fatal(err)
	}
	for _, name := range measureNames() {
		for _, s := range systemNames() {
			if !slices.ContainsFunc(rep.Summary, func(r row) bool {
				return r.Measure == name && r.Systems[s].Runs == 1
			}) {
				t.Errorf("no figure of %s for %s", name, s)
			}
		}
	}
}
