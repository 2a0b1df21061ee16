package conn

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"syscall"
)

// followed is a connection to a primary that Sentinels may replace.
type followed struct {
	net.Conn
	addr string
	of   *sentinel
}

// Close closes the connection.
func (c *followed) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// rawConn is what TCP connections have and TLS ones have not.
type rawConn = syscall.Conn

type followedRaw struct {
	*followed
	rawConn
}

// dialPrimary is the dialer of the Set's clients. That no primary is to be found
// is the failed dial that it is.
func (s *sentinel) dialPrimary(ctx context.Context, network, _ string) (net.Conn, error) {
	addr, err := s.find(ctx)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: fmt.Errorf("no Sentinel names the primary %q: %w", s.name, err)}
	}
	c, err := s.dial(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return s.follow(addr, c)
}

// dialReplica is the dialer of the client for inspection reads: it goes to a
// replica that a Sentinel holds for sound, to another with each connection.
func (s *sentinel) dialReplica(ctx context.Context, network, _ string) (net.Conn, error) {
	s.mu.Lock()
	addrs := slices.Clone(s.addrs)
	s.mu.Unlock()
	var faults several
	for _, addr := range addrs {
		replicas, err := s.replicas(ctx, addr)
		if err == nil && len(replicas) > 0 {
			return s.dial(ctx, "tcp", replicas[rand.IntN(len(replicas))])
		}
		if err == nil {
			err = fmt.Errorf("the Sentinel at %s knows none that is connected", addr)
		}
		faults = append(faults, err)
	}
	return nil, &net.OpError{Op: "dial", Net: network, Err: fmt.Errorf("no Sentinel names a replica of %q: %w", s.name, faults)}
}

// replicas asks one Sentinel for the replicas that are up and connected.
func (s *sentinel) replicas(ctx context.Context, addr string) (up []string, err error) {
	client := s.client(addr)
	defer func() { _ = client.Close() }()
	defer context.AfterFunc(ctx, func() { _ = client.Close() })()
	all, err := client.Replicas(ctx, s.name).Result()
	if err != nil {
		return nil, fmt.Errorf("the Sentinel at %s: %w", addr, err)
	}
	for _, one := range all {
		down := false
		for _, flag := range []string{"s_down", "o_down", "disconnected"} {
			down = down || strings.Contains(one["flags"], flag)
		}
		if !down && one["master-link-status"] == "ok" {
			up = append(up, net.JoinHostPort(one["ip"], one["port"]))
		}
	}
	return up, nil
}

// follow notes a connection to the primary, so that it can be closed when
// another takes over.
func (s *sentinel) follow(addr string, c net.Conn) (net.Conn, error) {
	f := &followed{Conn: c, addr: addr, of: s}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.primary != addr {
		_ = c.Close()
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: fmt.Errorf("%s is not the primary %q any more", addr, s.name)}
	}
	s.open[f] = struct{}{}
	if raw, ok := c.(rawConn); ok { // go-redis looks through it whether an idle connection still stands
		return &followedRaw{followed: f, rawConn: raw}, nil
	}
	return f, nil
}
