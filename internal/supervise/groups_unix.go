//go:build unix

package supervise

import (
	"os"
	"syscall"
)

const groupLimits = "exec handlers: on this system a command is killed with its process group only; what leaves the group " +
	"(setsid) stays, and so does everything when this process is killed with -9"

func groupAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// signalTree signals the group of a process that is not reaped.
func signalTree(p *os.Process, kill bool) {
	if kill {
		_ = syscall.Kill(-p.Pid, syscall.SIGKILL)
		return
	}
	_ = syscall.Kill(-p.Pid, syscall.SIGTERM)
	_ = syscall.Kill(-p.Pid, syscall.SIGCONT) // a stopped process would not see it
}

func signalOf(state *os.ProcessState) syscall.Signal {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return status.Signal()
	}
	return 0
}
