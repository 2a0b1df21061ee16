package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/bench/internal/rig"
)

// TestMain lets the test binary stand in for the program as a child process.
func TestMain(m *testing.M) {
	if rig.IsChild(os.Args) {
		os.Exit(rig.ChildMain(context.Background(), os.Args, steps))
	}
	os.Exit(m.Run())
}

func TestPayloadSize(t *testing.T) {
	data, err := json.Marshal(rig.NewPayload(123_456))
	if err != nil {
		t.Fatal(err)
	}
	if len(data) < 190 || len(data) > 215 {
		t.Errorf("the payload has %d bytes, want about 200", len(data))
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
	_, err := parseFlags([]string{"-systems", "nosuch,asynq@x", "-measures", "drain,drain,bogus", "-n", "1", "-runs", "0", "-idle", "1ms",
		"-patience", "1h", "-backlog", "10", "-curves", "none", "-within", "-1s"}, &sink)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{`"nosuch"`, `"asynq@x"`, "twice", `"bogus"`, "-n:", "-runs:", "-idle:", "-patience:", "-backlog:", `"none"`, "-within: -1s"} {
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

func TestShares(t *testing.T) {
	b := newBench(config{N: 3200, Variants: []variant{{System: "asynq", Concurrency: 7, Label: "asynq@7"}}})
	for system, want := range map[string]stepSpec{
		"asynq": {N: 800, Variant: b.Variants[0]},
		"river": {N: 200, Variant: variant{System: "river", Concurrency: 1000, Label: "river@1000"}},
		alone:   {N: 3200, Variant: variant{System: alone, Concurrency: 7, Label: alone}},
	} {
		b.Concurrency = 7
		if got := b.spec(b.usualVariant(system), rig.Broker{}); got != want {
			t.Errorf("the order for %s: %+v, want %+v", system, got, want)
		}
	}
}

// Processes in Go share the machine, but of systems that do better with all of it; a measure may say otherwise.
func TestProcessors(t *testing.T) {
	cfg, err := parseFlags([]string{"-systems", "watermill,tidemill", "-procs", "3"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(cfg)
	for system, want := range map[string]int{"watermill": 0, alone: 3} {
		spec := b.spec(b.usualVariant(system), rig.Broker{})
		if spec.Procs != want {
			t.Errorf("%s: GOMAXPROCS %d, want %d", system, spec.Procs, want)
		}
		sys, _ := systemNamed(system)
		cmd, err := sys.Command(t.Context(), "enqueue", spec)
		if err != nil {
			t.Fatal(err)
		}
		if told := slices.Contains(cmd.Env, "GOMAXPROCS=3"); told != (want == 3) {
			t.Errorf("%s: told so: %v", system, told)
		}
	}
	if _, err := parseFlags([]string{"-procs", "-1"}, io.Discard); err == nil || !strings.Contains(err.Error(), "-procs: -1") {
		t.Errorf("a negative number is taken: %v", err)
	}
}

// What is left of the time is for fewer jobs, in every measure.
func TestShrink(t *testing.T) {
	cfg, err := parseFlags([]string{"-systems", "asynq,tidemill", "-measures", "drain"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(cfg)
	p := b.plan()
	if remark := p.Shrink(0.25); b.N != 50_000 || !strings.Contains(remark, "n=50000") {
		t.Errorf("a quarter of 200,000: n=%d, %q", b.N, remark)
	}
	if p.Shrink(0.1); b.N != 50_000 {
		t.Errorf("n=%d, want no fewer than a quarter however slow the machine is", b.N)
	}
	if got := b.spec(b.Variants[0], rig.Broker{}).N; got != 12_500 {
		t.Errorf("asynq gets %d jobs, want a quarter of n", got)
	}
}

func TestEfficiency(t *testing.T) {
	spec := stepSpec{N: 2500, Handler: 10 * time.Millisecond, Variant: variant{Concurrency: 1000}}
	if got := spec.efficiency(40 * time.Millisecond).Value; got != 75 {
		t.Errorf("three rounds of 10 ms in 40 ms: %v %%, want 75", got)
	}
}

// A system of which a measure is not taken has a remark there, whatever language it is in.
func TestSkipped(t *testing.T) {
	for _, m := range newBench(config{Variants: []variant{{"sidekiq", 25, "sidekiq@25"}, {"python", 100, "python"}, {bare, 100, bare}}}).measures() {
		if m.Name != "recovery" {
			continue
		}
		for _, column := range m.Columns {
			var remark rig.Remark
			if _, err := m.Run(t.Context(), column, rig.Broker{}); !errors.As(err, &remark) || !strings.Contains(string(remark), "gone when it is killed") {
				t.Errorf("%s: %v", column, err)
			}
		}
	}
	if err := skipped(alone, "recovery"); err != nil {
		t.Errorf("%s: %v", alone, err)
	}
	if why := (inGo{lame{}, rig.Redis}).Skips("delayed"); why != "too slow" {
		t.Errorf("an adapter's word: %q", why)
	}
}

// lame is an adapter that cannot do all.
type lame struct{ rmqSystem }

func (lame) Skips(string) string { return "too slow" }

// TestEveryMeasure runs the program, small, against each adapter.
func TestEveryMeasure(t *testing.T) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("no redis-server on PATH")
	}
	if testing.Short() {
		t.Skip("takes half a minute a system")
	}
	var stdout, stderr bytes.Buffer
	dir := t.TempDir()
	code := parentMain(t.Context(), []string{"-n", "500", "-samples", "5", "-runs", "1", "-idle", "2s", "-patience", "2s", "-backlog", "1000", "-json", "-doc", dir}, &stdout, &stderr)
	if code != 0 {
		t.Fatalf("exit code %d\n%s\n%s", code, stdout.String(), stderr.String())
	}
	var rep rig.Report
	if err := json.Unmarshal(stdout.Bytes(), &rep); err != nil {
		t.Fatal(err)
	}
	cfg, err := parseFlags(nil, &stderr)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Backlog = 1000
	for _, m := range newBench(cfg).measures() {
		for _, column := range m.Columns {
			noDelays := slices.Contains([]string{"watermill", "rmq@30"}, column)
			if m.Name == "recovery" || noDelays && (m.Name == "delayed" || m.Name == "memory") {
				continue // what takes longer than it is given here, and what there is not
			}
			if !slices.ContainsFunc(rep.Summary, func(r rig.Row) bool { return r.Measure == m.Name && r.Systems[column].Runs == 1 }) {
				t.Errorf("no figure of %s for %s", m.Name, column)
			}
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "benchmarks.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\n## In short\n", "\n| drain | rate | jobs/s ↑ |", "\n| tidemill | working tree |", "\n### drain\n"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the document does not have %q", want)
		}
	}
	for _, plot := range []string{"concurrency", "load", "backlog"} {
		if !strings.Contains(string(text), plotsDir+"/"+plot+".svg") {
			t.Errorf("the document does not show %s.svg", plot)
		}
		if _, err := os.Stat(filepath.Join(dir, plotsDir, plot+".svg")); err != nil {
			t.Error(err)
		}
	}
}
