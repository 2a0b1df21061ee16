package bus

import (
	"bufio"
	"context"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/conn"
)

// pipeServer is the embedded server behind net.Pipe, with a relay that counts
// requests, can swallow replies (a dead peer) and can cut.
type pipeServer struct {
	*miniredis.Miniredis
	requests atomic.Int64
	dials    atomic.Int64
	dead     atomic.Bool

	mu    sync.Mutex
	conns []net.Conn
}

func startPipe(t testing.TB) *pipeServer {
	t.Helper()
	s := &pipeServer{Miniredis: miniredis.NewMiniRedis()}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	s.Server().Close() // its Accept would never be durably blocked in a bubble
	t.Cleanup(func() { s.cut(); s.CtxCancel() })
	return s
}

func (s *pipeServer) client(t testing.TB) *redis.Client {
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379", Dialer: s.dial, ContextTimeoutEnabled: true, MaxRetries: -1})
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

// dedicated is a client as the programs use one for their subscription.
func (s *pipeServer) dedicated(t testing.TB) redis.UniversalClient {
	set, err := conn.Wrap(s.client(t), conn.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = set.Close() })
	client, err := set.Dedicated("subscription", 1)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func (s *pipeServer) dial(context.Context, string, string) (net.Conn, error) {
	near, relayNear := net.Pipe()
	relayFar, far := net.Pipe()
	s.Server().ServeConn(far)
	s.dials.Add(1)
	s.mu.Lock()
	s.conns = append(s.conns, relayNear, relayFar)
	s.mu.Unlock()
	relay := func(to, from net.Conn, replies bool) {
		defer func() { _ = to.Close(); _ = from.Close() }()
		for buf := make([]byte, 4096); ; {
			n, err := from.Read(buf)
			if err != nil {
				return
			}
			if !replies {
				s.requests.Add(1)
			}
			if replies && s.dead.Load() {
				continue
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
	}
	go relay(relayFar, relayNear, false)
	go relay(relayNear, relayFar, true)
	return near, nil
}

// cut resets every connection.
func (s *pipeServer) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		_ = c.Close()
	}
	s.conns = nil
}

// record is a Handler that hands everything to the test.
type record chan string

func (r record) Connected()                      { r <- "connected" }
func (r record) Message(channel, payload string) { r <- channel + "=" + payload }

func (r record) next(t testing.TB) string {
	t.Helper()
	select {
	case got := <-r:
		return got
	case <-time.After(10 * time.Second):
		t.Fatal("nothing arrived")
		return ""
	}
}

// startRedis runs a real redis-server on addr, or on a free loopback port if
// that is empty. stop ends it by its own process.
func startRedis(t testing.TB, addr string) (at string, stop func()) {
	t.Helper()
	for range 5 { // the free port may be taken before the server binds it
		at = addr
		if at == "" {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			at = listener.Addr().String()
			_ = listener.Close()
		}
		_, port, _ := net.SplitHostPort(at)
		cmd := exec.Command("redis-server", "-")
		cmd.Stdin = strings.NewReader("bind 127.0.0.1\nport " + port + "\nsave \"\"\ndir " + t.TempDir() + "\n")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatalf("a real redis-server is needed (apt-get install redis-server): %v", err)
		}
		stop = sync.OnceFunc(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		t.Cleanup(stop)
		for scan := bufio.NewScanner(out); scan.Scan(); {
			if strings.Contains(scan.Text(), "Ready to accept connections") {
				go func() { _, _ = io.Copy(io.Discard, out) }()
				return at, stop
			}
		}
	}
	t.Fatal("redis-server did not start")
	return "", nil
}
