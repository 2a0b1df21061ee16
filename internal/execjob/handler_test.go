package execjob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// TestExitStatus: 0 succeeds, 65 is dead, all else retries.
func TestExitStatus(t *testing.T) {
	r := newRig(t)
	for _, tc := range []struct {
		script string
		dead   bool
		want   string // empty: success
	}{
		{"exit 0", false, ""},
		{"echo why >&2; exit 0", false, ""},
		{"exit 1", false, "exit status 1"},
		{"echo first >&2; echo why >&2; echo >&2; exit 1", false, "exit status 1: why"},
		{"exit 65", true, "exit status 65 (no retry)"},
		{"echo why >&2; exit 65", true, "exit status 65 (no retry): why"},
		{"exit 75", false, "exit status 75 (retry)"},
		{"exit 255", false, "exit status 255"},
		{"kill -SEGV $$", false, "ended by signal 11 (segmentation fault)"},
		{"kill -KILL $$", false, "ended by signal 9 (killed)"},
		{"kill -TERM $$", false, "ended by signal 15 (terminated)"},
	} {
		a := r.shell(tc.script)
		err := a.run()
		var dead *queue.DeadError
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != tc.want || errors.As(err, &dead) != tc.dead {
			t.Errorf("%s: %q, dead %v", tc.script, got, errors.As(err, &dead))
		}
	}
}

