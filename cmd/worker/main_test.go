package main_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// The binaries that the tests run, built once.
var workerPath, enqueuePath string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "tidemill-worker-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "../worker", "../enqueue")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	workerPath, enqueuePath = filepath.Join(dir, "worker"), filepath.Join(dir, "enqueue")
	return m.Run()
}

const (
	// soon is what a loaded machine gets for things that take ms.
	soon = time.Minute
	// moment is how long a test watches that something does not happen.
	moment = 300 * time.Millisecond
)

// output is what a process printed so far.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// process is a binary that runs.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	out    output // stdout
	err    output // stderr
	exited chan struct{}
}

// environment is all that the binaries see: nothing of the machine's settings.
func environment(t *testing.T, extra ...string) []string {
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "XDG_STATE_HOME=" + t.TempDir()}
	return append(env, extra...)
}

// start runs a binary with further environment in the form NAME=value.
func start(t *testing.T, env []string, path string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(path, args...), exited: make(chan struct{})}
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = environment(t, env...), &p.out, &p.err
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.exited)
		_ = p.cmd.Wait() // code tells
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.exited
		if t.Failed() {
			t.Logf("%s %q\nstdout:\n%s\nstderr:\n%s", filepath.Base(path), args, p.out.String(), p.err.String())
		}
	})
	return p
}

// run runs a binary to its end.
func run(t *testing.T, env []string, path string, args ...string) *process {
	t.Helper()
	p := start(t, env, path, args...)
	p.code()
	return p
}

// code waits for the end and answers the exit code.
func (p *process) code() int {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(soon):
		p.t.Fatalf("%q does not end", p.cmd.Args)
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) wantCode(want int) {
	p.t.Helper()
	if got := p.code(); got != want {
		p.t.Fatalf("exit code %d, want %d", got, want)
	}
}

// says waits until a text was printed.
func (p *process) says(o *output, text string) {
	p.t.Helper()
	redistest.WaitFor(p.t, soon, func() bool { return strings.Contains(o.String(), text) || p.ended() }, text)
	if !strings.Contains(o.String(), text) {
		p.t.Fatalf("ended without saying %q", text)
	}
}

func (p *process) ended() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// staysFor fails the test when the process ends within d.
func (p *process) staysFor(d time.Duration) {
	p.t.Helper()
	select {
	case <-p.exited:
		p.t.Fatalf("ended, exit code %d", p.cmd.ProcessState.ExitCode())
	case <-time.After(d):
	}
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// open connects to a server for as long as the test runs.
func open(t *testing.T, url string) *queue.Client {
	t.Helper()
	client, err := queue.Open(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func enqueue(t *testing.T, client *queue.Client, kind, args string, options ...queue.Option) string {
	t.Helper()
	id, err := client.Enqueue(context.Background(), queue.Raw{Name: kind, Payload: []byte(args)}, options...)
	if err != nil {
		t.Fatal(err)
	}
	return id.String()
}

func counts(t *testing.T, client *queue.Client, name string) queue.Counts {
	t.Helper()
	n, err := client.Counts(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// debug makes the worker tell when its handlers start.
var debug = []string{"LOG_LEVEL=debug"}

// sleeps waits until the handler of a job of the kind sleep was called. The job counts as running a moment before, when
// it is claimed, and a worker that is told to stop then gives it back.
func (p *process) sleeps() {
	p.t.Helper()
	p.says(&p.err, "sleeping")
}

// runs waits until so many jobs of the default queue are claimed.
func runs(t *testing.T, client *queue.Client, want int64) {
	t.Helper()
	redistest.WaitFor(t, soon, func() bool { return counts(t, client, queue.DefaultQueue).Running == want }, "running jobs")
}

func get(t *testing.T, client *queue.Client, id string) *queue.Snapshot {
	t.Helper()
	s, err := client.Get(context.Background(), queue.DefaultQueue, id)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
