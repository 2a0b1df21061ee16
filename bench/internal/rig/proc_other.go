//go:build unix && !linux

package rig

import "syscall"

// dieWithParent puts a child in its own process group, out of reach of the
// terminal's Ctrl-C. Only Linux can also tie its life to this program's.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
