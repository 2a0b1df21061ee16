package loop

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// exact is a timer of the kernel. The runtime waits for it as for a connection, which ends its sleep at once.
type exact struct {
	fd   int
	file *os.File
	done chan struct{}
}

// newExact answers nil where the kernel gives none, and in a synctest bubble, whose clock the kernel does not know.
func newExact(ring func()) *exact {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_REALTIME, &now) != nil || time.Since(time.Unix(now.Unix())).Abs() > time.Hour {
		return nil
	}
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil
	}
	e := &exact{fd: fd, file: os.NewFile(uintptr(fd), "timer"), done: make(chan struct{})}
	if e.file.SetReadDeadline(time.Time{}) != nil { // the runtime cannot wait for it
		e.file.Close()
		return nil
	}
	go func() {
		defer close(e.done)
		var count [8]byte
		for {
			if _, err := e.file.Read(count[:]); err != nil {
				return
			}
			ring()
		}
	}()
	return e
}

func (e *exact) set(d time.Duration) {
	_ = unix.TimerfdSettime(e.fd, 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}, nil)
}

func (e *exact) close() {
	e.file.Close()
	<-e.done
}
