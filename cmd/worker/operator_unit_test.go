package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/queue"
)

func TestParseMoment(t *testing.T) {
	now := time.Date(2027, 1, 31, 8, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		text string
		want string // empty: refused
	}{
		{"2h", "2027-01-31T06:00:00Z"}, {"+10m", "2027-01-31T08:10:00Z"}, {"3d", "2027-01-28T08:00:00Z"}, {"+1d", "2027-02-01T08:00:00Z"},
		{"0s", "2027-01-31T08:00:00Z"}, {"1h30m", "2027-01-31T06:30:00Z"}, {"2027-01-01T00:00:00+01:00", "2026-12-31T23:00:00Z"},
		{"1800000000", "2027-01-15T08:00:00Z"}, {"1800000000000", "2027-01-15T08:00:00Z"},
		{"", ""}, {"5", ""}, {"0", ""}, {"-2h", ""}, {"+-2h", ""}, {"+", ""}, {"d", ""}, {"-1d", ""}, {"99999d", ""}, {"tomorrow", ""}, {"2027-01-01", ""},
		{"-1800000000", ""}, {"99999999999999999999", ""},
	} {
		got, err := parseMoment(tt.text, now)
		if tt.want == "" {
			if err == nil {
				t.Errorf("%q is %v, want an error", tt.text, got)
			}
			continue
		}
		if err != nil || got.UTC().Format(time.RFC3339) != tt.want {
			t.Errorf("%q is %v, %v; want %s", tt.text, got, err, tt.want)
		}
	}
}

func TestCommandLine(t *testing.T) {
	root := &cobra.Command{Use: "worker"}
	root.PersistentFlags().String("redis", "", "")
	cmd := &cobra.Command{Use: "list", RunE: func(*cobra.Command, []string) error { return nil }}
	cmd.Flags().StringSlice("state", nil, "")
	cmd.Flags().StringArray("meta", nil, "")
	cmd.Flags().String("error", "", "")
	cmd.Flags().Bool("json", false, "")
	cmd.Flags().Bool("yes", false, "")
	root.AddCommand(cmd)
	root.SetArgs([]string{"list", "a", "--meta", "x=1,2", "--meta", "y=it's", "--error", "a b", "--json", "--yes=false", "--state", "dead,ready",
		"--redis", "redis://:secret@db/0"})
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	got := commandLine(cmd, []string{"q"}, []string{"state"}, "--state", "dead", "--error", "")
	want := `worker list q --error 'a b' --json --meta x=1,2 --meta 'y=it'\''s' --redis 'redis://:***@db/0' --yes=false --state dead --error ''`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestShortInstances(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"0197c1f0-5a3e", "0197c1f0"},
		{"0197c1f0-5a3e 1197c1f0-5a3e", "0197c1f0 1197c1f0"},
		{"0197c1f0-5a3e 0197c1f0-5b3e", "0197c1f0-5a 0197c1f0-5b"},
		{"short 0197c1f0-5a3e", "short 0197c1f0"},
		{"", ""},
	} {
		var list []queue.WorkerInfo
		for _, instance := range strings.Fields(tt.in) {
			list = append(list, queue.WorkerInfo{Instance: instance})
		}
		if got := strings.Join(shortInstances(list), " "); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.in, got, tt.want)
		}
	}
}

func TestMatching(t *testing.T) {
	all := []string{"0197c1f0-5a3e", "0197c1f0-5b3e", "a"}
	for _, tt := range []struct{ args, want, fault string }{
		{"0197c1f0-5a", "0197c1f0-5a3e", ""},
		{"A 0197C1F0-5B a", "a 0197c1f0-5b3e", ""},
		{"0197", "", `worker "0197" may be 0197c1f0-5a3e, 0197c1f0-5b3e: type more of it`},
		{"b", "", `no worker "b"; there are 0197c1f0-5a3e, 0197c1f0-5b3e, a`},
	} {
		got, err := matching(strings.Fields(tt.args), all)
		if strings.Join(got, " ") != tt.want || (err == nil) != (tt.fault == "") || err != nil && err.Error() != tt.fault {
			t.Errorf("%s: %q, %v", tt.args, got, err)
		}
	}
}

// The other binary is called as this one was, where it is beside it.
func TestCalledIn(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "enqueue"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for program, want := range map[string]string{"worker": "", "./worker": "./", dir + "/worker": dir + "/", "none/worker": ""} {
		if got, ok := calledIn(program); ok != (want != "") || ok && got != want {
			t.Errorf("%s: %q, %v; want %q", program, got, ok, want)
		}
	}
}

func TestGrouped(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000", -100: "-100"} {
		if got := grouped(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestListedNames(t *testing.T) {
	if got := listed(strings.Fields(strings.Repeat("q ", 23))); got != strings.Repeat("q, ", 19)+"q and 3 more" {
		t.Error(got)
	}
}

// The bar comes late, keeps within its guess and is wiped at the end.
func TestBulkBar(t *testing.T) {
	var out bytes.Buffer
	bar := &bulkBar{w: &out, began: time.Now()}
	bar.show(1, 10, 1)
	bar.end()
	if out.Len() != 0 {
		t.Errorf("quick work shows %q", out.String())
	}
	bar.began = time.Now().Add(-time.Minute)
	bar.show(5, 10, 2345)
	if text := out.String(); !strings.Contains(text, "2,345 match") || !strings.Contains(text, "50%") {
		t.Errorf("shows %q", text)
	}
	bar.show(20, 10, 2346) // more came than there were
	bar.end()
	if text := out.String(); strings.Contains(text, "100%") || strings.TrimRight(text, " \r") == text {
		t.Errorf("shows %q", text)
	}
	(*bulkBar)(nil).show(1, 2, 3)
	(*bulkBar)(nil).end()
}

func TestInStates(t *testing.T) {
	n := queue.Counts{Ready: 10, Suspect: 1, Scheduled: 20, Running: 30, Dead: 40, Finished: 50}
	for _, tt := range []struct {
		of   []queue.State
		want int64
	}{
		{[]queue.State{queue.Ready}, 9}, {[]queue.State{queue.Ready, queue.Suspect}, 10}, {[]queue.State{queue.Scheduled, queue.Running}, 50},
		{[]queue.State{queue.DeadState}, 40}, {[]queue.State{queue.Finished}, 50}, {nil, 0},
	} {
		if got := inStates(n, tt.of); got != tt.want {
			t.Errorf("%v: %d, want %d", tt.of, got, tt.want)
		}
	}
}
