package broker

import (
	"bufio"
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/tidemill/tidemill/internal/keys"
)

// Express is a connection for enqueue calls alone, written and read by whoever makes them: no goroutine stands between, and
// calls can follow each other before the first is answered. One caller has it at a time; others go another way meanwhile, and
// so does a call that failed here, under the same stamp. It connects in the background: no caller waits for that. Safe for
// concurrent use.
type Express struct {
	dial    func(context.Context) (net.Conn, error)
	release func()        // what is held for the connection is not needed any more; may be called more than once
	timeout time.Duration // of one write or reply; 0 or less: none

	turn   sync.Mutex // held by who has it; below is his
	r      *bufio.Reader
	eyes   *glance
	out    []byte
	in     []byte    // the last reply
	sent   []sent    // the calls that are not answered yet
	used   time.Time // when the last reply came; zero of a new connection
	stop   func() bool
	away   bool  // the server says that it does not serve
	knows  bool  // the script, as it has answered on this connection
	direct bool  // calls may be direct ones (direct.go)
	server int64 // its clock when it last answered, ms
	heard  time.Time

	probe   *keys.Queue // one that nobody uses; nil: no direct calls. Of the dial under way, and before the first
	unasked int         // dials in a row in which the question came to nothing; of the dial too
	life    context.Context
	end     context.CancelFunc
	dials   sync.WaitGroup

	mu      sync.Mutex
	conn    net.Conn // changed by who has it alone
	fresh   net.Conn // the next one
	may     bool     // it may have direct calls
	dialing bool
	next    time.Time // no sooner is it tried to connect again
	closed  bool
}

const (
	// redialAfter is how long a connection that broke, or could not be made, is done without.
	redialAfter = time.Second
	// dialFor bounds how long one try to connect takes.
	dialFor = 5 * time.Second
	// clockFor is for how long what was heard of the server's clock is held for exact.
	clockFor = time.Minute
	// unaskedProbes is how often in a row a connection may end over the question whether it may have direct calls.
	unaskedProbes = 3
	// freshFor is how long after a reply a connection is held for alive without a look at it.
	freshFor = time.Millisecond
)

// NewExpress makes one that connects once somebody wants it. dial hands over a connection on which RESP2 is spoken, and obeys
// its context; release is told when none will be wanted any more.
func NewExpress(dial func(context.Context) (net.Conn, error), release func(), timeout time.Duration) *Express {
	x := &Express{dial: dial, release: release, timeout: timeout}
	x.life, x.end = context.WithCancel(context.Background())
	return x
}

// sent is a call under way.
type sent struct {
	items  []Item
	direct bool
	clock  int64 // what the server's clock was held to show then, ms; 0 = not known
}

// AllowDirect has calls of several new jobs be direct ones, where the server allows it. q is a queue that nobody uses. It stands
// before the first Take.
func (x *Express) AllowDirect(q *keys.Queue) { x.probe = q }

// Take is true where the connection is the caller's from here on, until Free. It never waits: it is false where another has
// it, or while there is none, which is then made for those who come later.
func (x *Express) Take() bool {
	if !x.turn.TryLock() {
		return false
	}
	now := time.Now()
	if x.connected() {
		if now.Sub(x.used) <= freshFor || x.alive() {
			return true
		}
		x.drop(now.Add(-redialAfter)) // as after a restart: there is nothing wrong with the server
	}
	x.connect(now)
	x.turn.Unlock()
	return false
}

// connected tells whether there is a connection, if need be the one that was made meanwhile.
func (x *Express) connected() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return false
	}
	if x.conn == nil && x.fresh != nil {
		x.conn, x.fresh, x.direct = x.fresh, nil, x.may
		x.used, x.eyes = time.Time{}, newGlance(x.conn)
		if x.r == nil {
			x.r = bufio.NewReader(x.conn)
		} else {
			x.r.Reset(x.conn)
		}
	}
	return x.conn != nil
}

// alive looks at a connection on which nothing is under way.
func (x *Express) alive() bool {
	// The last call's deadline has passed by now, it may be, and nobody may look behind that.
	return x.conn.SetDeadline(time.Time{}) == nil && !x.eyes.readable()
}

// connect begins to make a connection, unless one is being made or one failed just now.
func (x *Express) connect(now time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed || x.dialing || now.Before(x.next) {
		return
	}
	x.dialing = true
	x.dials.Go(x.dialled)
}

// dialled makes a connection.
func (x *Express) dialled() {
	ctx, cancel := context.WithTimeout(x.life, dialFor)
	defer cancel()
	c, err := x.dial(ctx)
	if err == nil && newGlance(c) == nil {
		x.shut() // a call on a dead connection would have an unknown outcome
	}
	may := false
	if err == nil && x.probe != nil {
		if may, err = transacts(ctx, c, x.probe); err == nil {
			x.unasked = 0
		} else {
			x.unasked++
			_ = c.Close()
		}
		if errors.Is(err, errInTransaction) || x.unasked == unaskedProbes {
			x.probe = nil // the next one is not asked
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.dialing = false
	switch {
	case err != nil:
		x.next = time.Now().Add(redialAfter)
	case x.closed:
		_ = c.Close()
	default:
		x.fresh, x.may = c, may
	}
}

// drop ends the connection.
func (x *Express) drop(at time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	_ = x.conn.Close()
	x.conn, x.next = nil, at.Add(redialAfter)
	clear(x.sent)
	x.sent, x.away, x.knows = x.sent[:0], false, false
}

// maxKept is the largest buffer that is kept for the next call.
const maxKept = 256 << 10

// Free gives it back. A connection on which calls have no answer is dropped, and one whose server does not serve.
func (x *Express) Free() {
	now := time.Now()
	interrupted := x.stop != nil && !x.stop()
	x.stop = nil
	switch {
	case interrupted: // it may be closed by now, and the server is not to blame
		x.drop(now.Add(-redialAfter))
	case len(x.sent) > 0 || x.away:
		x.drop(now)
	}
	if x.used = now; cap(x.out) > maxKept {
		x.out = nil
	}
	x.turn.Unlock()
}

// Close ends it; a call under way fails. Nothing of it is left behind. Closing twice is fine.
func (x *Express) Close() {
	x.shut()
	x.dials.Wait()
}

func (x *Express) shut() {
	x.mu.Lock()
	x.closed = true
	for _, c := range []net.Conn{x.conn, x.fresh} {
		if c != nil {
			_ = c.Close()
		}
	}
	x.fresh = nil
	x.mu.Unlock()
	x.end()
	x.release()
}

// While has the end of ctx interrupt what is under way, so long after it, until Free.
func (x *Express) While(ctx context.Context, grace time.Duration) {
	if ctx.Done() != nil {
		c := x.conn
		x.stop = context.AfterFunc(ctx, func() { time.AfterFunc(grace, func() { _ = c.Close() }) })
	}
}

// Knows tells whether the server has answered with the script since the connection was made. Until then it may refuse a call
// and carry out the next, if another producer brings the script between the two.
func (x *Express) Knows() bool { return x.knows }

// Away tells whether the server said that it does not serve: the connection ends with Free.
func (x *Express) Away() bool { return x.away }
