//go:build unix

package execjob

import (
	"errors"
	"io"
	"os"
	"syscall"
	"time"
)

// end is our end of a pipe, not blocking.
type end int

const none end = -1

// patience is how long a command may go on before its output is read while it runs. Most commands end before, and what
// they said is in the pipes then: that saves two goroutines and their wake-ups.
const patience = 10 * time.Millisecond

// pipe makes a pipe; ours is the end that reads, or the one that writes. The other one blocks, as programs expect.
func pipe(reads bool) (end, *os.File, error) {
	var fds [2]int
	if err := newPipe(&fds); err != nil {
		return none, nil, os.NewSyscallError("pipe", err)
	}
	ours, theirs := fds[0], fds[1]
	if !reads {
		ours, theirs = theirs, ours
	}
	if err := syscall.SetNonblock(ours, true); err != nil {
		_ = syscall.Close(ours)
		_ = syscall.Close(theirs)
		return none, nil, os.NewSyscallError("fcntl", err)
	}
	return end(ours), os.NewFile(uintptr(theirs), "pipe"), nil
}

// close closes it, unless it was closed or became a file.
func (e *end) close() {
	if *e != none {
		_ = syscall.Close(int(*e))
		*e = none
	}
}

// file makes a file of it, which is to be closed instead.
func (e *end) file() *os.File {
	f := os.NewFile(uintptr(*e), "pipe")
	*e = none
	return f
}

// fill writes all at once; false where the pipe does not take it, which must not happen to a part.
func (e end) fill(b []byte) bool {
	for {
		n, err := syscall.Write(int(e), b)
		if err == syscall.EINTR {
			continue
		}
		return n == len(b) || errors.Is(err, syscall.EPIPE)
	}
}

// maxRest is more than a pipe holds.
const maxRest = 2 << 20

// rest reads what a pipe holds, without waiting for more.
func (e end) rest(to io.Writer, buffer []byte) {
	for total := 0; total < maxRest; {
		n, err := syscall.Read(int(e), buffer)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			return
		}
		_, _ = to.Write(buffer[:n])
		total += n
	}
}

func restOf(f *os.File, to io.Writer, buffer []byte) {
	if raw, err := f.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { end(fd).rest(to, buffer) })
	}
}

// awaitReaders has the readers take what there is, and end.
func (s *streams) awaitReaders() {
	past := time.Unix(1, 0)
	_ = s.outFile.SetReadDeadline(past)
	_ = s.errFile.SetReadDeadline(past)
	<-s.read
	<-s.read
}
