//go:build unix && !linux

package execjob

import "syscall"

// wholeWrite is what an empty pipe takes at once or not at all: what POSIX promises.
const wholeWrite = 512

func newPipe(fds *[2]int) error {
	syscall.ForkLock.RLock() // no command may be started between the two
	defer syscall.ForkLock.RUnlock()
	if err := syscall.Pipe(fds[:]); err != nil {
		return err
	}
	syscall.CloseOnExec(fds[0])
	syscall.CloseOnExec(fds[1])
	return nil
}
