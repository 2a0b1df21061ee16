// Package devserver is the Redis that `worker dev` brings along where it was told of none: a redis-server or
// valkey-server found on PATH, which keeps its data in a folder of the user's, or else an embedded server in pure Go,
// which forgets.
package devserver

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/tidemill/tidemill/internal/redisserver"
)

const (
	// usualPort is where everybody looks for Redis.
	usualPort = 6379
	// nextPorts is how many ports behind it are tried, so that the second server is found where the second one was
	// yesterday, before any free port is taken.
	nextPorts = 10
	// startWithin is generous: a long append-only file takes a while to load.
	startWithin = time.Minute
)

// Server is a running server. Whoever started it stops it.
type Server struct {
	// Addr is "host:port" as a client on this machine dials it.
	Addr string
	// Program is what runs: the path of a server program, or "" for the embedded one.
	Program string
	// Dir is where the data is kept; "" when nothing is.
	Dir string
	// Notes is what a person should know about how it was started, a sentence each.
	Notes []string

	done <-chan struct{}
	tail func() string
	stop func(context.Context) error
}

// URL is the redis:// URL of database 0.
func (s *Server) URL() string { return "redis://" + s.Addr + "/0" }

// Embedded tells whether it is the one that forgets.
func (s *Server) Embedded() bool { return s.Program == "" }

// Done is closed when the server has ended, by Stop or on its own.
func (s *Server) Done() <-chan struct{} { return s.done }

// LogTail is the last lines that the server printed.
func (s *Server) LogTail() string { return s.tail() }

// Stop ends the server and returns when it is gone. ctx bounds how long it may take to go by itself.
func (s *Server) Stop(ctx context.Context) error { return s.stop(ctx) }

// Start starts a server on 127.0.0.1: on port 6379, or another one when that is taken. A server program on PATH keeps
// its data under folder, or beside it when another server uses it; without such a program it is the embedded server.
// ctx bounds the start only.
func Start(ctx context.Context, folder func() (string, error)) (*Server, error) {
	program, ok := redisserver.Find()
	if !ok {
		return startEmbedded()
	}
	base, err := folder()
	if err != nil {
		return nil, fmt.Errorf("no place to keep the data of %s: %w", program, err)
	}
	home, err := claim(base)
	if err != nil {
		return nil, fmt.Errorf("no place to keep the data of %s: %w", program, err)
	}
	s, err := startProgram(ctx, program, home)
	if err != nil {
		home.release()
		return nil, fmt.Errorf("%s did not start with the data in %s: %w", program, home.path, err)
	}
	return s, nil
}

func startProgram(ctx context.Context, program string, home *folder) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	srv, err := onFreePort(func(port int) (*redisserver.Server, error) {
		return redisserver.Start(ctx, redisserver.Options{Binary: program, Port: port, Dir: home.path, AppendOnly: true})
	})
	if err != nil {
		return nil, err
	}
	s := &Server{Addr: srv.Addr(), Program: program, Dir: home.path, done: srv.Done(), tail: srv.LogTail, Notes: home.notes}
	s.notePort(srv.Port())
	if err := home.occupy(srv.Addr()); err != nil {
		srv.Kill()
		return nil, err
	}
	s.stop = func(ctx context.Context) error {
		defer home.release()
		return srv.Stop(ctx)
	}
	return s, nil
}

// startEmbedded starts the embedded server on the first free port.
func startEmbedded() (*Server, error) {
	s, err := onFreePort(func(port int) (*Server, error) {
		return StartEmbedded(net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	})
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(s.Addr)
	number, _ := strconv.Atoi(port)
	s.notePort(number)
	return s, nil
}

func (s *Server) notePort(port int) {
	if port != usualPort {
		s.Notes = append(s.Notes, fmt.Sprintf("port %d is taken by another server, so this one is on %d", usualPort, port))
	}
}

// onFreePort starts a server on the usual port, on one of the next, or on any free one.
func onFreePort[T any](start func(port int) (T, error)) (T, error) {
	for port := usualPort; port <= usualPort+nextPorts; port++ {
		if taken(port) {
			continue
		}
		s, err := start(port)
		if err == nil || !taken(port) {
			return s, err
		}
		// Somebody was quicker: the next one.
	}
	return start(0)
}

// taken tells whether somebody listens on a port of this machine. Dialling finds what listening does not: on some
// systems one may listen on 127.0.0.1 beside a server that listens on all addresses, and would steal its clients.
func taken(port int) bool {
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	if c, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
		_ = c.Close()
		return true
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return true
	}
	_ = l.Close()
	return false
}
