package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tidemill/tidemill/internal/redistest"
)

// seen is what a person sees on a terminal, and types.
type seen struct {
	t      *testing.T
	master *os.File
	out    output
	cmd    *exec.Cmd
	ended  chan struct{} // nothing more is to be seen
}

// onTerminal starts a program on a terminal of so many columns.
func onTerminal(t *testing.T, columns int, env []string, path string, args ...string) *seen {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(master.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 50, Col: uint16(columns)})
	}
	if err != nil {
		t.Fatal(err)
	}
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := &seen{t: t, master: master, cmd: exec.Command(path, args...), ended: make(chan struct{})}
	s.cmd.Env = environment(t, append([]string{"TERM=xterm"}, env...)...)
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = terminal, terminal, terminal
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	terminal.Close()
	go func() {
		defer close(s.ended)
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf) // ends with EIO when the program has gone
			_, _ = s.out.Write(buf[:n])
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		master.Close()
		if t.Failed() {
			t.Logf("%q showed:\n%s", args, s.out.String())
		}
	})
	return s
}

// types waits until a text is to be seen, and answers it.
func (s *seen) types(prompt, answer string) {
	s.t.Helper()
	redistest.WaitFor(s.t, soon, func() bool { return strings.Contains(s.out.String(), prompt) }, prompt)
	if _, err := s.master.WriteString(answer); err != nil {
		s.t.Fatal(err)
	}
}

// end waits for the end of the program and answers its exit code and what was to be seen.
func (s *seen) end() (code int, text string) {
	s.t.Helper()
	select {
	case <-s.ended:
	case <-time.After(soon):
		s.t.Fatalf("%q does not end; it shows %s", s.cmd.Args, s.out.String())
	}
	_ = s.cmd.Wait()
	return s.cmd.ProcessState.ExitCode(), strings.ReplaceAll(s.out.String(), "\r\n", "\n")
}
