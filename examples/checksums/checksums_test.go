package main

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/internal/redistest"
)

// TestRun runs run.sh on real files, without and with a kill -9 half way, by the Go handler and by sha256sum.
func TestRun(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"whole", []string{"-n", "1000"}, "none is missing, 0 twice"},
		{"killed", []string{"-n", "3000", "-k"}, "none is missing, "},
		{"exec killed", []string{"-n", "200", "-s", "-k"}, "none is missing, "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel() // those that are killed mostly wait for the session to expire
			srv := redistest.Server(t)
			cmd := exec.Command("./run.sh", tc.args...)
			cmd.Env = append(os.Environ(), "REDIS_URL="+srv.URL())
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "all "+tc.args[1]+" checksums are those of sha256sum, "+tc.want) {
				t.Fatalf("%v\n%s", err, out)
			}
			if slices.Contains(tc.args, "-k") && !strings.Contains(string(out), "killed the worker with -9") {
				t.Fatalf("the worker was not killed:\n%s", out)
			}
		})
	}
}
