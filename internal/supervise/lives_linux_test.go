package supervise

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/internal/redistest"
)

// ownerEnv makes this test binary a worker that runs its value as a script, and waits to be killed.
const ownerEnv = "TIDEMILL_TEST_OWNER"

func init() { mains[ownerEnv] = beOwner }

// beOwner is such a worker's main.
func beOwner(script string) error {
	s, err := Start(context.Background(), zerolog.Nop())
	if err != nil {
		return err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	for range 3 {
		_, err := s.Start(Command{
			Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: []string{"PATH=" + os.Getenv("PATH")}, Dir: "/",
			Stdin: null, Stdout: null, Stderr: null,
		})
		if err != nil {
			return err
		}
	}
	fmt.Println(s.pid())
	select {}
}

// pid is that of the supervisor process.
func (s *Supervisor) pid() int { return s.engine.(*keeper).current().cmd.Process.Pid }

// everything is a script that leaves processes behind in all ways there are, and stays.
func everything(nap string) string {
	var all []string
	for _, script := range escapes {
		all = append(all, script)
	}
	slices.Sort(all)
	return strings.ReplaceAll(strings.Join(all, "\n")+"\ntrap '' TERM\nsleep NAP; sleep NAP", "NAP", nap)
}

// owner starts a worker process that runs a script three times; it answers the supervisor's pid too.
func owner(t *testing.T, script string) (worker *exec.Cmd, supervisor int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), ownerEnv+"="+script)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if _, err := fmt.Fscan(out, &supervisor); err != nil {
		t.Fatal(err)
	}
	return cmd, supervisor
}

// TestWorkerKilled kills a worker with -9: nothing that its commands started is left, and neither is its supervisor.
func TestWorkerKilled(t *testing.T) {
	n := nap(t)
	cmd, supervisor := owner(t, everything(n))
	redistest.WaitFor(t, time.Minute, func() bool { return len(with(n)) >= 3*30 }, "all processes of three commands")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	redistest.WaitFor(t, time.Minute, func() bool { return len(with(n)) == 0 }, "the end of every descendant")
	redistest.WaitFor(t, time.Minute, func() bool { return !alive(supervisor) }, "the end of the supervisor")
}

// TestTitle holds the name by which operators find a supervisor, in both forms of ps.
func TestTitle(t *testing.T) {
	s := started(t, zerolog.Nop())
	for _, file := range []string{"comm", "cmdline"} {
		text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(s.pid()), file))
		if err != nil || strings.Trim(string(text), "\n\x00") != "tm-supervisor" {
			t.Errorf("%s: %q, %v", file, text, err)
		}
	}
}

// TestBothKilled kills a supervisor whose worker is in no state to do anything: the kernel ends its commands.
func TestBothKilled(t *testing.T) {
	n := nap(t)
	cmd, supervisor := owner(t, "exec sleep "+n)
	redistest.WaitFor(t, time.Minute, func() bool { return len(sleeping(n)) == 3 }, "three commands")
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	redistest.WaitFor(t, time.Minute, func() bool { return stopped(cmd.Process.Pid) }, "the worker to stand still")
	if err := syscall.Kill(supervisor, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	redistest.WaitFor(t, time.Minute, func() bool { return len(with(n)) == 0 }, "the end of the commands")
}

// alive tells whether a process runs; a zombie does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	return err == nil && !bytes.Contains(stat, []byte(") Z "))
}

// TestSupervisorKilled kills the supervisor with -9: its commands are told to be lost, nothing of them is left, and another
// supervisor takes over.
func TestSupervisorKilled(t *testing.T) {
	var log lockedBuffer
	r := newRig(t, started(t, zerolog.New(&log)))
	n := nap(t)
	p := r.shell(strings.ReplaceAll(escapes["many"]+"\n"+escapes["ignores TERM"]+"\nsleep NAP", "NAP", n), nil, nil)
	redistest.WaitFor(t, time.Minute, func() bool { return len(with(n)) > 30 }, "the processes of the script")
	first := r.s.pid()
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if e := r.await(p); !errors.Is(e.Err, ErrLost) {
		t.Errorf("%+v, want %v", e, ErrLost)
	}
	if left := with(n); len(left) > 0 {
		t.Errorf("%d processes are left", len(left))
	}
	redistest.WaitFor(t, time.Minute, func() bool { return r.s.pid() != first }, "another supervisor")
	if said, e := r.output("echo on"); said != "on\n" || e.Code != 0 || e.Err != nil {
		t.Errorf("%q, %+v", said, e)
	}
	if text := log.String(); strings.Count(text, "is gone: their commands were killed") != 1 || !strings.Contains(text, "signal: killed") {
		t.Errorf("the log: %s", text)
	}
}

// lockedBuffer is a log.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestSupervisorIgnoresSignals sends the signals that end a worker; commands do not inherit that they are ignored.
func TestSupervisorIgnoresSignals(t *testing.T) {
	r := newRig(t, started(t, zerolog.Nop()))
	signals := []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGTSTP}
	for _, s := range signals {
		if err := syscall.Kill(r.s.pid(), s); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		if _, e := r.output(fmt.Sprintf("kill -%d $$; exit 1", int(s))); e.Signal != s {
			t.Errorf("signal %v: %+v", s, e)
		}
	}
	if said, _ := r.output(`read _ _ _ _ _ session _ </proc/$$/stat; [ $session = $$ ] && echo leader`); said != "leader\n" {
		t.Error("a command does not lead a session of its own")
	}
	if said, _ := r.output(`ls /proc/$$/fd; exit 0`); said != "0\n1\n2\n" {
		t.Errorf("a command has the files %q", said)
	}
}

// TestClose kills what runs, more than once without harm, and refuses more.
func TestClose(t *testing.T) {
	r := newRig(t, started(t, zerolog.Nop()))
	n, pid := nap(t), r.s.pid()
	p := r.shell(strings.ReplaceAll(escapes["many"]+"\nsleep NAP", "NAP", n), nil, nil)
	redistest.WaitFor(t, time.Minute, func() bool { return len(with(n)) > 20 }, "the processes of the script")
	r.s.Close()
	if left := with(n); len(left) > 0 || alive(pid) {
		t.Errorf("%d processes are left, the supervisor among them: %v", len(left), alive(pid))
	}
	if e := r.await(p); !errors.Is(e.Err, ErrClosed) {
		t.Errorf("%+v, want %v", e, ErrClosed)
	}
	p.Terminate() // says nothing
	r.s.Close()
	if _, err := r.s.Start(Command{Path: "/bin/true", Stdin: r.null, Stdout: r.null, Stderr: r.null}); !errors.Is(err, ErrClosed) {
		t.Errorf("%v, want %v", err, ErrClosed)
	}
}

// TestMainIsMissing starts a supervisor where main forgot to be one: it must not start itself over and over.
func TestMainIsMissing(t *testing.T) {
	t.Setenv(marker, "x")
	if _, err := Start(context.Background(), zerolog.Nop()); err == nil || !strings.Contains(err.Error(), "supervise.Main first") {
		t.Errorf("%v", err)
	}
}
