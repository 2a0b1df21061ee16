package redistest

import (
	"net"
	"slices"
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
	refuse bool
	closed bool
	links  map[*link]struct{}

	judging sync.Mutex     // held while a hook runs: one at a time
	running sync.WaitGroup // the goroutines of all links
	dropped atomic.Int64
	held    atomic.Int64
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

// Connections returns how many connections there are at the moment, among them
// those whose client has gone and whose request is held.
func (f *faults) Connections() int { return len(f.current()) }

// HoldRequest holds back the requests that pred chooses, and all that comes
// after them on the same connection, until release is called. The client may
// give up and go away in the meantime: release then delivers the request all the
// same, late, after whatever newer commands other connections have sent. release
// returns when the server has answered everything that was held; it may be
// called more than once, and pred chooses nothing after the first call. Several
// holds may be in force at once.
func (f *faults) HoldRequest(pred Pred) (release func()) {
	h := &hold{pred: pred, released: make(chan struct{})}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.holds = append(f.holds, h)
	return func() {
		f.mu.Lock()
		f.holds = slices.DeleteFunc(f.holds, func(other *hold) bool { return other == h })
		f.mu.Unlock()
		h.release()
	}
}

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

// judge asks the hooks what shall happen to the reply of c.
func (f *faults) judge(c command) verdict {
	f.mu.Lock()
	drop, delay := f.drop, f.delay
	f.mu.Unlock()
	if c.name == "" || (drop == nil && delay == nil) {
		return verdict{}
	}
	f.judging.Lock()
	defer f.judging.Unlock()
	var v verdict
	if drop != nil {
		v.drop = drop(c.name, c.args)
	}
	if delay != nil {
		v.delay = delay(c.name, c.args)
	}
	return v
}

// findHold returns the first command of the batch that is to be held and the
// hold it has joined, or the length of the batch and nil.
func (f *faults) findHold(batch []command) (int, *hold) {
	f.mu.Lock()
	holds := slices.Clone(f.holds)
	f.mu.Unlock()
	if len(holds) == 0 {
		return len(batch), nil
	}
	f.judging.Lock()
	defer f.judging.Unlock()
	for i, c := range batch {
		for _, h := range holds {
			if c.name != "" && h.pred(c.name, c.args) && h.join() {
				return i, h
			}
		}
	}
	return len(batch), nil
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
	f.running.Go(l.up)
	f.running.Go(l.down)
	return true
}

func (f *faults) detach(l *link) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.links, l)
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
