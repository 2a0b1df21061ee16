package main_test

import (
	"strings"
	"testing"

	"github.com/tidemill/tidemill/internal/redistest"
)

func TestCompletion(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := zoo(t, srv.URL())
	o := operate(t, srv.URL())
	start(t, o.env, workerPath, "run", "--queues", "elsewhere")
	redistest.WaitFor(t, soon, func() bool { return len(workers(t, client)) == 1 }, "a worker")
	instance := workers(t, client)[0].Instance[:8]
	for _, tt := range []struct{ args, want, not string }{
		{"jobs list ", "default", ""},
		{"jobs show ", "default", ""},
		{"queues purge ", "default", ""},
		{"queues pause default ", "default", ""},
		{"jobs list default --state ", "succeeded", ""},
		{"jobs cancel default --state ", "scheduled", "dead"},
		{"jobs redrive default --state ", "dead", "ready"},
		{"queues purge default --state ", "finished", "running"},
		{"jobs list default --kind ", "mail.news", "dead"},
		{"jobs list --kind ", "sleep", "mail"},
		{"jobs list default --group-by ", "error", ""},
		{"jobs show default ", "dead0\tdead fail", ""},
		{"jobs cancel default ", "image\tscheduled image.resize", "dead"},
		{"jobs redrive default ", "dead1\tdead fail", "mail1"},
		{"jobs watch default ", "mail1\tready mail.send", ""},
		{"workers stop ", instance, "default"},
		{"workers log-level ", instance, "default"},
		{"workers log-level --all ", "debug", "default"},
		{"workers ", "quiet", ""},
		{"jobs ", "redrive", ""},
	} {
		// The last argument is what was typed of the word to complete.
		args := append([]string{"__complete"}, strings.Fields(tt.args)...)
		p := run(t, o.env, workerPath, append(args, "")...)
		if p.code() != 0 || !strings.Contains(p.out.String(), tt.want) || tt.not != "" && strings.Contains(p.out.String(), tt.not) {
			t.Errorf("%s: exit code %d, want %q, not %q, in:\n%s%s", tt.args, p.code(), tt.want, tt.not, p.out.String(), p.err.String())
		}
	}
	// The rest of a list, without what it has.
	for typed, want := range map[string]string{"ready,": "ready,dead\n", "ready,dead,sc": "ready,dead,scheduled\n"} {
		p := run(t, o.env, workerPath, "__complete", "jobs", "list", "default", "--state", typed)
		if !strings.Contains(p.out.String(), want) || strings.Contains(p.out.String(), "ready,ready") {
			t.Errorf("--state %s: want %q in %s", typed, want, p.out.String())
		}
	}
	for _, path := range []string{workerPath, enqueuePath} {
		for _, shell := range []string{"bash", "zsh", "fish", "powershell", "pwsh"} {
			if p := run(t, o.env, path, "completion", shell); p.code() != 0 || !strings.Contains(p.out.String(), "__complete") {
				t.Errorf("%s completion %s: exit code %d", path, shell, p.code())
			}
		}
		p := run(t, o.env, path, "completion", "tcsh")
		if p.code() != 2 || p.out.String() != "" || !strings.Contains(p.err.String(), `no shell "tcsh" is known; allowed: bash, fish, powershell, zsh`) {
			t.Errorf("%s completion tcsh: exit code %d\n%s%s", path, p.code(), p.out.String(), p.err.String())
		}
	}
}

// Without Redis, and with one that does not answer, a shell is told nothing, and no error either.
func TestCompletionWithoutRedis(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	proxy := redistest.NewProxy(t, srv.Addr())
	proxy.HoldRequest(func(string, []string) bool { return true })
	for name, addr := range map[string]string{"away": closed(t), "silent": proxy.Addr()} {
		for _, args := range []string{"jobs show default ", "jobs list default --kind "} {
			all := append([]string{"__complete"}, strings.Fields(args)...)
			p := run(t, []string{"REDIS_URL=redis://" + addr}, workerPath, append(all, "")...)
			if p.code() != 0 || p.out.String() != ":4\n" || strings.Contains(p.err.String(), addr) {
				t.Errorf("%s, %s: exit code %d\n%s%s", name, args, p.code(), p.out.String(), p.err.String())
			}
		}
	}
}
