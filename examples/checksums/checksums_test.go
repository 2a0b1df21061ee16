package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/internal/redistest"
)

// TestRun runs run.sh on 1,000 real files, without and with a kill -9 half way.
func TestRun(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"whole", []string{"-n", "1000"}, "none is missing, 0 twice"},
		{"killed", []string{"-n", "1000", "-k"}, "none is missing, "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv := redistest.Server(t)
			cmd := exec.Command("./run.sh", tc.args...)
			cmd.Env = append(os.Environ(), "REDIS_URL="+srv.URL())
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "all 1000 checksums are those of sha256sum, "+tc.want) {
				t.Fatalf("%v\n%s", err, out)
			}
			if tc.name == "killed" && !strings.Contains(string(out), "killed the worker with -9") {
				t.Fatalf("the worker was not killed:\n%s", out)
			}
		})
	}
}
