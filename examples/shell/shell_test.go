//go:build unix

// Package shell_test runs the example as its README says, with the real binaries.
package shell_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
)

var bin string // the folder of the binaries

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "tidemill-shell-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "../../cmd/worker", "../../cmd/enqueue")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	bin = dir
	return m.Run()
}

// command is a line of the README, from the repository's top.
func command(t *testing.T, url, line string, args ...string) *exec.Cmd {
	t.Helper()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(readme, []byte("\n"+line)) {
		t.Errorf("the README does not say %q", line)
	}
	words := append(strings.Fields(line), args...)
	cmd := exec.Command(filepath.Join(bin, filepath.Base(words[0])), words[1:]...)
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "REDIS_URL=" + url}
	return cmd
}

func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%q: %v\n%s%s", cmd.Args, err, out, stderr.String())
	}
	return string(out)
}

func TestTwoMinutes(t *testing.T) {
	srv := redistest.Server(t)
	if said := output(t, command(t, srv.URL(), "bin/worker check -c examples/shell/worker.yaml")); !strings.Contains(said, "exec ./shout; 3 attempts") {
		t.Errorf("check says:\n%s", said)
	}
	worker := command(t, srv.URL(), "bin/worker run -c examples/shell/worker.yaml")
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	worker.Stderr = log
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- worker.Wait() }()
	t.Cleanup(func() { _ = worker.Process.Kill() })

	good := enqueue(t, srv.URL(), `{"text":"hello"}`)
	empty := enqueue(t, srv.URL(), `{}`)
	show := func(id string) string { return output(t, command(t, srv.URL(), "bin/worker jobs show default", id)) }
	redistest.WaitFor(t, time.Minute, func() bool {
		return strings.Contains(show(good), "succeeded") && strings.Contains(show(empty), "dead")
	}, "the jobs to end")
	if said := show(good); !strings.Contains(said, "HELLO") {
		t.Errorf("no result in:\n%s", said)
	}
	if said := show(empty); !strings.Contains(said, "nothing to shout") || strings.Contains(said, "attempt 2") {
		t.Errorf("not what the script said in:\n%s", said)
	}
	if err := worker.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the worker ended with %v", err)
	}
	text, err := os.ReadFile(log.Name())
	if err != nil || !bytes.Contains(text, []byte("attempt 1 at job "+good)) {
		t.Errorf("the worker's log lacks what the script said (%v):\n%s", err, text)
	}
}

// enqueue enqueues a job of the example's kind and answers its id. The README's line has these args as an example.
func enqueue(t *testing.T, url, args string) string {
	t.Helper()
	return strings.TrimSpace(output(t, command(t, url, "bin/enqueue shout.loud", args)))
}
