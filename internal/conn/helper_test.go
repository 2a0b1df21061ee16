package conn

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// startRedis runs a real redis-server on a free loopback port, with extra lines
// of configuration, and returns its address.
func startRedis(t testing.TB, config ...string) string {
	t.Helper()
	for range 5 { // the free port may be taken before the server binds it
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := listener.Addr().String()
		_, port, _ := net.SplitHostPort(addr)
		_ = listener.Close()
		cmd := exec.Command("redis-server", "-")
		lines := append([]string{"bind 127.0.0.1", "port " + port, `save ""`, "dir " + t.TempDir()}, config...)
		cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatalf("a real redis-server is needed (apt-get install redis-server): %v", err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		for scan := bufio.NewScanner(out); scan.Scan(); {
			if strings.Contains(scan.Text(), "Ready to accept connections") {
				go func() { _, _ = io.Copy(io.Discard, out) }()
				return addr
			}
		}
	}
	t.Fatal("redis-server did not start")
	return ""
}

// plain returns a client that is not of this package.
func plain(t testing.TB, addr string) *redis.Client {
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

func open(t testing.TB, url string, cfg Config) *Set {
	t.Helper()
	set, err := Open(t.Context(), url, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = set.Close() })
	return set
}

// pipeRedis is the embedded server, reached through net.Pipe only.
func pipeRedis(t testing.TB, opt redis.Options) *redis.Client {
	t.Helper()
	m := miniredis.NewMiniRedis()
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	srv := m.Server()
	srv.Close() // its Accept would never be durably blocked in a bubble
	opt.Addr = "127.0.0.1:6379"
	opt.Dialer = func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		srv.ServeConn(far)
		return near, nil
	}
	rdb := redis.NewClient(&opt)
	t.Cleanup(func() { _ = rdb.Close(); m.CtxCancel() })
	return rdb
}

// scripted is a server that answers each command with a raw reply of the test's
// choice; an empty one closes the connection. It remembers what it was asked.
type scripted struct {
	addr   string
	answer func(cmd string) string

	mu   sync.Mutex
	seen []string
}

func startScripted(t testing.TB, wrap func(net.Listener) net.Listener, answer func(cmd string) string) *scripted {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &scripted{addr: listener.Addr().String(), answer: answer}
	if wrap != nil {
		listener = wrap(listener)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go s.serve(c)
		}
	}()
	return s
}

func (s *scripted) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	for in := bufio.NewReader(c); ; {
		cmd, err := readCommand(in)
		if err != nil {
			return
		}
		s.mu.Lock()
		s.seen = append(s.seen, cmd)
		s.mu.Unlock()
		reply := s.answer(cmd)
		if reply == "" {
			return
		}
		if _, err := io.WriteString(c, reply); err != nil {
			return
		}
	}
}

func (s *scripted) commands() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.seen...)
}

func readCommand(in *bufio.Reader) (string, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return "", err
	}
	n, err := strconv.Atoi(strings.TrimSpace(line[1:]))
	if err != nil {
		return "", err
	}
	words := make([]string, n)
	for i := range words {
		size, err := in.ReadString('\n')
		if err != nil {
			return "", err
		}
		length, err := strconv.Atoi(strings.TrimSpace(size[1:]))
		if err != nil {
			return "", err
		}
		word := make([]byte, length+2)
		if _, err := io.ReadFull(in, word); err != nil {
			return "", err
		}
		words[i] = string(word[:length])
	}
	return strings.ToLower(strings.Join(words, " ")), nil
}

func bulk(s string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(s), s) }

func array(words ...string) string {
	out := fmt.Sprintf("*%d\r\n", len(words))
	for _, w := range words {
		out += bulk(w)
	}
	return out
}

// eventually waits for a condition that another process brings about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("never: %s", what)
		case <-tick.C:
		}
	}
}
