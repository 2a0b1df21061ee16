package chaos

import "syscall"

// childAttr has the kernel kill a process when the thread that forked it ends: also one that is stopped, which could
// not notice that its parent is gone.
func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
