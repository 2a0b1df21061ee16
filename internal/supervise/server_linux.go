package supervise

import (
	"errors"
	"math"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// marker is the environment variable that makes this binary a supervisor. Its value is the token of this life.
const marker = "TIDEMILL_SUPERVISOR"

// tokenName is the variable by which a command's descendants are known wherever they went: <token>.<id>.
const tokenName = "TIDEMILL_SUPERVISED"

// socketFD is where the supervisor finds its socket.
const socketFD = 3

// leaveWithin bounds how long a supervisor stays whose descendants cannot be killed.
const leaveWithin = 10 * time.Second

func init() {
	if os.Getenv(marker) != "" {
		// The main thread forks nothing, so its children are orphans, and nothing but orphans: see tree.go.
		runtime.LockOSThread()
	}
}

// Main must be called first in main, and in TestMain: it answers true when this process was a supervisor and has done its
// work, so that main must return. In any other process it answers false at once.
func Main() bool {
	token := os.Getenv(marker)
	if token == "" {
		return false
	}
	s := &server{token: token, byID: make(map[uint64]*job), byPid: make(map[int]*job), forked: make(chan struct{}, 1)}
	if err := s.run(); err != nil {
		_, _ = os.Stderr.WriteString("tidemill supervisor: " + err.Error() + "\n")
		os.Exit(1)
	}
	return true
}

// server is the supervisor process. Its threads: the main one reaps and never forks; the others take turns in receiving
// requests and fork.
type server struct {
	token string
	turn  sync.Mutex // its holder receives the next request, so that requests are seen in their order

	// forks is held for reading from before a fork until the new process is in byPid.
	forks sync.RWMutex

	mu      sync.Mutex // guards what follows and the jobs in it
	byID    map[uint64]*job
	byPid   map[int]*job // by the leader, until it is reaped
	closing bool         // the worker is gone

	forked chan struct{} // wakes a reaper that has no children
}

// job is a command from its request until none of its processes is left.
type job struct {
	id    uint64
	pid   int
	early byte // opTerminate or opKill came while the command was being started
	gone  bool // the leader has ended
	held  int  // processes of an ended job that are still to go
	event event
}

func (s *server) run() error {
	// Commands get their three streams and no other file, whatever this process was given.
	if unix.CloseRange(socketFD, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC) != nil { // a kernel before 5.11
		syscall.CloseOnExec(socketFD)
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl PR_SET_CHILD_SUBREAPER", err)
	}
	if name, err := unix.BytePtrFromString(title); err == nil { // else ps would call it exe
		_ = unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(name)), 0, 0, 0)
	}
	// Caught, not ignored: what is ignored would stay so in the commands.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGTSTP,
		syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGPIPE, syscall.SIGUSR1, syscall.SIGUSR2)
	if err := s.send([]byte{opHello}); err != nil {
		return err
	}
	for range max(4, min(runtime.NumCPU(), 16)) {
		go s.forker()
	}
	return (&reaper{server: s, proc: "/proc", self: os.Getpid()}).run()
}

// send writes a packet to the worker; it waits while that does not read.
func (s *server) send(packet []byte) error {
	for {
		err := unix.Sendto(socketFD, packet, unix.MSG_NOSIGNAL, nil)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// forker receives and serves requests on a thread of its own. The kernel kills a command when the thread that forked it
// ends, which this one does with the process only.
func (s *server) forker() {
	runtime.LockOSThread()
	buffer, control := make([]byte, maxMessage), make([]byte, unix.CmsgSpace(16*4))
	for {
		s.turn.Lock()
		r, fds, err := receive(buffer, control)
		if err != nil {
			s.leave() // and keep the turn: there is nothing left to receive
			select {}
		}
		j := s.accept(r)
		s.turn.Unlock()
		if r.op == opStart {
			s.fork(j, &r.command, fds)
		}
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	}
}

// receive waits for the next request; an error means that there will be none.
func receive(buffer, control []byte) (request, []int, error) {
	for {
		n, cn, _, _, err := unix.Recvmsg(socketFD, buffer, control, unix.MSG_CMSG_CLOEXEC)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			return request{}, nil, errors.Join(err, errMessage)
		}
		fds := descriptors(control[:cn])
		r, err := parseRequest(buffer[:n])
		return r, fds, err
	}
}

func descriptors(control []byte) []int {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil || len(messages) == 0 {
		return nil
	}
	fds, _ := unix.ParseUnixRights(&messages[0])
	return fds
}

// accept notes a start, so that a signal that follows finds it, and passes a signal on.
func (s *server) accept(r request) *job {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.byID[r.id]
	switch {
	case r.op == opStart:
		j = &job{id: r.id, event: event{id: r.id}}
		s.byID[r.id] = j
	case j == nil || j.gone: // it has ended meanwhile
	case j.pid == 0:
		if j.early != opKill {
			j.early = r.op
		}
	default:
		signalGroup(j.pid, r.op == opKill)
	}
	return j
}

// signalGroup signals the group of a leader that is not reaped, so the number is still its own.
func signalGroup(pid int, kill bool) {
	if kill {
		_ = unix.Kill(-pid, unix.SIGKILL)
		return
	}
	_ = unix.Kill(-pid, unix.SIGTERM)
	_ = unix.Kill(-pid, unix.SIGCONT) // a stopped process would not see it
}

// fork starts a job's command in a session of its own.
func (s *server) fork(j *job, c *Command, fds []int) {
	err := error(unix.EMFILE) // what else keeps descriptors from arriving
	pid := 0
	if len(fds) == 3 {
		env := append(make([]string, 0, len(c.Env)+1), tokenName+"="+s.token+"."+strconv.FormatUint(j.id, 10))
		attr := syscall.ProcAttr{
			Dir: c.Dir, Env: append(env, c.Env...), Files: []uintptr{uintptr(fds[0]), uintptr(fds[1]), uintptr(fds[2])},
			Sys: &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL},
		}
		s.forks.RLock()
		defer s.forks.RUnlock()
		pid, err = syscall.ForkExec(c.Path, c.Args, &attr)
	}
	s.mu.Lock()
	if err != nil {
		delete(s.byID, j.id)
		s.mu.Unlock()
		if !errors.As(err, &j.event.errno) {
			j.event.errno = syscall.EINVAL // a NUL in a string
		}
		_ = s.send(j.event.append(nil)) // a worker that is gone is noticed by who receives
		return
	}
	j.pid = pid
	s.byPid[pid] = j
	if j.early > 0 || s.closing {
		signalGroup(pid, j.early == opKill || s.closing)
	}
	s.mu.Unlock()
	select {
	case s.forked <- struct{}{}:
	default:
	}
}

// leave kills everything, because the worker is gone, and sees to it that this process ends.
func (s *server) leave() {
	s.mu.Lock()
	s.closing = true
	for pid := range s.byPid {
		signalGroup(pid, true)
	}
	s.mu.Unlock()
	select {
	case s.forked <- struct{}{}:
	default:
	}
	time.AfterFunc(leaveWithin, func() { os.Exit(1) })
}
