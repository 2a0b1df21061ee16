package redisserver

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// stopGrace is how long Stop waits after SIGTERM. Redis 7 would wait up to
	// 10 s for slow replicas, which nobody at a terminal wants.
	stopGrace = 5 * time.Second
	// portRaces is how many ports are tried when others keep taking them.
	portRaces = 10
)

// Server is a server process and the means to hurt it. All methods are safe for
// concurrent use.
type Server struct {
	opts Options
	port int
	held claim // to the port, while it is down too

	life sync.Mutex // held through Stop and Restart, so that they take turns
	mu   sync.Mutex // guards proc alone, so that Kill never waits for a Restart
	proc *process
}

// Start launches a server and returns when it answers. ctx bounds the start,
// not the server's life: the server runs until Stop, or on Linux until this
// process ends, however it ends. The error of a server that dies while starting
// carries the end of its log.
func Start(ctx context.Context, o Options) (*Server, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if o.Port != 0 {
		return startOn(ctx, o, o.Port, nil)
	}
	cluster := strings.EqualFold(o.extra("cluster-enabled"), "yes")
	for try := 1; ; try++ {
		port, held, err := freePort(cluster)
		if err != nil {
			return nil, fmt.Errorf("redisserver: %w", err)
		}
		s, err := startOn(ctx, o, port, held)
		// A port nobody listened on a moment ago may be gone by now; only the
		// server's own words tell that from any other failure.
		if err == nil {
			return s, nil
		}
		held.release()
		if try == portRaces || !portTaken(err) {
			return nil, err
		}
	}
}

func portTaken(err error) bool {
	return strings.Contains(err.Error(), "Address already in use")
}

func startOn(ctx context.Context, o Options, port int, held claim) (*Server, error) {
	s := &Server{opts: o, port: port, held: held}
	if err := s.launch(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// launch starts a new process and makes it the current one once it is ready.
func (s *Server) launch(ctx context.Context) error {
	p, err := spawn(s.opts, s.port)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.proc = p // before it is ready: Kill must be able to interrupt a start
	s.mu.Unlock()
	if err := awaitReady(ctx, p, s.Addr(), s.opts.extra("requirepass")); err != nil {
		p.kill()
		return fmt.Errorf("redisserver: %s on port %d: %w", s.opts.Binary, s.port, err)
	}
	return nil
}

func (s *Server) current() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc
}

// Addr returns "127.0.0.1:port". It stays the same across Restart.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// Port returns the TCP port. It stays the same across Restart.
func (s *Server) Port() int { return s.port }

// URL returns the redis:// URL of database 0, with the password if a
// requirepass line set one.
func (s *Server) URL() string {
	u := url.URL{Scheme: "redis", Host: s.Addr(), Path: "/0"}
	if password := s.opts.extra("requirepass"); password != "" {
		u.User = url.UserPassword("", password)
	}
	return u.String()
}

// Pid returns the process id of the current process, which may have ended.
// Restart changes it.
func (s *Server) Pid() int { return s.current().pid() }

// Done returns a channel that is closed when the current process has ended and
// been reaped. After a Restart, ask again.
func (s *Server) Done() <-chan struct{} { return s.current().done }

// LogTail returns the last lines that the current process printed.
func (s *Server) LogTail() string { return s.current().log.String() }

// Stop ends the server: SIGTERM, and SIGKILL when ctx ends or five seconds pass
// before it has gone. It returns when the process is reaped, with an error when
// it had to be killed. Stopping a server that is down does nothing. A frozen
// server is thawed, or the signal would not reach it.
func (s *Server) Stop(ctx context.Context) error {
	s.life.Lock()
	defer s.life.Unlock()
	return s.stop(ctx)
}

func (s *Server) stop(ctx context.Context) error {
	p := s.current()
	if p.ended() {
		return nil
	}
	// Both fail only when the process ended meanwhile, which Done shows below.
	_ = terminate(p.cmd.Process)
	_ = p.setFrozen(false)
	ctx, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		p.kill()
		return fmt.Errorf("redisserver: killed, as it did not stop: %w", context.Cause(ctx))
	}
}

// Kill ends the server with SIGKILL, as a crash would, and returns when the
// process is reaped. Killing a server that is down does nothing.
func (s *Server) Kill() { s.current().kill() }

// Freeze stops the process in its tracks (SIGSTOP): the kernel still accepts
// connections and bytes for it, and nothing answers. On Linux the process is at
// a standstill when Freeze returns. It fails when the server is down, and on
// Windows with an error that is errors.ErrUnsupported.
func (s *Server) Freeze() error { return s.current().setFrozen(true) }

// Thaw lets a frozen process go on (SIGCONT).
func (s *Server) Thaw() error { return s.current().setFrozen(false) }

// Restart stops the server if it runs and starts it again with the same port,
// folder and options; ctx bounds both. What it remembers is what AppendOnly and
// Dir kept. After a failed Restart the server is down.
func (s *Server) Restart(ctx context.Context) error {
	s.life.Lock()
	defer s.life.Unlock()
	// A server that had to be killed is down all the same.
	_ = s.stop(ctx)
	return s.launch(ctx)
}
