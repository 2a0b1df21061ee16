package rig

import "syscall"

// dieWithParent puts a child in its own process group, out of reach of the
// terminal's Ctrl-C, and has the kernel kill it if this program dies.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
