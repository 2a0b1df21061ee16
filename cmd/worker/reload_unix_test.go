//go:build unix

package main_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// reloads sends HUP and waits until the log has one more line with a text.
func (p *process) reloads(text string) {
	p.t.Helper()
	before := strings.Count(p.err.String(), text)
	p.signal(syscall.SIGHUP)
	redistest.WaitFor(p.t, soon, func() bool { return strings.Count(p.err.String(), text) > before || p.ended() }, text)
}

func TestReload(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := open(t, srv.URL())
	dir := folder(t, map[string]string{"job": "#!/bin/sh\necho $WORD\n"})
	file := func(concurrency int, word, rest string) string {
		return fmt.Sprintf("redis: %s\nconcurrency: %d\nqueues: {default: {}}\nhandlers:\n  sleep: {builtin: sleep}\n  job: {exec: {command: [./job], env: [WORD=%s]}}\n%s",
			srv.URL(), concurrency, word, rest)
	}
	path := write(t, dir, file(2, "one", ""))
	p := start(t, nil, workerPath, "run", "-c", path)
	p.says(&p.err, "worker started")
	word := func() string {
		id := enqueue(t, client, "job", `{}`, queue.Priority(9))
		redistest.WaitFor(t, soon, func() bool { return get(t, client, id).State == queue.Succeeded }, "the job")
		return strings.TrimSpace(string(get(t, client, id).Result))
	}
	if got := word(); got != "one" {
		t.Errorf("the job says %q", got)
	}
	for range 8 {
		enqueue(t, client, "sleep", `{"duration":"1h"}`)
	}
	runs(t, client, 2)

	// More slots, another command, a new handler and a lower level; what cannot change is named.
	write(t, dir, file(6, "two", "  late: {builtin: noop}\nlog: {level: debug}\nnamespace: other\ncrash_limit: 9\nstrict: true\nlisten: 127.0.0.1:0\n"))
	p.reloads("these cannot change while the worker runs")
	runs(t, client, 6)
	log := p.err.String()
	for _, want := range []string{`"concurrency 2 -> 6"`, `"handlers.job.exec.env changed"`, `"handlers.late is new"`, `"kinds":["late"]`, `worker jobs edit QUEUE ID --now`, `"log.level info -> debug"`, `"namespace (stays tm)"`, `"crash_limit (stays 3)"`, `"strict (stays false)"`, `"listen (stays nowhere)"`} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %s", want)
		}
	}
	if strings.Contains(log, "handlers.sleep") || strings.Contains(log, `"queues `) {
		t.Errorf("the log tells of a handler or of queues that stayed as they were: %s", log)
	}

	// A file with a fault changes nothing, and its place is told; so it is with a command that is not there.
	for text, want := range map[string]string{
		file(9, "three", "concurency: 5\n"):                      path + ":7:1: concurency: unknown field",
		file(9, "three", "  bad: {exec: {command: [./nope]}}\n"): path + `:7:25: handlers.bad.exec.command: ` + dir + "/nope",
		"": path + ": is empty",
	} {
		write(t, dir, text)
		p.reloads("not reloaded: the worker goes on as before")
		if !strings.Contains(p.err.String(), want) {
			t.Errorf("the log lacks %q", want)
		}
	}
	enqueue(t, client, "sleep", `{"duration":"1h"}`)
	p.staysFor(moment)
	if n := counts(t, client, "default").Running; n != 6 {
		t.Errorf("%d run, want 6", n)
	}

	// Mended, it goes on: the jobs that run were not disturbed by any of this.
	write(t, dir, file(7, "four", ""))
	p.reloads(`"concurrency 6 -> 7"`)
	runs(t, client, 7)
	if n := counts(t, client, "default"); n.Recovered+n.Failed+n.Refused != 0 {
		t.Errorf("%+v", n)
	}
	write(t, dir, file(20, "five", ""))
	p.reloads(`"concurrency 7 -> 20"`)
	if got := word(); got != "five" {
		t.Errorf("the job says %q", got)
	}
	p.reloads("reloaded: nothing to change")
}

// A flag wins over the file, also when that is read again.
func TestReloadKeepsFlags(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	dir := t.TempDir()
	path := write(t, dir, "handlers: {x: {builtin: log}}\nconcurrency: 3\n")
	p := start(t, nil, workerPath, "run", "-c", path, "--redis", srv.URL(), "--concurrency", "4", "--queues", "a,b")
	p.says(&p.err, "worker started")
	write(t, dir, "handlers: {x: {builtin: noop}}\nconcurrency: 5\nqueues: {c: {}}\n")
	p.reloads(`"changed":["handlers.x.builtin log -> noop"]`)
	p.signal(syscall.SIGTERM)
	p.wantCode(0)
	if strings.Contains(p.err.String(), "restart it") {
		t.Error("the file's queues count, though the flag names others")
	}
}

// HUP ends a worker that has no file, as it does other programs; with one it never does, not even while it starts.
func TestHangupWhileStarting(t *testing.T) {
	t.Parallel()
	proxy := redistest.NewProxy(t, redistest.Server(t).Addr())
	proxy.DelayReply(redistest.On(), time.Hour)
	path := write(t, t.TempDir(), "handlers: {x: {builtin: log}}\nredis: redis://"+proxy.Addr()+"\n")
	p := start(t, nil, workerPath, "run", "-c", path)
	redistest.WaitFor(t, soon, func() bool { return proxy.Connections() > 0 }, "a connection")
	p.signal(syscall.SIGHUP)
	p.staysFor(moment)
	p.signal(syscall.SIGTERM)
	p.wantCode(0)
}
