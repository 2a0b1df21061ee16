package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Kind is what a system keeps its jobs or messages in.
type Kind string

// The servers that can be started.
const (
	Redis            Kind = "redis"
	RedisAOF         Kind = "redis with an append-only file"                     // synced each second
	RedisAOFRewrites Kind = "redis with an append-only file that it may rewrite" // once it has doubled and is 64 MB
	Postgres         Kind = "postgres"
)

// Broker is a running server, as a child process is told of it.
type Broker struct {
	Kind Kind   `json:"kind"`
	Addr string `json:"addr"` // host:port
	PID  int    `json:"pid"`
}

// server is a server of this program's own, without persistence or with as little as there can be.
type server struct {
	Broker
	version string
	cmd     *exec.Cmd
	dir     string
	exited  chan struct{}
	out     bytes.Buffer
}

// startServer starts one on a free loopback port. A port can be taken between the look and the start, so it tries three times.
func startServer(ctx context.Context, kind Kind) (*server, error) {
	launch := func(ctx context.Context) (*server, error) { return launchRedis(ctx, kind) }
	if kind == Postgres {
		launch = launchPostgres
	}
	var last error
	for range 3 {
		srv, err := launch(ctx)
		if err == nil {
			return srv, nil
		}
		last = err
		if ctx.Err() != nil {
			break
		}
	}
	return nil, fmt.Errorf("start %s: %w", kind, last)
}

// Available says why a kind of server cannot be started here, or nil.
func Available(kind Kind) error {
	if kind == Postgres {
		_, err := findPostgres()
		return err
	}
	_, err := exec.LookPath("redis-server")
	return err
}

// start runs the server's command and waits until ready says that it answers.
func (s *server) start(ctx context.Context, ready func(context.Context) error) error {
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	if err := s.cmd.Start(); err != nil {
		return errors.Join(err, os.RemoveAll(s.dir))
	}
	s.PID, s.exited = s.cmd.Process.Pid, make(chan struct{})
	go func() {
		_ = s.cmd.Wait()
		close(s.exited)
	}()
	if err := s.awaitReady(ctx, ready); err != nil {
		s.stop()
		return fmt.Errorf("%w: %s", err, tail(s.out.String(), 2000))
	}
	return nil
}

// errNotReady is a server's that does not answer yet.
var errNotReady = errors.New("does not answer")

func (s *server) awaitReady(ctx context.Context, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		err := ready(ctx)
		if !errors.Is(err, errNotReady) {
			return err
		}
		select {
		case <-s.exited:
			return errors.New("it exited")
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// stop ends the server by its own pid, and removes its directory.
func (s *server) stop() {
	gentle := syscall.SIGTERM
	if s.Kind == Postgres {
		gentle = syscall.SIGINT // SIGTERM would wait for its clients
	}
	_ = s.cmd.Process.Signal(gentle)
	select {
	case <-s.exited:
	case <-time.After(3 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.exited
	}
	_ = os.RemoveAll(s.dir)
}

// freeAddr asks the kernel for a free loopback port.
func freeAddr() (addr, port string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	defer l.Close()
	addr = l.Addr().String()
	_, port, err = net.SplitHostPort(addr)
	return addr, port, err
}

// answers says whether anything listens at addr. No go-redis client is used for this: it logs each refused dial.
func answers(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

// tail is the end of s, at most n bytes.
func tail(s string, n int) string {
	s = strings.TrimSpace(s)
	return s[max(0, len(s)-n):]
}

// Empty takes everything off a broker.
func Empty(ctx context.Context, b Broker) error {
	if b.Kind == Postgres {
		return emptyPostgres(ctx, b)
	}
	return emptyRedis(ctx, b)
}
