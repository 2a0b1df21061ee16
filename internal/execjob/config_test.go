package execjob

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestFaults: each names its field, what was given and what is allowed.
func TestFaults(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"plain": 0o644, "tool": 0o755, "two words": 0o755} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", "/usr/bin:/bin")
	good := func(edit func(*Config)) Config {
		c := Config{Command: []string{"true"}, Dir: dir}
		edit(&c)
		return c
	}
	for _, tc := range []struct {
		edit func(*Config)
		want string
	}{
		{func(c *Config) { c.Command = nil }, "command: empty; allowed: a program and its arguments, as a list"},
		{func(c *Config) { c.Command = []string{""} }, "command: empty; allowed: a program and its arguments, as a list"},
		{func(c *Config) { c.Command = []string{"no-such-tool"} }, `command: "no-such-tool" is not in PATH`},
		{func(c *Config) { c.Command = []string{"tool"} }, `command: "tool" is not in PATH; did you mean ./tool?`},
		{func(c *Config) { c.Command = []string{"plain", "-x"} }, `command: "plain" is not in PATH; did you mean ./plain?`},
		{func(c *Config) { c.Command = []string{"two words"} }, `command: "two words" is not in PATH; did you mean "./two words"?`},
		{func(c *Config) { c.Command = []string{"no-such-tool backup.py"} }, `command: "no-such-tool backup.py" is not in PATH; the program and each argument stand alone: write [no-such-tool, backup.py]`},
		{func(c *Config) { c.Command = []string{"tool --to=a,b", "c"} }, `command: "tool --to=a,b" is not in PATH; the program and each argument stand alone: write [./tool, "--to=a,b", ...]`},
		{func(c *Config) { c.Command = []string{"./tool -x"} }, "command: " + dir + "/tool -x: no such file or directory; the program and each argument stand alone: write [./tool, -x]"},
		{func(c *Config) { c.Command = []string{"ls | wc -l"} }, `command: "ls | wc -l" is not in PATH; no shell reads it, for one write [sh, -c, "ls | wc -l"]`},
		{func(c *Config) { c.Command = []string{"./none"} }, "command: " + dir + "/none: no such file or directory"},
		{func(c *Config) { c.Command = []string{"./plain"} }, "command: " + dir + "/plain: is not executable: chmod +x " + dir + "/plain"},
		{func(c *Config) { c.Command = []string{"../"} }, "command: " + filepath.Dir(dir) + ": is a folder; allowed: an executable file"},
		{func(c *Config) { c.Command = []string{"/dev/null"} }, "command: /dev/null: is not a regular file; allowed: an executable file"},
		{func(c *Config) { c.Command = []string{"true", "a\x00b"} }, `command[1]: "a\x00b"; allowed: text without NUL bytes`},
		{func(c *Config) { c.Env = []string{"A"} }, `env: "A": no value; allowed: NAME=value`},
		{func(c *Config) { c.Env = []string{"=1"} }, `env: "": empty name; allowed: letters, digits and _, not beginning with a digit`},
		{func(c *Config) { c.Env = []string{"1A=1"} }, `env: "1A": not a name; allowed: letters, digits and _, not beginning with a digit`},
		{func(c *Config) { c.Env = []string{"A=1", "A=2"} }, `env: "A": given twice; allowed: each name once`},
		{func(c *Config) { c.Env = []string{"A=\x00"} }, `env: "A": a NUL byte in the value; allowed: any other`},
		{func(c *Config) { c.Env = []string{"TIDEMILL_JOB_ID=1"} }, `env: "TIDEMILL_JOB_ID": names that begin with TIDEMILL_ are set by the worker; allowed: others`},
		{func(c *Config) { c.PassEnv = []string{"TIDEMILL_X"} }, `pass_env: "TIDEMILL_X": names that begin with TIDEMILL_ are set by the worker; allowed: others`},
		{func(c *Config) { c.PassEnv = []string{"A=1"} }, `pass_env: "A=1": not a name; allowed: letters, digits and _, not beginning with a digit`},
		{func(c *Config) { c.Timeout = -time.Second }, "timeout: -1s; allowed: 0 (none) or more"},
		{func(c *Config) { c.KillAfter = -time.Second }, "kill_after: -1s; allowed: 0 (the default, 5s) or more"},
	} {
		if err := Check(good(tc.edit)); err == nil || err.Error() != tc.want {
			t.Errorf("got  %v\nwant %s", err, tc.want)
		}
	}
	all := Check(Config{Env: []string{"A"}, PassEnv: []string{""}, Timeout: -1, KillAfter: -1})
	if n := strings.Count(all.Error(), "\n") + 1; n != 5 {
		t.Errorf("%d faults of 5:\n%v", n, all)
	}
	for _, command := range [][]string{{"true"}, {"./tool"}, {dir + "/tool"}, {"../" + filepath.Base(dir) + "/tool"}} {
		if err := Check(Config{Command: command, Dir: dir}); err != nil {
			t.Errorf("%q: %v", command, err)
		}
	}
	if _, err := New(Config{Command: []string{"true"}}, nil); err == nil {
		t.Error("a handler without supervisor")
	}
}

// TestWhere: the handler looks a bare name up when it is made, and starts a relative path beside the configuration.
func TestWhere(t *testing.T) {
	r := newRig(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "tool"), []byte("#!/bin/sh\necho \"$0 $1\"; pwd\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	a := r.shell("")
	a.cfg = Config{Command: []string{"./tool", "a  b"}, Dir: dir}
	if err := a.run(); err != nil || string(a.result) != dir+"/tool a  b\n"+real+"\n" {
		t.Errorf("%v, %q", err, a.result)
	}
	t.Setenv("PATH", dir+":/usr/bin:/bin")
	a.cfg.Command[0] = "tool"
	h := a.handler()
	t.Setenv("PATH", "/usr/bin:/bin")
	if err := a.by(h); err != nil || string(a.result) != dir+"/tool a  b\n"+real+"\n" {
		t.Errorf("%v, %q", err, a.result)
	}
}
