package supervise

import (
	"errors"
	"os"
	"os/exec"
	"sync"
)

// groups runs commands without a supervisor process: each in a process group of its own where there are such. What leaves
// its group is out of reach, and so is everything once this process is killed.
type groups struct {
	mu      sync.Mutex
	closed  bool
	running map[*Process]*os.Process
	all     sync.WaitGroup
}

func newGroups() *groups { return &groups{running: make(map[*Process]*os.Process)} }

func (g *groups) start(c Command) (*Process, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil, ErrClosed
	}
	cmd := &exec.Cmd{Path: c.Path, Args: c.Args, Env: c.Env, Dir: c.Dir, Stdin: c.Stdin, Stdout: c.Stdout, Stderr: c.Stderr, SysProcAttr: groupAttr()}
	if err := cmd.Start(); err != nil {
		return nil, startError(c.Path, c.Dir, bare(err))
	}
	p := &Process{done: make(chan struct{})}
	p.signal = func(kill bool) { g.signal(p, kill) }
	g.running[p] = cmd.Process
	g.all.Add(1)
	go g.wait(p, cmd)
	return p, nil
}

// bare is the system's own word in an error of package os.
func bare(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

func (g *groups) signal(p *Process, kill bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if process := g.running[p]; process != nil {
		signalTree(process, kill)
	}
}

func (g *groups) wait(p *Process, cmd *exec.Cmd) {
	defer g.all.Done()
	_ = cmd.Wait()
	g.mu.Lock()
	delete(g.running, p)
	signalTree(cmd.Process, true) // what is left of its group, which keeps the number as long as there is anything left
	g.mu.Unlock()
	exit := Exit{Code: cmd.ProcessState.ExitCode(), CPU: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
	exit.Signal = signalOf(cmd.ProcessState)
	p.end(exit)
}

func (g *groups) close() {
	g.mu.Lock()
	g.closed = true
	for _, process := range g.running {
		signalTree(process, true)
	}
	g.mu.Unlock()
	g.all.Wait()
}
