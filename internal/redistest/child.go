package redistest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// ChildMain makes this process, where StartChild started it under the same variable, what main does with the spec, and ends it;
// else it returns. TestMain calls it first. The context ends with SIGTERM, the process with its parent; why main failed is on
// stdout behind the word "failed".
func ChildMain[S any](variable string, main func(ctx context.Context, spec S) error) {
	text := os.Getenv(variable)
	if text == "" {
		return
	}
	var spec S
	err := json.Unmarshal([]byte(text), &spec)
	if err == nil {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(3)
		}()
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		err = main(ctx, spec)
		stop()
	}
	if err != nil {
		fmt.Println("failed", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Child is a process of the test binary that is no test (see ChildMain), and what it says on stdout. It ends with the test.
type Child struct {
	*exec.Cmd
	done chan struct{}

	mu   sync.Mutex
	said []string
}

// StartChild starts a process with a spec, and with more variables, and does not wait for it.
func StartChild(t testing.TB, variable string, spec any, more ...string) *Child {
	t.Helper()
	text, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	c := &Child{Cmd: exec.Command(os.Args[0]), done: make(chan struct{})}
	c.Env = append(append(os.Environ(), variable+"="+string(text)), more...)
	c.Stderr = os.Stderr
	stdin, err := c.StdinPipe() // held open: its end tells the child that we are gone
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.done)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			c.mu.Lock()
			c.said = append(c.said, lines.Text())
			c.mu.Unlock()
		}
		_ = c.Wait()
		stdin.Close()
	}()
	t.Cleanup(func() {
		c.Kill()
		if t.Failed() {
			t.Logf("process %d said:\n%.3000s", c.Process.Pid, strings.Join(c.Said(), "\n"))
		}
	})
	return c
}

// Kill is kill -9, by the process's handle: it may have ended.
func (c *Child) Kill() {
	_ = c.Process.Kill()
	<-c.done
}

// Signal sends a signal to a process that must not have ended.
func (c *Child) Signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := c.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// Ended is closed once the process has ended.
func (c *Child) Ended() <-chan struct{} { return c.done }

// Said are the lines that the process said so far.
func (c *Child) Said() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.said)
}

// Lines are those that begin with a word, without it.
func (c *Child) Lines(word string) (rest []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, line := range c.said {
		if first, after, _ := strings.Cut(line, " "); first == word {
			rest = append(rest, after)
		}
	}
	return rest
}
