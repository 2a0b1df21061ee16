package supervise

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// helloWithin bounds how long a new supervisor may take to come up.
const helloWithin = 10 * time.Second

// link is the worker's end of one life of a supervisor process.
type link struct {
	conn  *net.UnixConn
	cmd   *exec.Cmd
	token string
	over  chan struct{} // closed once the process is reaped and every command of it told to have ended

	mu      sync.Mutex
	last    uint64
	running map[uint64]*Process
	ended   error // why there are no more starts
}

// title is what ps calls a supervisor, with its arguments and without: at most 15 bytes.
const title = "tm-supervisor"

// dial starts a supervisor process and waits until it is up.
func dial(ctx context.Context) (*link, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "supervisor"), os.NewFile(uintptr(pair[1]), "worker")
	defer ours.Close()
	defer theirs.Close()
	c, err := net.FileConn(ours)
	if err != nil {
		return nil, err
	}
	conn := c.(*net.UnixConn)
	_ = conn.SetWriteBuffer(4 * maxMessage) // else a burst of starts waits more often, nothing worse
	l := &link{conn: conn, token: newToken(), over: make(chan struct{}), running: make(map[uint64]*Process)}
	// Not the path of the binary, which an upgrade may have replaced meanwhile.
	l.cmd = &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{title}, Dir: "/", Env: l.environment(),
		Stderr: os.Stderr, ExtraFiles: []*os.File{theirs}, SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	if err := l.cmd.Start(); err != nil {
		conn.Close()
		return nil, err
	}
	theirs.Close()
	if err := l.hello(ctx); err != nil {
		conn.Close()
		_ = l.cmd.Process.Kill()
		_ = l.cmd.Wait()
		return nil, err
	}
	go l.read()
	return l, nil
}

func newToken() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}

// environment is the supervisor's: the marker, and what this process needs to be known by if it is itself supervised.
func (l *link) environment() []string {
	env := []string{marker + "=" + l.token}
	for _, name := range []string{tokenName, "GOCOVERDIR", "GORACE", "GOTRACEBACK"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

func (l *link) hello(ctx context.Context) error {
	_ = l.conn.SetReadDeadline(time.Now().Add(helloWithin))
	defer context.AfterFunc(ctx, func() { _ = l.conn.SetReadDeadline(time.Unix(1, 0)) })()
	var b [1]byte
	if _, err := l.conn.Read(b[:]); err != nil || b[0] != opHello {
		return fmt.Errorf("the supervisor process did not come up: %w", errors.Join(context.Cause(ctx), err, errNoHello(b[0])))
	}
	return l.conn.SetReadDeadline(time.Time{})
}

func errNoHello(said byte) error {
	if said == 0 {
		return nil
	}
	return errMessage
}

// read tells the ends of commands until the supervisor is gone, and what that means for the rest.
func (l *link) read() {
	buffer := make([]byte, maxEvents*eventSize)
	for {
		n, err := l.conn.Read(buffer)
		if err != nil || n == 0 || events(buffer[:n], l.told) != nil {
			break
		}
	}
	l.conn.Close() // at its end of the socket a supervisor that lives kills what it has, and goes
	stuck := time.AfterFunc(leaveWithin+time.Second, func() { _ = l.cmd.Process.Kill() })
	_ = l.cmd.Wait()
	stuck.Stop()
	sweepToken("/proc", l.token)
	l.mu.Lock()
	if l.ended == nil {
		l.ended = ErrLost
	}
	rest, why := l.running, l.ended
	l.running = nil
	l.mu.Unlock()
	for _, p := range rest {
		p.end(Exit{Err: why})
	}
	close(l.over)
}

// told is the end of one command.
func (l *link) told(e event) {
	l.mu.Lock()
	p := l.running[e.id]
	delete(l.running, e.id)
	l.mu.Unlock()
	if p == nil {
		return
	}
	if e.errno != 0 {
		p.end(Exit{Err: startError(p.path, p.dir, e.errno)})
		return
	}
	status := syscall.WaitStatus(e.status)
	exit := Exit{Code: status.ExitStatus(), CPU: time.Duration(e.cpu) * time.Microsecond, Left: int(e.left)}
	if status.Signaled() {
		exit.Signal = status.Signal()
	}
	p.end(exit)
}

var packets = sync.Pool{New: func() any { return new([]byte) }}

func (l *link) start(c Command) (*Process, error) {
	for _, list := range [][]string{{c.Path, c.Dir}, c.Args, c.Env} {
		for _, text := range list {
			if strings.IndexByte(text, 0) >= 0 {
				return nil, fmt.Errorf("start %s: %w: a NUL byte in args or environment", c.Path, syscall.EINVAL)
			}
		}
	}
	l.mu.Lock()
	if l.ended != nil {
		l.mu.Unlock()
		return nil, l.ended
	}
	l.last++
	id := l.last
	p := &Process{path: c.Path, dir: c.Dir, done: make(chan struct{})}
	p.signal = func(kill bool) { l.signal(id, kill) }
	l.running[id] = p
	l.mu.Unlock()

	packet := packets.Get().(*[]byte)
	defer packets.Put(packet)
	var err error
	if *packet, err = appendStart((*packet)[:0], id, &c); err == nil {
		rights := unix.UnixRights(int(c.Stdin.Fd()), int(c.Stdout.Fd()), int(c.Stderr.Fd()))
		if _, _, e := l.conn.WriteMsgUnix(*packet, rights, nil); e != nil {
			err = errors.Join(ErrLost, e)
		}
	}
	if err != nil {
		l.mu.Lock()
		delete(l.running, id)
		l.mu.Unlock()
		return nil, err
	}
	return p, nil
}

// signal passes a signal on; a supervisor that is gone has killed the command anyway.
func (l *link) signal(id uint64, kill bool) {
	op := byte(opTerminate)
	if kill {
		op = opKill
	}
	_, _ = l.conn.Write(appendSignal(nil, op, id))
}

// close ends the supervisor and what it runs.
func (l *link) close() {
	l.mu.Lock()
	if l.ended == nil {
		l.ended = ErrClosed
	}
	l.mu.Unlock()
	_ = l.conn.SetReadDeadline(time.Unix(1, 0)) // read closes it
	<-l.over
}
