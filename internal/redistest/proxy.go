package redistest

import (
	"net"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// dialWithin bounds the Proxy's connecting to its target.
const dialWithin = 30 * time.Second

// Proxy stands between clients and a real server on TCP and loses, delays and
// reorders what passes. Safe for concurrent use.
//
// Refuse, Cut, BlackHole, Bandwidth, HoldRequest, Reorder, HoldReply, Held,
// HeldReplies, Dropped and Connections act on all clients. A refused connection is
// accepted by the kernel and reset at once: the port stays the Proxy's own
// meanwhile.
type Proxy struct {
	faults
	t        testing.TB
	target   string
	listener net.Listener
}

// NewProxy starts a proxy on a free loopback port before the server at target
// ("127.0.0.1:port"). It ends with the test, together with every connection
// through it. A target that is down looks like a refused connection.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("redistest: proxy: %v", err)
	}
	p := &Proxy{t: t, target: target, listener: l}
	accepting := make(chan struct{})
	go func() {
		defer close(accepting)
		p.accept()
	}()
	t.Cleanup(func() {
		l.Close()
		<-accepting // from here on no connection is added
		p.close()
	})
	return p
}

// Addr returns the "127.0.0.1:port" for clients to connect to.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Client returns a new client through the proxy, closed with the test. Its
// commands are not retried (MaxRetries -1) unless opts say otherwise.
func (p *Proxy) Client(opts ...func(*redis.Options)) *redis.Client {
	p.t.Helper()
	return newClient(p.t, p.Addr(), opts)
}

// DropReply makes every command that pred chooses lose its reply: the server
// executes it, and then the client's connection is reset. The commands of the
// same pipeline after it are executed too and lose theirs with it. For a command
// queued by MULTI the reply lost is that of EXEC. A new pred takes the place of
// the old one; nil ends the faults.
func (p *Proxy) DropReply(pred func(cmd string, args []string) bool) { p.setDrop(pred) }

// DelayReply makes the replies to the commands that pred chooses arrive d later
// than they were given; the commands themselves are executed at once. Replies
// behind them on the same connection wait as well. A new pred takes the place of
// the old one; nil ends the delays.
func (p *Proxy) DelayReply(pred func(cmd string, args []string) bool, d time.Duration) {
	if pred == nil {
		p.setDelay(nil)
		return
	}
	p.setDelay(func(cmd string, args []string) time.Duration {
		if pred(cmd, args) {
			return d
		}
		return 0
	})
}

// accept serves until the listener is closed.
func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		if p.refusing() {
			reset(client)
			continue
		}
		server, err := net.DialTimeout("tcp", p.target, dialWithin)
		if err != nil {
			reset(client)
			continue
		}
		p.attach(client.(*net.TCPConn), server.(*net.TCPConn))
	}
}
