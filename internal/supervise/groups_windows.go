package supervise

import (
	"os"
	"syscall"
)

const groupLimits = "exec handlers: on Windows a command is ended by TerminateProcess, without a chance to clean up, and the " +
	"processes it started stay"

func groupAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// signalTree ends a process: there is nothing softer.
func signalTree(p *os.Process, _ bool) { _ = p.Kill() }

func signalOf(*os.ProcessState) syscall.Signal { return 0 }
