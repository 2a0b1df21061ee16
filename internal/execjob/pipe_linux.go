package execjob

import "syscall"

// wholeWrite is what an empty pipe takes at once or not at all: a page.
const wholeWrite = 4096

func newPipe(fds *[2]int) error { return syscall.Pipe2(fds[:], syscall.O_CLOEXEC) }
