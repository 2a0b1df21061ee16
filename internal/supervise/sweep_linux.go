package supervise

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/tidemill/tidemill/internal/loop"
)

const (
	// sweepClean is how many rounds in a row must find nothing: a process shows no environment while it starts a program,
	// and so may hide from one.
	sweepClean = 4
	sweepPause = 5 * time.Millisecond
	// sweepWithin bounds a sweep that does not come to an end.
	sweepWithin = 5 * time.Second
)

// sweepToken kills what a supervisor that died left behind. The kernel has killed the commands' leaders with it; what they
// had started is known by its environment. Each round also catches what the one before had forked meanwhile, and waits for
// what was killed to be gone.
func sweepToken(proc, token string) {
	ctx, cancel := context.WithTimeout(context.Background(), sweepWithin)
	defer cancel()
	for clean := 0; clean < sweepClean; {
		if clean++; killMarked(proc, token) {
			clean = 0
		}
		if loop.Sleep(ctx, sweepPause) != nil {
			return
		}
	}
}

// killMarked kills the processes with a supervisor's mark, and tells whether there were any.
func killMarked(proc, token string) (found bool) {
	mark := []byte(tokenName + "=" + token + ".")
	inside := append([]byte{0}, mark...)
	for _, pid := range pids(proc) {
		env, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(pid), "environ"))
		if err == nil && (bytes.HasPrefix(env, mark) || bytes.Contains(env, inside)) {
			found = syscall.Kill(pid, syscall.SIGKILL) == nil || found
		}
	}
	return found
}
