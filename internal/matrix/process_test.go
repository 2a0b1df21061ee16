package matrix

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/redistest"
)

// child is a worker process.
type child struct {
	t     *testing.T
	cmd   *exec.Cmd
	began time.Time
	done  chan struct{} // closed when it has ended

	mu   sync.Mutex
	said []string
}

// startChild starts a worker process and waits until it is up.
func startChild(t *testing.T, s spec) *child {
	t.Helper()
	c := launchChild(t, s)
	redistest.WaitFor(t, time.Minute, func() bool { return len(c.lines("up")) == 1 }, "a worker process")
	return c
}

func launchChild(t *testing.T, s spec) *child {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	c := &child{t: t, cmd: exec.Command(os.Args[0]), done: make(chan struct{}), began: time.Now()}
	c.cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	c.cmd.Stderr = os.Stderr
	stdin, err := c.cmd.StdinPipe() // held open: its end tells the child that we are gone
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.done)
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			c.mu.Lock()
			c.said = append(c.said, lines.Text())
			c.mu.Unlock()
		}
		_ = c.cmd.Wait()
		stdin.Close()
	}()
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill() // by its handle; it may have ended
		<-c.done
	})
	return c
}

func (c *child) signal(s syscall.Signal) {
	c.t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil {
		c.t.Fatal(err)
	}
}

// ended waits for the end of the process and answers its exit status and how long it took.
func (c *child) ended(within time.Duration) (status int, took time.Duration) {
	c.t.Helper()
	began := time.Now()
	redistest.WaitFor(c.t, within, func() bool {
		select {
		case <-c.done:
			return true
		default:
			return false
		}
	}, "a worker process to end")
	return c.cmd.ProcessState.ExitCode(), time.Since(began)
}

// cpu is the processor time that the process took, once it has ended.
func (c *child) cpu() time.Duration {
	return c.cmd.ProcessState.UserTime() + c.cmd.ProcessState.SystemTime()
}

// lines answers what the child said that begins with a word, without it.
func (c *child) lines(word string) (rest []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, line := range c.said {
		if first, after, _ := strings.Cut(line, " "); first == word {
			rest = append(rest, after)
		}
	}
	return rest
}

// logged answers the log lines of the child that contain text.
func (c *child) logged(text string) (found []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, line := range c.said {
		if strings.HasPrefix(line, "{") && strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}

// start is one line "start".
type start struct {
	id               uuid.UUID
	attempt, crashes int
	at               time.Time
}

func (c *child) starts() []start {
	c.t.Helper()
	var out []start
	for _, line := range c.lines("start") {
		var text string
		var at int64
		var s start
		if _, err := fmt.Sscan(line, &text, &s.attempt, &s.crashes, &at); err != nil {
			c.t.Fatalf("%q: %v", line, err)
		}
		s.id, s.at = uuid.MustParse(text), time.Unix(0, at)
		out = append(out, s)
	}
	return out
}

// number reads the number behind a child's first line that begins with a word.
func (c *child) number(word string) (n int64) {
	c.t.Helper()
	lines := c.lines(word)
	if len(lines) == 0 {
		c.t.Fatalf("the child did not say %q", word)
	}
	if _, err := fmt.Sscan(lines[0], &n); err != nil {
		c.t.Fatalf("%s %q: %v", word, lines[0], err)
	}
	return n
}