// TestEnvironment is exact: what the worker's has beside the listed names stays there.
func TestEnvironment(t *testing.T) {
	for name, value := range map[string]string{"PATH": "/usr/bin:/bin", "HOME": "/home/x", "LANG": "C", "TZ": "UTC", "SECRET": "s", "EDITOR": "ed", "MODE": "slow"} {
		t.Setenv(name, value)
	}
	if err := os.Unsetenv("TZ"); err != nil { // what is not set stays so
		t.Fatal(err)
	}
	r := newRig(t)
	a := r.shell("")
	a.cfg = Config{Command: []string{"/usr/bin/env", "-0"}, Env: []string{"MODE=fast", "HOME=/h", "EMPTY=", "LINES=a\nb=c"}, PassEnv: []string{"EDITOR", "MODE", "ABSENT"}}
	a.info = queue.Info{ID: uuid.MustParse("019f0000-0000-7000-8000-000000000001"), Kind: "image.x", Queue: "critical", Attempt: 3}
	want := []string{
		"EDITOR=ed", "EMPTY=", "HOME=/h", "LANG=C", "LINES=a\nb=c", "MODE=fast", "PATH=/usr/bin:/bin", "TIDEMILL_ATTEMPT=3",
		"TIDEMILL_JOB_ID=019f0000-0000-7000-8000-000000000001", "TIDEMILL_KIND=image.x", "TIDEMILL_QUEUE=critical",
	}
	check := func(want []string) {
		t.Helper()
		if err := a.run(); err != nil {
			t.Fatal(err)
		}
		got := strings.Split(strings.TrimSuffix(string(a.result), "\x00"), "\x00")
		got = slices.DeleteFunc(got, func(s string) bool { return strings.HasPrefix(s, "TIDEMILL_SUPERVISED=") })
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
	check(want)

	// The job's key and the end of this attempt, the earlier of two.
	deadline := time.Date(2100, 1, 2, 3, 4, 5, 678e6, time.FixedZone("", 3600))
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	a.ctx, a.info.Key, a.cfg.Timeout = ctx, "order 7", 1<<62
	check(append(want, "TIDEMILL_JOB_KEY=order 7", "TIDEMILL_DEADLINE=2100-01-02T02:04:05.678Z"))
}

// TestStdin: the args as they are, of any size, whether or not the command reads them.
func TestStdin(t *testing.T) {
	r := newRig(t)
	for _, args := range []string{"", "{}", "not JSON \x00\xff", strings.Repeat("x", 4096), strings.Repeat("x", 4097), strings.Repeat("x", 1<<20)} {
		a := r.shell("wc -c")
		a.args = args
		if err := a.run(); err != nil || strings.TrimSpace(string(a.result)) != fmt.Sprint(len(args)) {
			t.Errorf("%d bytes: %v, %q", len(args), err, a.result)
		}
		if len(args) < 5000 {
			a.cfg.Command = []string{"cat"}
			if err := a.run(); err != nil || string(a.result) != args {
				t.Errorf("%q: %v, %q", args, err, a.result)
			}
		}
		a.cfg.Command = []string{"true"}
		if err := a.run(); err != nil || a.result != nil {
			t.Errorf("%d bytes, unread: %v, %q", len(args), err, a.result)
		}
	}
}

// TestResult: the first 64 KiB of stdout; the command is not held up by more.
func TestResult(t *testing.T) {
	r := newRig(t)
	for _, n := range []int{1, 1000, queue.MaxResult, queue.MaxResult + 1, 5 << 20} {
		a := r.shell(fmt.Sprintf("head -c %d /dev/zero; echo end >&2", n))
		if err := a.run(); err != nil || !bytes.Equal(a.result, make([]byte, min(n, queue.MaxResult))) {
			t.Errorf("%d bytes: %v, a result of %d", n, err, len(a.result))
		}
	}
	cut := r.log.with("the command's stdout is longer")
	if len(cut) != 2 || cut[0]["bytes"] != 65537.0 || cut[1]["bytes"] != float64(5<<20) || cut[1]["kept"] != 65536.0 || cut[1]["level"] != "warn" {
		t.Errorf("the log: %v", cut)
	}
	a := r.shell("echo partly; exit 1")
	if err := a.run(); err == nil || a.result != nil {
		t.Errorf("a failure left the result %q", a.result)
	}
}

// TestStopped ends attempts in every way: TERM first, which a command may answer, KILL for those that do not.
func TestStopped(t *testing.T) {
	r := newRig(t)
	for _, cause := range []error{queue.ErrCancelled, queue.ErrDraining, queue.ErrJobLost, queue.ErrTimeout} {
		t.Run(cause.Error(), func(t *testing.T) {
			for _, ignores := range []bool{false, true} {
				script := "trap 'echo last words >&2; exit 3' TERM; echo up >&2; while :; do sleep 0.01; done"
				want := fmt.Sprintf("%v: exit status 3: last words", cause)
				if ignores {
					script = "trap '' TERM; echo up >&2; while :; do sleep 0.01; done"
					want = fmt.Sprintf("%v: ended by signal 9 (killed): up", cause)
				}
				a := r.shell(script)
				a.cfg.KillAfter = time.Minute
				if ignores {
					a.cfg.KillAfter = 100 * time.Millisecond
				}
				ctx, cancel := context.WithCancelCause(context.Background())
				defer cancel(nil)
				a.ctx = ctx
				before := len(r.log.with("up"))
				var err error
				done := make(chan struct{})
				go func() {
					err = a.run()
					close(done)
				}()
				redistest.WaitFor(t, time.Minute, func() bool { return len(r.log.with("up")) > before }, "the command")
				cancel(cause)
				<-done
				if err == nil || err.Error() != want || !errors.Is(err, cause) {
					t.Errorf("%v, want %s", err, want)
				}
			}
		})
	}
}

// TestDrainIsShort: a stopping worker gives a deaf command 1.5 s, whatever its kill_after, and starts none.
func TestDrainIsShort(t *testing.T) {
	r := newRig(t)
	a := r.shell("trap '' TERM; echo deaf >&2; while :; do sleep 1; done")
	a.cfg.KillAfter = time.Hour
	ctx, cancel := context.WithCancelCause(context.Background())
	a.ctx = ctx
	go func() {
		for len(r.log.with("deaf")) == 0 {
			<-time.After(time.Millisecond)
		}
		cancel(queue.ErrDraining)
	}()
	r.within(time.Minute, func() {
		if err := a.run(); !errors.Is(err, queue.ErrDraining) {
			t.Errorf("%v", err)
		}
		if err := a.run(); err == nil || err.Error() != queue.ErrDraining.Error() {
			t.Errorf("%v", err)
		}
	})
	if n := len(r.log.with("deaf")); n != 1 {
		t.Errorf("it was started %d times", n)
	}
}

// timedOut runs the script with a timeout of its own, a longer one until it is long enough on this machine for the script
// to have said "up".
func (r *rig) timedOut(script string, killAfter time.Duration) (a *attempt, err error) {
	r.Helper()
	before := len(r.log.with("up"))
	for timeout := 200 * time.Millisecond; timeout < time.Minute; timeout *= 2 {
		a = r.shell(script)
		a.cfg.Timeout, a.cfg.KillAfter = timeout, killAfter
		r.within(2*time.Minute, func() { err = a.run() })
		if len(r.log.with("up")) > before {
			return a, err
		}
	}
	r.Fatalf("the command does not come up: %v", err)
	return nil, nil
}

// TestTimeout is the handler's own: the attempt is told to have timed out.
func TestTimeout(t *testing.T) {
	r := newRig(t)
	a, err := r.timedOut("trap '' TERM; sleep 3600 & echo up >&2; while :; do sleep 1; done", 100*time.Millisecond)
	want := fmt.Sprintf("job timed out: context deadline exceeded after %v: ended by signal 9 (killed): up", a.cfg.Timeout)
	if !errors.Is(err, queue.ErrTimeout) || err.Error() != want || a.output != "up\n" {
		t.Errorf("%v, want %s; kept %q", err, want, a.output)
	}
	// What it says by 0 counts, also after TERM.
	a, err = r.timedOut("trap 'echo done; exit 0' TERM; echo up >&2; while :; do sleep 0.01; done", time.Minute)
	if err != nil || string(a.result) != "done\n" {
		t.Errorf("%v, %q", err, a.result)
	}
}

// TestHeldOutput: a descendant that outlives the command and holds its streams open does not hold up the handler.
func TestHeldOutput(t *testing.T) {
	r := newRig(t)
	a := r.shell("(trap '' TERM HUP; setsid sleep 3600 &) ; sleep 3600 & echo out; echo err >&2; exit 4")
	r.within(time.Minute, func() {
		if err := a.run(); err == nil || err.Error() != "exit status 4: err" {
			t.Errorf("%v", err)
		}
	})
}

// TestNotStarted: what was there when the handler was made may be gone later.
func TestNotStarted(t *testing.T) {
	r := newRig(t)
	dir := t.TempDir()
	tool := dir + "/tool"
	if err := os.WriteFile(tool, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	a := r.shell("")
	a.cfg = Config{Command: []string{"./tool"}, Dir: dir}
	h := a.handler()
	if err := os.Remove(tool); err != nil {
		t.Fatal(err)
	}
	if err := a.by(h); !errors.Is(err, syscall.ENOENT) || err.Error() != "exec: start "+tool+": no such file or directory" {
		t.Errorf("%v", err)
	}
}
