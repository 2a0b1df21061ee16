package supervise

import (
	"errors"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// reaper waits for every child, commands and orphans, on the main thread. A command is told to have ended once nothing of
// it is left.
type reaper struct {
	*server
	proc string // where /proc is
	self int
	gone []*job // their leader has ended, not yet told
	tree tree
	all  map[int][]*orphan // every process by its parent, during a sweep on a kernel that does not list children
	out  []byte
}

// run returns nil when the worker is gone and so are all descendants.
func (r *reaper) run() error {
	for {
		pid, err := peek(0)
		switch {
		case errors.Is(err, unix.ECHILD):
			if r.finished() {
				return nil
			}
			<-r.forked
			continue
		case err != nil:
			return err
		}
		for n := 0; err == nil && pid != 0 && n < maxEvents; n++ {
			r.reap(pid)
			pid, err = peek(unix.WNOHANG)
		}
		r.settle()
		if err := r.flush(); err != nil && !r.left() {
			r.leave()
		}
	}
}

// left tells whether the worker is gone.
func (r *reaper) left() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closing
}

// finished tells whether the worker is gone and no child came after a peek that found none. None will come then: forks
// stays held.
func (r *reaper) finished() bool {
	if !r.left() {
		return false
	}
	r.forks.Lock()
	if _, err := peek(unix.WNOHANG); errors.Is(err, unix.ECHILD) {
		return true
	}
	r.forks.Unlock()
	return false
}

// peek answers a child that has ended, without reaping it; 0 if there is none yet, ECHILD without any child.
func peek(options int) (int, error) {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOWAIT|options, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		return pidOf(&info), err
	}
}

// pidOf is si_pid, which follows three ints and, on 64-bit machines, a gap.
func pidOf(info *unix.Siginfo) int {
	const offset = 12 + (unsafe.Sizeof(uintptr(0))-4)&4
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(info), offset)))
}

// reap ends a child that peek answered.
func (r *reaper) reap(pid int) {
	r.mu.Lock()
	j := r.byPid[pid]
	r.mu.Unlock()
	if j == nil {
		// An orphan, or a command that was forked a moment ago: then its forker holds forks.
		r.forks.Lock()
		defer r.forks.Unlock()
		r.mu.Lock()
		j = r.byPid[pid]
		r.mu.Unlock()
	}
	if j == nil {
		_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
		return
	}
	// The number is the group's as long as the leader is not reaped.
	_ = unix.Kill(-pid, unix.SIGKILL)
	r.mu.Lock()
	j.gone = true
	delete(r.byPid, pid)
	r.mu.Unlock()
	var status unix.WaitStatus
	var usage unix.Rusage
	_, _ = unix.Wait4(pid, &status, 0, &usage)
	j.event.status = uint32(status)
	j.event.cpu = micros(usage.Utime) + micros(usage.Stime)
	r.gone = append(r.gone, j)
}

func micros(t unix.Timeval) int64 { return int64(t.Sec)*1e6 + int64(t.Usec) }

// settle kills what ended commands left behind and tells of those that left nothing.
func (r *reaper) settle() {
	closing := r.left()
	if len(r.gone) == 0 && !closing {
		return
	}
	for _, j := range r.gone {
		j.held, j.event.left = 0, 0
	}
	if orphans() {
		r.sweep(closing)
	} else {
		r.tree = tree{}
	}
	rest := r.gone[:0]
	r.mu.Lock()
	for _, j := range r.gone {
		if j.held > 0 {
			rest = append(rest, j)
			continue
		}
		delete(r.byID, j.id)
		r.out = j.event.append(r.out)
	}
	r.mu.Unlock()
	clear(r.gone[len(rest):])
	r.gone = rest
}

// orphans tells whether there are any: the children of this, the main thread, which forks nothing. The kernel gives
// orphans to the first thread of a subreaper.
func orphans() bool {
	for {
		err := unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG|unix.WNOTHREAD, nil)
		if !errors.Is(err, unix.EINTR) {
			return !errors.Is(err, unix.ECHILD)
		}
	}
}

// flush tells the worker.
func (r *reaper) flush() error {
	for len(r.out) > 0 {
		n := min(len(r.out), maxEvents*eventSize)
		if err := r.send(r.out[:n]); err != nil {
			r.out = r.out[:0]
			return err
		}
		r.out = r.out[n:]
	}
	r.out = nil
	return nil
}

// sweep kills the orphans of ended commands, and what stands below them.
func (r *reaper) sweep(closing bool) {
	r.forks.Lock() // a new command must not be taken for an orphan before it is known
	defer r.forks.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tree = r.grow(r.tree)
	for _, p := range r.tree {
		if !closing && !p.doomed() {
			continue
		}
		err := syscall.Kill(p.pid, syscall.SIGKILL)
		for _, j := range p.owners {
			if errors.Is(err, syscall.EPERM) {
				j.event.left++
			} else {
				j.held++
			}
		}
	}
}
