//go:build unix

package chaos

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// slot is a place where one process after another lives.
type slot struct {
	role role // of the next life

	mu     sync.Mutex
	now    *life // nil before the first
	over   bool  // nothing more is to start here
	fallen []string
}

// life is one process.
type life struct {
	name  string
	cmd   *exec.Cmd
	hold  io.WriteCloser // its stdin: held open, its end tells the process that we are gone
	says  *bufio.Reader  // its stdout
	said  bytes.Buffer   // on stderr; to be read once it is done
	done  chan struct{}
	meant bool // somebody ended it; the slot's mu guards it
}

// start begins the next life, unless one is there or none is wanted.
func (s *slot) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || s.now != nil && !s.now.ended() {
		return nil
	}
	s.role.Life++
	text, err := json.Marshal(s.role)
	if err != nil {
		return err
	}
	l := &life{name: s.role.process(), cmd: exec.Command(os.Args[0]), done: make(chan struct{})}
	l.cmd.Env = append(os.Environ(), childEnv+"="+string(text), "GOMAXPROCS=2")
	l.cmd.Stderr = &l.said
	l.cmd.SysProcAttr = childAttr()
	if l.hold, err = l.cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := l.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	l.says = bufio.NewReader(out)
	begun := make(chan error)
	go func() {
		defer close(l.done)
		defer l.hold.Close()
		// The kernel kills the process with the thread that forked it, so that thread stays as long (see childAttr).
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := l.cmd.Start()
		begun <- err
		if err == nil {
			_ = l.cmd.Wait() // its state tells
		}
	}()
	if err := <-begun; err != nil {
		return err
	}
	s.now = l
	go s.watch(l)
	return nil
}

// panicked is how Go ends a program that panics or deadlocks. No fault explains that, a SIGTERM under way neither.
const panicked = 2

// watch writes down a life that ended though nobody ended it, or that panicked while it was told to end. A producer that
// has done its work may end.
func (s *slot) watch(l *life) {
	<-l.done
	s.mu.Lock()
	defer s.mu.Unlock()
	state := l.cmd.ProcessState
	done := s.role.Role == roleProducer && state.Success()
	s.over = s.over || done
	if !l.meant && !done || state.ExitCode() == panicked {
		s.fallen = append(s.fallen, fmt.Sprintf("%s: %v: %s", l.name, state, head(l.said.String())))
	}
}

// head is the beginning of what a process said, where a panic names itself.
func head(text string) string {
	text = strings.TrimSpace(text)
	if len(text) > 600 {
		text = text[:600] + " …"
	}
	return text
}

func (l *life) ended() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// aim answers the life that a fault is to hit; nil is none. Ending says that it will end by it.
func (s *slot) aim(ending bool) *life {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == nil || s.now.ended() {
		return nil
	}
	s.now.meant = s.now.meant || ending
	return s.now
}

// signal sends a signal to a life, by its handle. One that has ended is left alone.
func (l *life) signal(sig syscall.Signal) error {
	if err := l.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// retire ends the slot: its process, if any, by a signal, and by SIGKILL when that does not help in time. It answers
// whether that was needed.
func (s *slot) retire(sig syscall.Signal, within time.Duration) (stubborn bool) {
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
	l := s.aim(true)
	if l == nil {
		return false
	}
	_ = l.signal(sig)
	_ = l.signal(syscall.SIGCONT)
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-l.done:
	case <-timer.C:
		_ = l.signal(syscall.SIGKILL)
		<-l.done
		return true
	}
	return false
}

// fell tells whether the slot stands empty, for its process ended by itself.
func (s *slot) fell() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.fallen) > 0 && s.now.ended()
}

// finished tells whether a producer has done all its work.
func (s *slot) finished() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over
}
