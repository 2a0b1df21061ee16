package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

func TestMaxPayload(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	big := `"` + strings.Repeat("x", 2<<20-2) + `"`
	call{url: srv.URL(), args: []string{"log", "-", "-q", "--max-payload", "2097152"}, stdin: strings.NewReader(big)}.run(t).want(t, 0, "")
	if n := ready(t, openQueue(t, srv.URL()), "default"); n != 1 {
		t.Errorf("%d jobs ready", n)
	}
}

func TestRejectsMustNotOverwriteTheInput(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	file := tempFile(t, "jobs.jsonl", lines(1, 1))
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	call{url: srv.URL(), args: []string{"--file", file, "--rejects", link}}.run(t).
		want(t, 2, "enqueue: --rejects "+link+" would overwrite the input\n"+seeHelp)
	if b, _ := os.ReadFile(file); string(b) != lines(1, 1) {
		t.Errorf("the input is now %q", b)
	}
	missing := filepath.Join(t.TempDir(), "no", "rejects")
	call{url: srv.URL(), args: []string{"--file", file, "--rejects", missing}}.run(t).
		want(t, 2, "enqueue: --rejects: open "+missing+": no such file or directory\n"+seeHelp)
}

func TestHelpVersionCompletion(t *testing.T) {
	t.Parallel()
	r := call{args: []string{"--version"}}.run(t)
	if r.code != 0 || !strings.HasPrefix(r.stdout, "enqueue v1.2.3-test (go1.") {
		t.Errorf("--version: %+v", r)
	}
	r = call{args: []string{"--help"}}.run(t)
	for _, want := range []string{"Exit codes: 0 ", "--max-attempts n", "enqueue --file jobs.jsonl --rejects rejects.jsonl", "REDIS_URL", "TIDEMILL_NAMESPACE",
		"--wait[=duration]  ", "says 69 then", "--offset-file", "--ids", "--when-full", "124 "} {
		if r.code != 0 || !strings.Contains(r.stdout, want) {
			t.Errorf("--help lacks %q:\n%s", want, r.stdout)
		}
	}
	if help := (call{args: []string{"help"}}).run(t); help.code != 0 || help.stdout != r.stdout {
		t.Errorf("help: exit code %d, %s%s", help.code, help.stdout, help.stderr)
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		r := call{args: []string{"completion", shell}}.run(t)
		if r.code != 0 || !strings.Contains(r.stdout, "enqueue") || r.stderr != "" {
			t.Errorf("completion %s: exit code %d, %d bytes, %s", shell, r.code, len(r.stdout), r.stderr)
		}
	}
	r = call{args: []string{"__completeNoDesc", "log", "--max-"}}.run(t)
	if r.code != 0 || !strings.HasPrefix(r.stdout, "--max-attempts\n--max-payload\n") {
		t.Errorf("completing --max-: %q", r.stdout)
	}
	srv := redistest.Server(t)
	client := openQueue(t, srv.URL())
	for _, name := range []string{"mail", "images"} {
		if _, err := client.Enqueue(t.Context(), queue.Raw{Name: "log", Payload: []byte("{}")}, queue.Queue(name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		args string
		want string
	}{
		{"log --queue ", "images\nmail\n:4\n"}, {"--file x --ids ", "content\n:4\n"}, {"--file x --when-full ", "reject\nwait\n:4\n"},
		{"log --in ", ":4\n"}, {"log --id ", ":4\n"}, {"--file ", ":0\n"}, {"--file x --offset-file ", ":0\n"}, {"log {} ", ":4\n"},
	} {
		r := call{url: srv.URL(), args: append([]string{"__completeNoDesc"}, strings.Split(c.args, " ")...)}.run(t)
		if r.code != 0 || r.stdout != c.want {
			t.Errorf("completing %q: exit code %d, %q", c.args, r.code, r.stdout)
		}
	}
	// Without Redis no queue is offered, soon.
	r = call{url: "redis://127.0.0.1:1", args: []string{"__completeNoDesc", "log", "--queue", ""}}.run(t)
	if r.code != 0 || r.stdout != ":4\n" {
		t.Errorf("completing a queue without Redis: %q", r.stdout)
	}
	r = call{args: []string{"__completeNoDesc", ""}}.run(t)
	if !strings.HasPrefix(r.stdout, "completion\nhelp\npublish\nlog\nnoop\nsleep\nfail\n:4") {
		t.Errorf("completing a kind: %q", r.stdout)
	}
}
