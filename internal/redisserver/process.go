package redisserver

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"
)

// pipeGrace bounds how long the end of the process waits for its log pipe,
// which a rewrite child that outlives a killed server may hold open.
const pipeGrace = 500 * time.Millisecond

// process is one life of the server, from fork to reaping.
type process struct {
	cmd  *exec.Cmd
	log  *tail
	done chan struct{} // closed once the process is reaped

	mu     sync.Mutex
	frozen bool
}

// spawn forks the server and hands it its configuration on standard input. The
// caller owns the process from then on and must see to it that it ends.
func spawn(o Options, port int) (*process, error) {
	dir, tempDir := o.Dir, ""
	if dir == "" {
		var err error
		if tempDir, err = os.MkdirTemp("", "tidemill-redis-"); err != nil {
			return nil, fmt.Errorf("redisserver: working folder: %w", err)
		}
		dir = tempDir
	}
	p := &process{log: &tail{next: o.Log}, done: make(chan struct{})}
	p.cmd = exec.Command(o.Binary, "-")
	p.cmd.Stdin = strings.NewReader(o.config(port, dir))
	if o.Sentinel { // it writes to its configuration, and takes none without a file
		path := filepath.Join(dir, "sentinel.conf")
		if err := os.WriteFile(path, []byte(o.config(port, dir)), 0o600); err != nil {
			return nil, fmt.Errorf("redisserver: configuration: %w", err)
		}
		p.cmd = exec.Command(o.Binary, path, "--sentinel")
	}
	p.cmd.Stdout = p.log
	p.cmd.Stderr = p.log
	p.cmd.WaitDelay = pipeGrace
	p.cmd.SysProcAttr = childAttr()

	started := make(chan error)
	go p.live(started, tempDir)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("redisserver: start %s: %w", o.Binary, err)
	}
	return p, nil
}

// live forks, and stays until the process has ended. On Linux the signal that
// kills the child with its parent is tied to the *thread* that forked, not to
// the process, so that thread must live exactly as long as the child does: the
// goroutine keeps it locked until the child is reaped.
func (p *process) live(started chan<- error, tempDir string) {
	defer close(p.done) // last, when nothing of this life is left
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if tempDir != "" {
		defer os.RemoveAll(tempDir)
	}
	if err := p.cmd.Start(); err != nil {
		started <- err
		return
	}
	started <- nil
	// The exit status is no news: the log tail tells why a server ended.
	_ = p.cmd.Wait()
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// kill ends the process at once and returns when it is reaped. Signals go
// through os.Process, which refuses to signal a process already reaped, so a
// recycled pid is never hit.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// setFrozen stops or continues the process; a repeated call does nothing.
func (p *process) setFrozen(frozen bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended() {
		return os.ErrProcessDone
	}
	if p.frozen == frozen {
		return nil
	}
	step := ThawProcess
	if frozen {
		step = FreezeProcess
	}
	if err := step(p.cmd.Process); err != nil {
		return err
	}
	p.frozen = frozen
	return nil
}
