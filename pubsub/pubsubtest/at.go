package pubsubtest

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/conn"
	"github.com/tidemill/tidemill/pubsub"
)

// At is a running Redis as Run's target, by its URL as pubsub.Open takes it: one server, Sentinel or Cluster, of Redis 7.0
// or newer; set Sharded to false for an older one, and Patterns where an ACL forbids them. It uses no command that package pubsub does not use, other than
// PUBLISH and XADD, and breaks connections of its own only.
func At(url string) Target {
	return Target{Connect: func(t testing.TB) Server { return connect(t, url) }, Durable: true, Sharded: true, Patterns: true, Cut: true}
}

// remote is a Server at a URL.
type remote struct {
	t     testing.TB
	set   *conn.Set
	wires wires
}

func connect(t testing.TB, url string) *remote {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	set, err := conn.Open(ctx, url, conn.Config{})
	if err != nil {
		t.Fatalf("pubsubtest: %v", err)
	}
	t.Cleanup(func() { _ = set.Close() })
	return &remote{t: t, set: set}
}

func (r *remote) Redis() redis.UniversalClient { return r.set.Shared() }

func (r *remote) Cut() { r.wires.cut() }

// Client makes a client like the shared one, whose connections can be cut.
func (r *remote) Client(config ...pubsub.Config) *pubsub.Client {
	r.t.Helper()
	var rdb redis.UniversalClient
	switch shared := r.set.Shared().(type) {
	case *redis.ClusterClient:
		opt := *shared.Options()
		if opt.Dialer == nil { // each node makes its own
			opt.Dialer = redis.NewDialer(&redis.Options{TLSConfig: opt.TLSConfig, DialTimeout: opt.DialTimeout})
		}
		opt.Dialer = r.wires.watch(opt.Dialer)
		rdb = redis.NewClusterClient(&opt)
	case *redis.Client:
		opt := *shared.Options()
		opt.Dialer = r.wires.watch(opt.Dialer)
		rdb = redis.NewClient(&opt)
	default:
		r.t.Fatalf("pubsubtest: clients of %T are not known", shared)
	}
	r.t.Cleanup(func() { _ = rdb.Close() })
	return newClient(r.t, rdb, config)
}

type dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

// wires are the connections that can be cut. Safe for concurrent use.
type wires struct {
	mu   sync.Mutex
	open map[*wire]struct{}
}

// wire is a connection that can be broken from this side, and looks then as if it was from the other.
type wire struct {
	net.Conn
	of     *wires
	broken atomic.Bool
}

func (w *wires) watch(dial dialer) dialer {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		one := &wire{Conn: c, of: w}
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.open == nil {
			w.open = make(map[*wire]struct{})
		}
		w.open[one] = struct{}{}
		return one, nil
	}
}

func (w *wires) cut() {
	w.mu.Lock()
	all := w.open
	w.open = nil
	w.mu.Unlock()
	for one := range all {
		one.broken.Store(true)
		_ = one.Conn.Close()
	}
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	return n, w.fault(err)
}

func (w *wire) Write(p []byte) (int, error) {
	n, err := w.Conn.Write(p)
	return n, w.fault(err)
}

func (w *wire) Close() error {
	w.of.mu.Lock()
	delete(w.of.open, w)
	w.of.mu.Unlock()
	return w.Conn.Close()
}

func (w *wire) fault(err error) error {
	if err != nil && w.broken.Load() {
		return &net.OpError{Op: "read", Net: "tcp", Addr: w.RemoteAddr(), Err: syscall.ECONNRESET}
	}
	return err
}
