//go:build unix && !linux

package chaos

import "syscall"

// childAttr asks for nothing: no kernel but Linux's kills a process with its parent.
func childAttr() *syscall.SysProcAttr { return nil }
