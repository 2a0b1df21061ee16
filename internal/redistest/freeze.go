package redistest

import (
	"os"
	"sync"
	"testing"

	"github.com/tidemill/tidemill/internal/redisserver"
)

// FreezeProcess stops a process of the test's (SIGSTOP) and returns when it is at
// a standstill, on Linux at least. thaw lets it go on (SIGCONT); the end of the
// test does so too, or the process would not hear that it shall end.
func FreezeProcess(t testing.TB, p *os.Process) (thaw func()) {
	t.Helper()
	if err := redisserver.FreezeProcess(p); err != nil {
		t.Fatalf("redistest: stop process %d: %v", p.Pid, err)
	}
	thaw = sync.OnceFunc(func() {
		// It fails only when the process has ended, killed meanwhile.
		_ = redisserver.ThawProcess(p)
	})
	t.Cleanup(thaw)
	return thaw
}
