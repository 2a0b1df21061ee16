package redisserver

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// start runs a server for the test. It fails without one: see redistest.Server.
func start(t *testing.T, o Options) *Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s, err := Start(ctx, o)
	if err != nil {
		t.Fatalf("%v (apt-get install -y redis-server, or brew install redis)", err)
	}
	t.Cleanup(s.Kill)
	return s
}

// do sends one command on a connection of its own, logged in if need be.
func do(t *testing.T, s *Server, within time.Duration, args ...string) (string, error) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", s.Addr(), within)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	if password := s.opts.extra("requirepass"); password != "" {
		if _, err := ask(conn, r, "AUTH", password); err != nil {
			return "", err
		}
	}
	return ask(conn, r, args...)
}

func mustDo(t *testing.T, s *Server, want string, args ...string) {
	t.Helper()
	if got, err := do(t, s, 5*time.Second, args...); err != nil || got != want {
		t.Fatalf("%q = %q, %v; want %q", args, got, err, want)
	}
}

func TestStartServesAndStopEnds(t *testing.T) {
	var log bytes.Buffer
	s := start(t, Options{Log: &log})
	mustDo(t, s, "+PONG", "PING")
	if want := "redis://127.0.0.1:" + strconv.Itoa(s.Port()) + "/0"; s.URL() != want {
		t.Errorf("URL %q, want %q", s.URL(), want)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.Done():
	default:
		t.Fatal("Done is open after Stop")
	}
	// Nothing writes to the log after Done, so this read is no race.
	if !strings.Contains(log.String(), "eady to accept connections") {
		t.Errorf("log lacks the server's words:\n%s", log.String())
	}
	if !strings.HasSuffix(log.String(), s.LogTail()+"\n") {
		t.Error("the tail is not the end of the log")
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Errorf("second Stop: %v", err)
	}
	if err := s.Freeze(); err == nil {
		t.Error("froze a server that is down")
	}
}

func TestAppendOnlySurvivesCrash(t *testing.T) {
	s := start(t, Options{Dir: t.TempDir(), AppendOnly: true, AppendFsync: "always"})
	mustDo(t, s, "+OK", "SET", "k", "v")
	pid, port, done := s.Pid(), s.Port(), s.Done()
	s.Kill()
	<-done
	if _, err := do(t, s, time.Second, "PING"); err == nil {
		t.Fatal("a killed server answers")
	}
	for range 2 { // once from down, once from running
		if err := s.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		mustDo(t, s, "v", "GET", "k")
	}
	if s.Port() != port || s.Pid() == pid {
		t.Errorf("port %d -> %d, pid %d -> %d", port, s.Port(), pid, s.Pid())
	}
}

func TestTemporaryFolderIsRemoved(t *testing.T) {
	parent := t.TempDir()
	t.Setenv("TMPDIR", parent)
	s := start(t, Options{})
	made, err := filepath.Glob(filepath.Join(parent, "tidemill-redis-*"))
	if err != nil || len(made) != 1 {
		t.Fatalf("folders %q, %v; want one", made, err)
	}
	s.Kill()
	if _, err := os.Stat(made[0]); !os.IsNotExist(err) {
		t.Errorf("the folder is left behind: %v", err)
	}
}

func TestErrorCarriesTheLog(t *testing.T) {
	_, err := Start(t.Context(), Options{Extra: []string{"no-such-setting 1"}})
	if err == nil || !strings.Contains(err.Error(), "no-such-setting") {
		t.Fatalf("error %v does not name the bad line", err)
	}
}

// A stranger on the port answers PING too, and must not be taken for our child.
func TestTakenPortIsAnError(t *testing.T) {
	stranger := start(t, Options{})
	s, err := Start(t.Context(), Options{Port: stranger.Port()})
	if err == nil {
		s.Kill()
		t.Fatal("started on a port that was taken")
	}
	if !portTaken(err) {
		t.Errorf("error %v is not recognised as a port taken", err)
	}
}

func TestManyStartAtOnce(t *testing.T) {
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			s, err := Start(t.Context(), Options{})
			if err != nil {
				t.Error(err)
				return
			}
			s.Kill()
		})
	}
	all.Wait()
}

func TestPasswordAndUnixSocket(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "r.sock")
	s := start(t, Options{UnixSocket: socket, Extra: []string{`requirepass "a b@c"`}})
	mustDo(t, s, "+PONG", "PING")
	if want := "redis://:a%20b%40c@" + s.Addr() + "/0"; s.URL() != want {
		t.Errorf("URL %q, want %q", s.URL(), want)
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got, err := ask(conn, bufio.NewReader(conn), "PING"); err != nil || !strings.HasPrefix(got, "-NOAUTH") {
		t.Errorf("PING without a password: %q, %v", got, err)
	}
}

func TestReplicaAndClusterModeStart(t *testing.T) {
	primary := start(t, Options{})
	replica := start(t, Options{Extra: []string{"replicaof 127.0.0.1 " + strconv.Itoa(primary.Port())}})
	if role, err := do(t, replica, time.Second, "INFO", "replication"); err != nil || !strings.Contains(role, "role:slave") {
		t.Errorf("replica says %q, %v", role, err)
	}
	node := start(t, Options{Dir: t.TempDir(), Extra: []string{"cluster-enabled yes"}})
	if info, err := do(t, node, time.Second, "INFO", "cluster"); err != nil || !strings.Contains(info, "cluster_enabled:1") {
		t.Errorf("cluster node says %q, %v", info, err)
	}
}

func TestFreezeAndThaw(t *testing.T) {
	s := start(t, Options{})
	for range 2 { // a repeated Freeze is harmless
		if err := s.Freeze(); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := do(t, s, 30*time.Millisecond, "PING"); err == nil {
		t.Fatalf("a frozen server answered %q", got)
	}
	if err := s.Thaw(); err != nil {
		t.Fatal(err)
	}
	mustDo(t, s, "+PONG", "PING")
	if err := s.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Errorf("stopping a frozen server: %v", err)
	}
}

func TestStopKillsWhenContextEnds(t *testing.T) {
	s := start(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Stop(ctx); err == nil {
		t.Error("a server that was given no time stopped in order")
	}
	<-s.Done()
}

func TestStartGivesUpWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if s, err := Start(ctx, Options{}); err == nil {
		s.Kill()
		t.Fatal("started under a context that had ended")
	}
}

// The kernel kills the child with the thread that forked it. That thread must
// not be the caller's, which may end long before the server is to.
func TestServerOutlivesTheThreadThatCalledStart(t *testing.T) {
	got := make(chan *Server, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		s, err := Start(t.Context(), Options{})
		if err != nil {
			t.Error(err)
		}
		got <- s
	}()
	s := <-got
	if s == nil {
		return
	}
	defer s.Kill()
	for range 20 {
		runtime.Gosched()
		mustDo(t, s, "+PONG", "PING")
	}
}

func TestLifecycleCallsFromManyGoroutines(t *testing.T) {
	s := start(t, Options{})
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() { _ = s.Restart(t.Context()) }) // may lose against a Kill
		all.Go(s.Kill)
		all.Go(func() { _ = s.Freeze(); _ = s.Thaw(); _ = s.Pid(); _ = s.LogTail() })
	}
	all.Wait()
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustDo(t, s, "+PONG", "PING")
}
