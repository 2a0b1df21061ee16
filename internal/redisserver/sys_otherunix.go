//go:build unix && !linux

package redisserver

import (
	"os"
	"syscall"
)

// childAttr puts the server in a process group of its own, so that a Ctrl-C in
// the terminal reaches it only through us. No kernel but Linux's kills a child
// with its parent: there the owner must call Stop.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// awaitStopped has nothing portable to ask; the stop follows within moments.
func awaitStopped(*os.Process) {}
