package redisserver

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// childAttr puts the server in a process group of its own, so that a Ctrl-C in
// the console reaches it only through us.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

var errFreeze = fmt.Errorf("redisserver: stopping a process on windows: %w", errors.ErrUnsupported)

// FreezeProcess is not to be had.
func FreezeProcess(*os.Process) error { return errFreeze }

// ThawProcess is not to be had.
func ThawProcess(*os.Process) error { return errFreeze }

// terminate kills: Windows has no signal that asks another process to end.
func terminate(p *os.Process) error { return p.Kill() }
