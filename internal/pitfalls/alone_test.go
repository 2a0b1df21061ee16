package pitfalls

import (
	"flag"
	"os"
	"os/exec"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// aloneEnv names the test that a process is for.
const aloneEnv = "TIDEMILL_TEST_PITFALL_ALONE"

// alone runs a test in a process of its own, beside other tests: what it measures, memory above all, is its own then, and a
// goroutine that outlives it fails it. It answers true in that process.
func alone(t *testing.T) bool {
	t.Helper()
	if os.Getenv(aloneEnv) == t.Name() {
		if err := goleak.Find(goleak.IgnoreCurrent()); err != nil {
			t.Fatal(err)
		}
		before := goleak.IgnoreCurrent()
		t.Cleanup(func() { // the first to be registered is the last to run
			if err := goleak.Find(before); err != nil {
				t.Error(err)
			}
		})
		return true
	}
	t.Parallel()
	args := []string{"-test.run=^" + t.Name() + "$", "-test.v", "-test.count=1"}
	flag.Visit(func(f *flag.Flag) {
		if !strings.HasPrefix(f.Name, "test.") {
			args = append(args, "-"+f.Name+"="+f.Value.String())
		}
	})
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), aloneEnv+"="+t.Name())
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, said)
	} else if strings.Contains(string(said), "no tests to run") {
		t.Errorf("nothing ran:\n%s", said)
	} else {
		t.Logf("in a process of its own:\n%s", said)
	}
	return false
}
