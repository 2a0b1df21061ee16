package redisserver

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

// tailLines is how much of the log an error carries: enough for the reason that
// a server gives before it dies, not its start-up banner.
const tailLines = 20

// tail keeps the last lines written to it and passes everything on.
type tail struct {
	next io.Writer // may be nil

	mu      sync.Mutex
	lines   []string
	partial []byte
}

// Write never fails on its own account, and it hides the failures of next: a
// full disk under the log must not kill the server with a broken pipe.
func (t *tail) Write(p []byte) (int, error) {
	if t.next != nil {
		_, _ = t.next.Write(p)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.partial = append(t.partial, p...)
	for {
		line, rest, found := bytes.Cut(t.partial, []byte("\n"))
		if !found {
			break
		}
		t.lines = append(t.lines, strings.TrimRight(string(line), "\r"))
		t.partial = rest
	}
	if extra := len(t.lines) - tailLines; extra > 0 {
		t.lines = append(t.lines[:0], t.lines[extra:]...)
	}
	return len(p), nil
}

// String returns the lines kept, the unfinished one last.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := t.lines
	if len(t.partial) > 0 {
		lines = append(lines[:len(lines):len(lines)], string(t.partial))
	}
	return strings.Join(lines, "\n")
}
