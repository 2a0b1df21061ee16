//go:build unix

package main_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
)

func TestQuietAndDump(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := open(t, srv.URL())
	enqueue(t, client, "sleep", `{"duration":"400ms"}`)
	p := start(t, debug, workerPath, "run", "--redis", srv.URL())
	p.sleeps()
	p.signal(syscall.SIGTSTP)
	p.says(&p.err, "worker quiet")
	enqueue(t, client, "noop", `{}`)
	runs(t, client, 0)
	p.staysFor(moment)
	if n := counts(t, client, "default"); n.Ready != 1 || n.Succeeded != 1 {
		t.Errorf("%+v: a quiet worker finishes what runs and takes nothing more", n)
	}
	p.signal(syscall.SIGTTIN)
	p.says(&p.err, "goroutine ")
	p.says(&p.err, "worker.(*Worker).Run")
	p.signal(syscall.SIGTERM)
	p.wantCode(0)
}

// A signal before anything was started is a clean stop of a worker, and an interruption of a question.
func TestSignalWhileConnecting(t *testing.T) {
	t.Parallel()
	proxy := redistest.NewProxy(t, redistest.Server(t).Addr())
	proxy.DelayReply(redistest.On(), time.Hour)
	for name, code := range map[string]int{"run": 0, "stats": 143} {
		p := start(t, nil, workerPath, name, "--redis", "redis://"+proxy.Addr())
		redistest.WaitFor(t, soon, func() bool { return proxy.Connections() > 0 }, "a connection")
		p.signal(syscall.SIGTERM)
		p.wantCode(code)
		redistest.WaitFor(t, soon, func() bool { return proxy.Connections() == 0 }, "the connection to end")
	}
}
