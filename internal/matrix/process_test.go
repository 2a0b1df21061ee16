package matrix

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/redistest"
)

// child is a worker process.
type child struct {
	*redistest.Child
	t     *testing.T
	began time.Time
}

// startChild starts a worker process and waits until it is up.
func startChild(t *testing.T, s spec) *child {
	t.Helper()
	c := launchChild(t, s)
	redistest.WaitFor(t, time.Minute, func() bool { return len(c.Lines("up")) == 1 }, "a worker process")
	return c
}

func launchChild(t *testing.T, s spec) *child {
	t.Helper()
	began := time.Now()
	return &child{redistest.StartChild(t, childEnv, s), t, began}
}

func (c *child) signal(s syscall.Signal) {
	c.t.Helper()
	c.Signal(c.t, s)
}

// ended waits for the end of the process and answers its exit status and how long it took.
func (c *child) ended(within time.Duration) (status int, took time.Duration) {
	c.t.Helper()
	began := time.Now()
	redistest.WaitFor(c.t, within, func() bool {
		select {
		case <-c.Ended():
			return true
		default:
			return false
		}
	}, "a worker process to end")
	return c.ProcessState.ExitCode(), time.Since(began)
}

// cpu is the processor time that the process took, once it has ended.
func (c *child) cpu() time.Duration {
	return c.ProcessState.UserTime() + c.ProcessState.SystemTime()
}

// logged answers the log lines of the child that contain text.
func (c *child) logged(text string) (found []string) {
	for _, line := range c.Said() {
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
	for _, line := range c.Lines("start") {
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
	lines := c.Lines(word)
	if len(lines) == 0 {
		c.t.Fatalf("the child did not say %q", word)
	}
	if _, err := fmt.Sscan(lines[0], &n); err != nil {
		c.t.Fatalf("%s %q: %v", word, lines[0], err)
	}
	return n
}
