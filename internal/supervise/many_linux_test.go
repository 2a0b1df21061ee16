package supervise

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rs/zerolog"
)

// TestThousand runs 1,000 commands, some of which leave orphans: each exit status arrives where it belongs, and neither a
// zombie nor a file is left in the supervisor or here.
func TestThousand(t *testing.T) {
	r := newRig(t, started(t, zerolog.Nop()))
	n := nap(t)
	if _, e := r.output("setsid sleep " + n + " & exit 0"); e.Err != nil { // what it opens once and for all is open now
		t.Fatal(e.Err)
	}
	supervisor := r.s.pid()
	before, theirs := files(t, os.Getpid()), files(t, supervisor)
	var next atomic.Int64
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for i := next.Add(1); i <= 1000; i = next.Add(1) {
				script := fmt.Sprintf("exit %d", i%256)
				switch {
				case i%25 == 0:
					script = "setsid sleep " + n + " & " + script
				case i%10 == 0:
					script = "sleep " + n + " & " + script
				}
				p := r.shell(script, nil, nil)
				<-p.Done()
				if e := p.Exit(); e.Err != nil || e.Code != int(i%256) || e.Signal != 0 || e.Left != 0 {
					t.Errorf("command %d: %+v", i, e)
				}
			}
		})
	}
	all.Wait()
	if left := with(n); len(left) > 0 {
		t.Errorf("%d processes are left", len(left))
	}
	for _, pid := range pids("/proc") {
		look := (&reaper{proc: "/proc"}).look(pid)
		if look != nil && look.ppid == supervisor {
			t.Errorf("process %d is still a child of the supervisor", pid)
		}
	}
	if a, b := files(t, os.Getpid()), files(t, supervisor); a != before || b != theirs {
		t.Errorf("open files: %d here and %d in the supervisor; %d and %d before", a, b, before, theirs)
	}
}

// files counts the open files of a process, those of epoll and the like included.
func files(t *testing.T, pid int) int {
	t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// TestStartErrors names what is wrong in words that help.
func TestStartErrors(t *testing.T) {
	r := newRig(t, started(t, zerolog.Nop()))
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := dir + "/" + name
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	base := Command{Args: []string{"x"}, Dir: "/", Stdin: r.null, Stdout: r.null, Stderr: r.null}
	for name, tc := range map[string]struct {
		edit func(*Command)
		want string
	}{
		"no file":        {func(c *Command) { c.Path = dir + "/none" }, "start " + dir + "/none: no such file or directory"},
		"no interpreter": {func(c *Command) { c.Path = file("a", "#!/none\n", 0o755) }, "the interpreter its #! line names is not"},
		"CR LF":          {func(c *Command) { c.Path = file("b", "#!/bin/sh\r\n", 0o755) }, "or the line ends in CR LF"},
		"no #! line":     {func(c *Command) { c.Path = file("c", "echo\n", 0o755) }, "exec format error (a script needs a first line such as #!/bin/sh)"},
		"mode":           {func(c *Command) { c.Path = file("d", "#!/bin/sh\n", 0o644) }, "permission denied"},
		"no folder":      {func(c *Command) { c.Path, c.Dir = "/bin/true", dir+"/none" }, "its working folder " + dir + "/none: no such file or directory"},
		"long env":       {func(c *Command) { c.Path, c.Env = "/bin/true", []string{"A=" + strings.Repeat("x", maxMessage)} }, "bytes; allowed: 131072"},
		"NUL":            {func(c *Command) { c.Path, c.Args = "/bin/true", []string{"x", "\x00"} }, "a NUL byte"},
	} {
		c := base
		tc.edit(&c)
		p, err := r.s.Start(c)
		if err == nil {
			err = r.await(p).Err
		}
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
	if said, _ := r.output("echo on"); said != "on\n" {
		t.Error("the supervisor is not there any more")
	}
}
