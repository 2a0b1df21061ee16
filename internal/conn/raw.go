package conn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// Raw is a share of the budget for a connection that its holder reads and writes by himself: one at a time, in a Cluster
// one to each server. Safe for concurrent use.
type Raw struct {
	common *common
	set    *Set
	name   string
	once   sync.Once
}

// Raw takes one connection of the budget for a purpose; Dedicated says what the name and the errors are. It outlives the
// Set it was taken from where other Sets share the budget. The caller closes it.
func (s *Set) Raw(name string) (*Raw, error) {
	if err := checkName("name of a raw connection", name); err != nil {
		return nil, err
	}
	s.common.mu.Lock()
	defer s.common.mu.Unlock()
	if err := s.common.takeLocked(fmt.Sprintf("the %s connection", name), 1); err != nil {
		return nil, err
	}
	return &Raw{common: s.common, set: s, name: name}, nil
}

// OneServer tells whether Open connects to one server at one address: of a Cluster, or where Sentinels name the primary, a
// connection that is held has to be let go when another server takes over, and a client that was passed in has its own hooks.
func (s *Set) OneServer() bool { return s.owned && s.cluster == nil && !s.bySentinel }

// Encrypted tells whether connections speak TLS.
func (s *Set) Encrypted() bool {
	if s.cluster != nil {
		return s.cluster.TLSConfig != nil
	}
	return s.single.TLSConfig != nil
}

// Close gives the share back; connections are their holders' to close. Closing twice is fine.
func (r *Raw) Close() {
	r.once.Do(func() {
		r.common.mu.Lock()
		defer r.common.mu.Unlock()
		r.common.used--
	})
}

// Dial connects as the Set's clients do (credentials, database, TLS, the primary of that moment, name) and hands the
// connection over, on which RESP2 is spoken and nothing is under way. node is the address of a Cluster's server, as in Node,
// and empty for any other Set. Errors are classified; the end of ctx ends it at once.
func (r *Raw) Dial(ctx context.Context, node string) (net.Conn, error) {
	r.common.mu.Lock()
	closed := r.common.closed
	r.common.mu.Unlock()
	if closed {
		return nil, fmt.Errorf("the %s connection: %w", r.name, redis.ErrClosed)
	}
	c, err := r.dial(ctx, node)
	if err == nil {
		return c, nil
	}
	if at, some := ctx.Deadline(); some && !time.Now().Before(at) {
		<-ctx.Done() // the connection's own deadline was a moment earlier
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("%w (%w)", endOf(ctx), err)
	} else if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return nil, Classify(err)
}

func (r *Raw) dial(ctx context.Context, node string) (net.Conn, error) {
	opt := r.options(node)
	dialing, cancel := context.WithTimeout(ctx, opt.DialTimeout)
	defer cancel()
	// Dialled here, since go-redis would do it in a goroutine that outlives ctx.
	plain, err := opt.Dialer(dialing, opt.Network, opt.Addr)
	if err != nil {
		return nil, err
	}
	c := &lent{Conn: plain}
	stop := context.AfterFunc(ctx, func() { _ = plain.Close() }) // go-redis does not interrupt a read
	err = r.greet(ctx, opt, c)
	if !stop() {
		err = errors.Join(context.Cause(ctx), err)
	}
	if err == nil {
		err = plain.SetDeadline(time.Time{})
	}
	if err != nil {
		_ = plain.Close()
		return nil, err
	}
	return plain, nil
}

// greet has go-redis do the handshake.
func (r *Raw) greet(ctx context.Context, opt *redis.Options, c *lent) error {
	greeted, then := false, opt.OnConnect
	opt.OnConnect = func(ctx context.Context, on *redis.Conn) error {
		greeted = true
		if then != nil {
			return then(ctx, on)
		}
		return nil
	}
	first := true
	opt.Dialer = func(context.Context, string, string) (net.Conn, error) {
		if !first {
			return nil, net.ErrClosed
		}
		first = false
		return c, nil
	}
	client := redis.NewClient(opt)
	defer func() { _ = client.Close() }() // which leaves the connection alone once it is kept
	err := client.Ping(ctx).Err()
	if greeted && isRefusedPing(err) {
		err = nil
	}
	c.kept.Store(err == nil)
	return err
}

// isRefusedPing tells that the user may not ping, which is no fault of the connection.
func isRefusedPing(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply) && isPermission(err) && strings.Contains(err.Error(), "'ping'")
}

// options are those of a client for one raw connection.
func (r *Raw) options(node string) *redis.Options {
	full := nameFor(r.set.name, r.name)
	if r.set.cluster == nil {
		return small(r.set.single, 1, full)
	}
	o := r.set.cluster
	opt := &redis.Options{
		Network: "tcp", Addr: node, Dialer: o.Dialer, OnConnect: o.OnConnect, Username: o.Username, Password: o.Password,
		CredentialsProvider: o.CredentialsProvider, CredentialsProviderContext: o.CredentialsProviderContext,
		StreamingCredentialsProvider: o.StreamingCredentialsProvider, DialTimeout: o.DialTimeout,
		ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout, TLSConfig: o.TLSConfig,
	}
	if opt.Dialer == nil {
		opt.DialTimeout = orDefault(opt.DialTimeout, dialTimeout)
		opt.Dialer = redis.NewDialer(opt)
	}
	return small(opt, 1, full)
}

// lent is a connection that go-redis has for the handshake.
type lent struct {
	net.Conn
	kept atomic.Bool
}

// Close closes the connection unless its holder keeps it.
func (c *lent) Close() error {
	if c.kept.Load() {
		return nil
	}
	return c.Conn.Close()
}
