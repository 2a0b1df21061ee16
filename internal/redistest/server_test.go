package redistest

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemill/tidemill/internal/redisserver"
)

// failing stands in for a test that is to fail: Fatalf ends its goroutine, as
// the real one does.
type failing struct {
	testing.TB
	message string
}

func (f *failing) Helper() {}

func (f *failing) Fatal(args ...any) {
	f.message = fmt.Sprint(args...)
	runtime.Goexit()
}

func (f *failing) Fatalf(format string, args ...any) { f.Fatal(fmt.Sprintf(format, args...)) }

// failure runs something that is to fail and returns what it said.
func failure(t *testing.T, run func(t testing.TB)) string {
	t.Helper()
	f := &failing{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		run(f)
	}()
	<-done
	return f.message
}

func TestServerOptions(t *testing.T) {
	path, _ := redisserver.Find()
	srv := Server(t, WithConfig("maxmemory 10mb", "requirepass secret"), WithAOF("always"), WithBinary(path))
	ctx, rdb := t.Context(), Client(t, srv)
	for name, want := range map[string]string{"maxmemory": "10485760", "appendonly": "yes", "appendfsync": "always"} {
		if got := rdb.ConfigGet(ctx, name).Val()[name]; got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestServerEndsWithItsTest(t *testing.T) {
	var srv *redisserver.Server
	t.Run("inner", func(t *testing.T) { srv = Server(t) })
	select {
	case <-srv.Done():
	default:
		t.Error("the server outlived the test")
	}
}

func TestNoServerIsAFailureThatSaysWhatToInstall(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	message := failure(t, func(t testing.TB) { Server(t) })
	if !strings.Contains(message, "apt-get install -y redis-server") || !strings.Contains(message, "brew install redis") {
		t.Errorf("the failure says %q", message)
	}
	if strings.Contains(message, "\n") {
		t.Error("the failure is longer than a line")
	}
}

func TestEachServerRunsTheListedOnes(t *testing.T) {
	path, ok := redisserver.Find()
	if !ok {
		t.Fatal(install)
	}
	link := filepath.Join(t.TempDir(), "other-server")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	t.Setenv(serversEnv, link)
	var names []string
	EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		names = append(names, t.Name())
		if err := Client(t, srv).Ping(t.Context()).Err(); err != nil {
			t.Error(err)
		}
	}, WithConfig("maxmemory 10mb"))
	if len(names) != 2 || !strings.Contains(names[0], "-") || names[0] == names[1] {
		t.Errorf("ran %q", names)
	}
}

func TestWaitFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		WaitFor(t, time.Minute, func() bool { return time.Since(start) >= time.Second }, "a second to pass")
		if took := time.Since(start); took != time.Second {
			t.Errorf("waited %v", took)
		}
		message := failure(t, func(t testing.TB) {
			WaitFor(t, time.Second, func() bool { return false }, "the end of time")
		})
		if message != "gave up after 1s waiting for the end of time" {
			t.Errorf("the failure says %q", message)
		}
	})
}

func TestMonitorCountsWhatClientsSend(t *testing.T) {
	EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		ctx, rdb := t.Context(), Client(t, srv)
		rdb.Ping(ctx)
		m := NewMonitor(t, srv)
		rdb.Set(ctx, "k", `a "quoted" [0 lua] value`, 0)
		rdb.Eval(ctx, `redis.call('INCR', KEYS[1]) return redis.call('INCR', KEYS[1])`, []string{"n"})
		rdb.Get(ctx, "k")
		want := []string{
			`SET "k" "a \"quoted\" [0 lua] value"`,
			`EVAL "redis.call('INCR', KEYS[1]) return redis.call('INCR', KEYS[1])" "1" "n"`,
			`GET "k"`,
		}
		if got := m.Lines(); !slices.Equal(got, want) {
			t.Errorf("lines:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if all, sets, incrs := m.Count(), m.Count("set", "GET"), m.Count("INCR"); all != 3 || sets != 2 || incrs != 0 {
			t.Errorf("counted %d, %d, %d", all, sets, incrs)
		}
		m.Reset()
		if n := m.Count(); n != 0 {
			t.Errorf("%d commands after Reset", n)
		}
	}, WithConfig("requirepass secret"))
}

func TestMonitorFailsWhenTheServerHasGone(t *testing.T) {
	srv := Server(t)
	m := NewMonitor(t, srv)
	srv.Kill()
	if message := failure(t, func(tb testing.TB) { m.t = tb; m.Count() }); !strings.Contains(message, "monitor") {
		t.Errorf("the failure says %q", message)
	}
}
