package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tidemill/tidemill/internal/redistest"
)

// onTerminal runs the program with its stderr on a terminal, and answers what was to be seen there.
func (c call) onTerminal(t *testing.T) (code int, seen string) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	cmd := c.command(t.Context())
	cmd.Stdin, cmd.Stderr = c.stdin, terminal
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	terminal.Close()
	var out bytes.Buffer
	_, _ = out.ReadFrom(master) // ends with EIO when the program has gone
	_ = cmd.Wait()
	return cmd.ProcessState.ExitCode(), out.String()
}

func TestTerminal(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	file := tempFile(t, "jobs.jsonl", lines(1, 20_000))
	const summary = "enqueued 20000, duplicates 0, rejected 0\r\n"
	code, seen := call{url: srv.URL(), args: []string{"--file", file}}.onTerminal(t)
	if code != 0 || !strings.Contains(seen, " lines, ") || !strings.Contains(seen, "/s ") || !strings.Contains(seen, "%") || !strings.HasSuffix(seen, "\r"+summary) {
		t.Errorf("with a bar: %d, %q", code, seen)
	}
	code, seen = call{url: srv.URL(), args: []string{"--file", "-"}, stdin: strings.NewReader(lines(1, 20_000))}.onTerminal(t)
	if code != 0 || !strings.Contains(seen, "lines") || strings.Contains(seen, "%") || !strings.HasSuffix(seen, "\r"+summary) {
		t.Errorf("with a spinner: %d, %q", code, seen)
	}
	code, seen = call{url: srv.URL(), args: []string{"publish", "t", "-"}, stdin: strings.NewReader(lines(1, 20_000))}.onTerminal(t)
	if code != 0 || !strings.Contains(seen, " lines, ") || strings.Contains(seen, "%") || !strings.HasSuffix(seen, "\rpublished 20000, rejected 0\r\n") {
		t.Errorf("publishing: %d, %q", code, seen)
	}
	// A run that is taken up shows what is left, and one that waits says so.
	offsets := filepath.Join(t.TempDir(), "offset")
	code, seen = call{url: srv.URL(), args: []string{"--file", file, "--offset-file", offsets}}.onTerminal(t)
	if code != 0 || !strings.Contains(seen, "%") || !strings.HasSuffix(seen, "\r"+summary) {
		t.Errorf("with an offset file: %d, %q", code, seen)
	}
	var drawn bytes.Buffer
	p := newProgress(&drawn, 100)
	p.begin(40)
	p.wait("redis is full, waiting", 3)
	if text := drawn.String(); p.bar.GetMax64() != 60 || !strings.Contains(text, "3 lines, redis is full, waiting") {
		t.Errorf("waiting: %d, %q", p.bar.GetMax64(), text)
	}
	code, seen = call{url: srv.URL(), args: []string{"--file", file, "-q"}}.onTerminal(t)
	if code != 0 || seen != "" {
		t.Errorf("quiet: %d, %q", code, seen)
	}
	const usage = "enqueue:%s give the KIND of a job, or --file\r\nsee 'enqueue --help'\r\n"
	if code, seen = (call{env: []string{"TERM=xterm"}}.onTerminal(t)); code != 2 || seen != "\x1b[31m"+fmt.Sprintf(usage, "\x1b[0m") {
		t.Errorf("in colour: %d, %q", code, seen)
	}
	for _, env := range []string{"NO_COLOR=1", "TERM=dumb"} {
		if code, seen = (call{env: []string{env}}.onTerminal(t)); code != 2 || seen != fmt.Sprintf(usage, "") {
			t.Errorf("%s: %d, %q", env, code, seen)
		}
	}
}
