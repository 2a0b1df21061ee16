package redisserver

import (
	"bytes"
	"fmt"
	"os"
	"syscall"
	"time"
)

// childAttr puts the server in a process group of its own, so that a Ctrl-C in
// the terminal reaches it only through us, and has the kernel kill it when the
// thread that forked it ends (see process.live).
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// awaitStopped returns when the kernel reports the process as stopped: a signal
// is only queued when kill(2) returns, and the server may serve another command
// before it takes effect.
func awaitStopped(p *os.Process) {
	tick := time.NewTicker(200 * time.Microsecond)
	defer tick.Stop()
	for range 5000 { // a second; by then the process is gone or hung in the kernel
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Pid))
		if err != nil {
			return
		}
		// The state follows the name, which is in parentheses and may hold any byte.
		if _, state, ok := bytes.Cut(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" ")); !ok || state[0] == 'T' {
			return
		}
		<-tick.C
	}
}
