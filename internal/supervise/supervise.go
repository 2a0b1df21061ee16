package supervise

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
)

// Errors of a command, beside those of the system.
var (
	// ErrLost: the supervisor process is gone, and the command with it. How far it came is not known; a new supervisor is
	// on its way.
	ErrLost = errors.New("the supervisor process is gone, its commands were killed")
	// ErrClosed: the Supervisor was closed.
	ErrClosed = errors.New("the supervisor is closed, its commands were killed")
)

// Command is what to start. Nothing of it is interpreted: no shell, no PATH.
type Command struct {
	Path string   // of the program, absolute
	Args []string // argv, the program's name first
	Env  []string // the whole environment, NAME=value; the supervisor adds TIDEMILL_SUPERVISED on Linux
	Dir  string   // working folder, absolute
	// The standard streams. They stay the caller's, who closes its copies once Start has returned.
	Stdin, Stdout, Stderr *os.File
}

// Exit is what became of a command.
type Exit struct {
	// Err tells that the command did not start, or that its end was not seen (ErrLost, ErrClosed); the rest is zero then.
	Err error
	// Code is the exit status, -1 for a command that was ended by Signal.
	Code   int
	Signal syscall.Signal
	// CPU is the processor time of the first process and of those children it waited for.
	CPU time.Duration
	// Left counts descendants that could not be killed: they run as another user.
	Left int
}

// Process is a command under way. Safe for concurrent use.
type Process struct {
	path, dir string
	signal    func(kill bool)
	done      chan struct{}
	exit      Exit
}

// Done is closed when the command has ended and none of its descendants is left.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exit is what became of the command, once Done is closed.
func (p *Process) Exit() Exit { return p.exit }

// Terminate asks the command's process group to end (SIGTERM; on Windows it is killed).
func (p *Process) Terminate() { p.signal(false) }

// Kill ends the command, and with it every descendant.
func (p *Process) Kill() { p.signal(true) }

// end tells the outcome, once.
func (p *Process) end(e Exit) {
	p.exit = e
	close(p.done)
}

// engine is one way to run commands.
type engine interface {
	start(c Command) (*Process, error)
	close()
}

// Supervisor starts commands. Safe for concurrent use.
type Supervisor struct {
	engine engine
	limits string
	once   sync.Once
}

// Limits says in words what this system cannot do; empty on Linux.
func (s *Supervisor) Limits() string { return s.limits }

// Start starts a command. A command that cannot be started says so here or in its Exit.
func (s *Supervisor) Start(c Command) (*Process, error) { return s.engine.start(c) }

// Close kills every command and returns when none is left. It may be called more than once.
func (s *Supervisor) Close() { s.once.Do(s.engine.close) }

// startError says why a command did not start. The system's word alone often names the wrong thing: a script whose
// interpreter is missing is "no such file" too.
func startError(path, dir string, err error) error {
	hint := ""
	if info, e := os.Stat(dir); dir != "" && (e != nil || !info.IsDir()) {
		return fmt.Errorf("start %s: its working folder %s: %w", path, dir, err)
	}
	switch _, missing := os.Stat(path); {
	case errors.Is(err, syscall.ENOENT) && missing == nil:
		hint = " (the file is there: the interpreter its #! line names is not, or the line ends in CR LF)"
	case errors.Is(err, syscall.ENOEXEC):
		hint = " (a script needs a first line such as #!/bin/sh)"
	}
	return fmt.Errorf("start %s: %w%s", path, err, hint)
}
