package conn

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
)

// silence knows which of a Set's connections have heard nothing since Redis was last in doubt. What dies on the way
// without a word (a proxy that hangs, a firewall that forgets) takes all connections at once: each idle one would cost
// the next call on it a read timeout, one after another. Safe for concurrent use; nil knows nothing.
type silence struct {
	doubts atomic.Uint64

	mu   sync.Mutex
	open map[*listener]struct{}
}

// listener is a connection that notes whether it waits for an answer, and when it heard something.
type listener struct {
	net.Conn
	of    *silence
	asks  atomic.Bool
	heard atomic.Uint64 // the doubt after which that was
}

type listenerRaw struct {
	*listener
	rawConn
}

func newSilence() *silence { return &silence{open: make(map[*listener]struct{})} }

// watch makes a dialer's connections known.
func (s *silence) watch(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		l := &listener{Conn: c, of: s}
		l.heard.Store(s.doubts.Load())
		s.mu.Lock()
		s.open[l] = struct{}{}
		s.mu.Unlock()
		if raw, ok := c.(rawConn); ok { // go-redis looks through it whether an idle connection still stands
			return &listenerRaw{listener: l, rawConn: raw}, nil
		}
		return l, nil
	}
}

func (l *listener) Write(b []byte) (int, error) {
	l.asks.Store(true)
	return l.Conn.Write(b)
}

func (l *listener) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	if n > 0 {
		l.asks.Store(false)
		l.heard.Store(l.of.doubts.Load())
	}
	return n, err
}

// Close closes the connection.
func (l *listener) Close() error {
	l.of.mu.Lock()
	delete(l.of.open, l)
	l.of.mu.Unlock()
	return l.Conn.Close()
}

// Doubt notes that Redis did not answer: connections that hear nothing from here on may be dead without knowing it.
func (s *Set) Doubt() {
	if s.silence != nil {
		s.silence.doubts.Add(1)
	}
}

// DropSilent closes the idle connections that have heard nothing since the last Doubt, for use once Redis answers again
// over another one. Those that wait for an answer have their own time for that. Connections of a client that was passed
// in are its owner's.
func (s *Set) DropSilent() {
	if s.silence == nil {
		return
	}
	now := s.silence.doubts.Load()
	var idle []*listener
	s.silence.mu.Lock()
	for l := range s.silence.open {
		if l.heard.Load() < now && !l.asks.Load() {
			idle = append(idle, l)
		}
	}
	s.silence.mu.Unlock()
	for _, l := range idle {
		_ = l.Close() // whoever takes it next dials anew
	}
}
