package redistest

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// faults holds the hooks of a Bubble or a Proxy and the connections they apply
// to. Both embed it, so its exported methods are theirs. Safe for concurrent use.
type faults struct {
	mu     sync.Mutex // guards what follows
	drop   Pred
	delay  func(cmd string, args []string) time.Duration
	holds  []*hold
	keeps  []*keep
	holes  map[*hole]struct{}
	refuse bool
	closed bool
	links  map[*link]struct{}

	judging sync.Mutex     // held while a hook runs: one at a time
	running sync.WaitGroup // the goroutines of all links
	dropped atomic.Int64
	held    atomic.Int64
	kept    atomic.Int64

	upward, downward atomic.Pointer[pace]
}

// Refuse makes new connections fail from now on (true) or succeed again (false).
// Connections that exist are left alone; Cut ends those.
func (f *faults) Refuse(refuse bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse = refuse
}

// Cut breaks every current connection as its client sees it. What the clients
// had sent is still executed. A connection whose request is held loses its
// client only: the request survives for its release.
func (f *faults) Cut() {
	for _, l := range f.current() {
		l.reset()
	}
}

// Dropped returns how many connections have been broken so far in the place of a
// reply.
func (f *faults) Dropped() int { return int(f.dropped.Load()) }

// Held returns how many connections have a request held back at the moment.
func (f *faults) Held() int { return int(f.held.Load()) }

// HeldReplies returns how many connections have a reply held back at the moment.
func (f *faults) HeldReplies() int { return int(f.kept.Load()) }

// Connections returns how many connections there are at the moment, among them
// those whose client has gone and whose request is held.
func (f *faults) Connections() int { return len(f.current()) }

func (f *faults) setDrop(pred Pred) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drop = pred
}

func (f *faults) setDelay(delay func(cmd string, args []string) time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.delay = delay
}

// attach relays between a client and a server until both have gone. It reports
// false, with both closed, when connections are refused.
func (f *faults) attach(client, server wire) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse || f.closed {
		reset(client)
		server.Close()
		return false
	}
	l := newLink(f, client, server)
	if f.links == nil {
		f.links = map[*link]struct{}{}
	}
	f.links[l] = struct{}{}
	f.swallow(l)
	f.running.Go(l.up)
	f.running.Go(l.down)
	return true
}

func (f *faults) detach(l *link) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.links, l)
	for h := range f.holes {
		delete(h.links, l)
	}
}

func (f *faults) current() []*link {
	f.mu.Lock()
	defer f.mu.Unlock()
	links := make([]*link, 0, len(f.links))
	for l := range f.links {
		links = append(links, l)
	}
	return links
}

func (f *faults) refusing() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.refuse
}

// close ends every connection, held ones too, and waits for their goroutines.
func (f *faults) close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	for _, l := range f.current() {
		l.close()
	}
	f.running.Wait()
}

// wire is a connection whose two directions close separately.
type wire interface {
	net.Conn
	CloseWrite() error
}

// reset closes a connection so that its peer notices at once and for sure: over
// TCP by a reset instead of an orderly end.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	c.Close()
}
