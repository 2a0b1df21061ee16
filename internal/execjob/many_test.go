package execjob

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
)

// TestAtOnce runs 200 attempts, 16 at a time, by one handler: each gets its own args back, and no file is left open.
func TestAtOnce(t *testing.T) {
	r := newRig(t)
	first := r.shell("cat; echo $TIDEMILL_JOB_ID >&2; exit $(($TIDEMILL_ATTEMPT - 1))")
	h := first.handler()
	if err := first.by(h); err != nil {
		t.Fatal(err)
	}
	before := openFiles(t)
	var next atomic.Int64
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for i := next.Add(1); i <= 200; i = next.Add(1) {
				a := *first
				a.info.ID, a.info.Attempt = uuid.New(), 1+int(i%3)
				a.args = fmt.Sprintf(`{"i":%d,"pad":"%0*d"}`, i, int(i)*100, 0)
				err := a.by(h)
				if i%3 == 0 && (err != nil || string(a.result) != a.args) {
					t.Errorf("%d: %v, %d bytes of %d", i, err, len(a.result), len(a.args))
				}
				if want := fmt.Sprintf("exit status %d: %v", i%3, a.info.ID); i%3 != 0 && (err == nil || err.Error() != want || a.output != a.info.ID.String()+"\n") {
					t.Errorf("%d: %v, want %s; kept %q", i, err, want, a.output)
				}
			}
		})
	}
	all.Wait()
	if after := openFiles(t); after != before {
		t.Errorf("%d files are open, %d before", after, before)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	if runtime.GOOS != "linux" {
		return 0
	}
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
