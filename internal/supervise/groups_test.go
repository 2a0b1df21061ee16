//go:build unix

package supervise

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestGroups runs commands as systems without a supervisor process do.
func TestGroups(t *testing.T) {
	r := newRig(t, &Supervisor{engine: newGroups(), limits: groupLimits})
	t.Cleanup(r.s.Close)
	if said, e := r.output("echo on; exit 7"); said != "on\n" || e.Code != 7 || e.Signal != 0 || e.Err != nil {
		t.Errorf("%q, %+v", said, e)
	}
	// The end of the output is the end of what was left in the group, which held it open.
	if said, e := r.output("sleep 3600 & trap '' TERM; sleep 3600 & echo on"); said != "on\n" || e.Code != 0 {
		t.Errorf("%q, %+v", said, e)
	}
	p := r.up("echo up; kill -STOP $$; sleep 3600")
	p.Terminate()
	if e := r.await(p); e.Signal != syscall.SIGTERM || e.Code != -1 {
		t.Errorf("%+v", e)
	}
	p.Terminate() // says nothing
	p = r.up("trap '' TERM; echo up; while :; do sleep 1; done")
	p.Terminate()
	p.Kill()
	if e := r.await(p); e.Signal != syscall.SIGKILL {
		t.Errorf("%+v", e)
	}
	_, err := r.s.Start(Command{Path: "/none", Args: []string{"x"}, Stdin: r.null, Stdout: r.null, Stderr: r.null})
	if !errors.Is(err, os.ErrNotExist) || !strings.HasPrefix(err.Error(), "start /none: no such file") {
		t.Errorf("%v", err)
	}
	p = r.shell("sleep 3600", nil, nil)
	r.s.Close()
	if e := r.await(p); e.Signal != syscall.SIGKILL {
		t.Errorf("%+v", e)
	}
	if _, err := r.s.Start(Command{Path: "/bin/true"}); !errors.Is(err, ErrClosed) {
		t.Errorf("%v, want %v", err, ErrClosed)
	}
	if r.s.Limits() == "" {
		t.Error("it does not say what it cannot do")
	}
}
