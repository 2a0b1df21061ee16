package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidemill/tidemill/queue"
)

// binary is the program under test; it is built with the race detector where the tests are.
var (
	binary      string
	raceEnabled bool
)

func TestMain(m *testing.M) {
	flag.Parse()
	given := func(name string) string { return flag.Lookup("test." + name).Value.String() }
	if given("fuzzworker") == "true" || given("fuzz") != "" && given("run") == "^$" {
		os.Exit(m.Run()) // fuzzing alone has no use for the program, and no time to build it
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "enqueue")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "enqueue")
		args := []string{"build", "-o", binary, "-ldflags", "-X github.com/tidemill/tidemill/internal/cli.version=v1.2.3-test"}
		if raceEnabled {
			args = append(args, "-race")
		}
		if out, err := exec.Command("go", append(args, ".")...).CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// call is one run of the program.
type call struct {
	url   string // as REDIS_URL, unless empty
	args  []string
	env   []string
	stdin io.Reader
}

type result struct {
	code           int
	stdout, stderr string
	state          *os.ProcessState
}

// endWithin is when a program that should have ended is killed.
const endWithin = 60 * time.Second

func (c call) command(ctx context.Context) *exec.Cmd {
	cmd := exec.CommandContext(ctx, binary, c.args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent",
		"GORACE=atexit_sleep_ms=0"}, c.env...) // the detector would hold every exit up for a second
	if c.url != "" {
		cmd.Env = append(cmd.Env, "REDIS_URL="+c.url)
	}
	return cmd
}

func (c call) run(t *testing.T) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), endWithin)
	defer cancel()
	cmd := c.command(ctx)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.stdin, &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String(), cmd.ProcessState}
}

// want fails the test unless code and stderr are as given.
func (r result) want(t *testing.T, code int, stderr string) {
	t.Helper()
	if r.code != code || r.stderr != stderr {
		t.Errorf("exit code %d, want %d; stderr:\n%s\nwant:\n%s\nstdout:\n%.500s", r.code, code, r.stderr, stderr, r.stdout)
	}
}

// running is a run whose input the test feeds.
type running struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout buffer
	stderr buffer
}

func (c call) start(t *testing.T) *running {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), endWithin)
	r := &running{t: t, cmd: c.command(ctx)}
	r.cmd.Stdout, r.cmd.Stderr = &r.stdout, &r.stderr
	var err error
	if r.stdin, err = r.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = r.cmd.Wait() })
	return r
}

func (r *running) write(text string) {
	r.t.Helper()
	if _, err := io.WriteString(r.stdin, text); err != nil {
		r.t.Fatal(err)
	}
}

func (r *running) signal(s os.Signal) {
	r.t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		r.t.Fatal(err)
	}
}

func (r *running) wait() result {
	_ = r.cmd.Wait() // the exit code tells
	return result{r.cmd.ProcessState.ExitCode(), r.stdout.String(), r.stderr.String(), r.cmd.ProcessState}
}

// buffer may be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func openQueue(t *testing.T, url string) *queue.Client {
	t.Helper()
	client, err := queue.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func ready(t *testing.T, client *queue.Client, name string) int {
	t.Helper()
	n, err := client.Counts(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return int(n.Ready)
}

func tempFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// lines are n jobs of kind noop, numbered from first.
func lines(first, n int) string {
	var b strings.Builder
	for i := first; i < first+n; i++ {
		fmt.Fprintf(&b, `{"kind":"noop","args":{"n":%d}}`+"\n", i)
	}
	return b.String()
}
