package bus

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidemill/tidemill/internal/conn"
	"github.com/tidemill/tidemill/internal/loop"
)

// link is one connection, from before it is dialled until it breaks or nobody needs it.
type link struct {
	hub  *Hub
	node string // of a Cluster
	raw  *conn.Raw
	ctx  context.Context
	end  context.CancelFunc
	wake *loop.Trigger // of its writer

	began    time.Time
	reading  atomic.Int64 // since when it waits for something to arrive, ns after began; 0 = it does not
	unmarked atomic.Bool  // messages have arrived since the last ping was sent
	found    finding      // the reader's own

	// The Hub's lock guards:
	conn    net.Conn // nil until it stands
	topics  map[*topic]struct{}
	wanted  int // of them
	over    bool
	cause   error    // why it was given up
	dirty   []*topic // to be looked at by the writer
	groups  [][]*topic
	pending []*command
	asked   time.Time // when something was sent last
	mark    time.Time // all that was published before has arrived
}

// takeLocked gives a topic to the link.
func (l *link) takeLocked(t *topic) {
	t.link, t.sent, t.acked, t.dirty = l, false, false, false
	l.topics[t] = struct{}{}
	l.wanted++
	l.lookLocked(t)
}

// lookLocked has the writer look at a topic.
func (l *link) lookLocked(t *topic) {
	if !t.dirty {
		t.dirty = true
		l.dirty = append(l.dirty, t)
		l.wake.Set()
	}
}

// finishLocked ends a link that nobody needs.
func (l *link) finishLocked() {
	l.over = true
	if l.hub.links[l.node] == l {
		delete(l.hub.links, l.node)
	}
	for t := range l.topics {
		l.hub.deleteLocked(t)
	}
	l.end()
}

func (l *link) run() {
	defer l.end()
	err := l.serve()
	l.hub.lost(l, err)
}

// serve connects and reads until the connection breaks.
func (l *link) serve() error {
	dialing, cancel := context.WithTimeout(l.ctx, connecting)
	defer cancel()
	c, err := l.raw.Dial(dialing, l.node)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = c.Close() }()
	defer context.AfterFunc(l.ctx, func() { _ = c.Close() })()
	l.hub.mu.Lock()
	l.conn, l.asked = c, time.Now()
	l.hub.trouble = nil
	l.hub.mu.Unlock()

	ctx, stop := context.WithCancel(l.ctx)
	var writer sync.WaitGroup
	writer.Go(func() { l.write(ctx, c) })
	err = l.read()
	_ = c.Close() // which ends a write
	stop()
	writer.Wait()
	l.hub.mu.Lock()
	defer l.hub.mu.Unlock()
	if l.cause != nil {
		err = l.cause
	}
	return &lostError{err}
}

// give closes the connection and says why.
func (l *link) give(err error) {
	l.hub.mu.Lock()
	c := l.conn
	if l.cause == nil {
		l.cause = err
	}
	l.hub.mu.Unlock()
	_ = c.Close() // which may take a while under TLS
}
