package broker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/keys"
)

// Express is a connection for enqueue calls alone, written and read by whoever makes them: no goroutine stands between, and
// calls can follow each other before the first is answered. One caller has it at a time; others go another way meanwhile, and
// so does a call that failed here, under the same stamp. Safe for concurrent use.
type Express struct {
	dial    func(context.Context) (net.Conn, error)
	timeout time.Duration // of one write or reply; 0 or less: none

	turn sync.Mutex // held by who has it; below is his
	r    *bufio.Reader
	out  []byte
	in   []byte    // the last reply
	sent []int     // items of the calls that are not answered yet
	used time.Time // when the last reply came
	stop func() bool
	next time.Time // no sooner is it tried to connect again

	mu     sync.Mutex
	conn   net.Conn
	closed bool
}

const (
	// redialAfter is how long a connection that broke, or could not be made, is done without.
	redialAfter = time.Second
	// freshFor is how long after a reply a connection is held for alive without a look at it.
	freshFor = time.Millisecond
)

// NewExpress makes one that connects at its first use. dial hands over a connection on which RESP2 is spoken.
func NewExpress(dial func(context.Context) (net.Conn, error), timeout time.Duration) *Express {
	return &Express{dial: dial, timeout: timeout}
}

// Take is true where the connection is the caller's from here on, until Free. It is false at once where another has it.
func (x *Express) Take(ctx context.Context) bool {
	if !x.turn.TryLock() {
		return false
	}
	if x.isClosed() {
		x.turn.Unlock()
		return false
	}
	now := time.Now()
	if x.conn != nil && now.Sub(x.used) > freshFor && ended(x.conn) {
		x.drop(now.Add(-redialAfter)) // as after a restart: there is nothing wrong with the server
	}
	if x.conn == nil && !x.connect(ctx, now) {
		x.turn.Unlock()
		return false
	}
	return true
}

func (x *Express) connect(ctx context.Context, now time.Time) bool {
	if now.Before(x.next) {
		return false
	}
	c, err := x.dial(ctx)
	if err != nil {
		x.next = time.Now().Add(redialAfter)
		return false
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if !canEnd(c) {
		x.closed = true // a call on a dead connection would have an unknown outcome
	}
	if x.closed {
		_ = c.Close()
		return false
	}
	x.conn = c
	if x.r == nil {
		x.r = bufio.NewReader(c)
	} else {
		x.r.Reset(c)
	}
	x.used = now
	return true
}

func (x *Express) isClosed() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.closed
}

// drop ends the connection.
func (x *Express) drop(at time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	_ = x.conn.Close()
	x.conn, x.next, x.sent = nil, at.Add(redialAfter), x.sent[:0]
}

// maxKept is the largest buffer that is kept for the next call.
const maxKept = 256 << 10

// Free gives it back. A connection on which calls have no answer is dropped.
func (x *Express) Free() {
	now := time.Now()
	interrupted := x.stop != nil && !x.stop()
	x.stop = nil
	switch {
	case len(x.sent) > 0:
		x.drop(now)
	case interrupted: // it may be closed by now
		x.drop(now.Add(-redialAfter))
	}
	if x.used = now; cap(x.out) > maxKept {
		x.out = nil
	}
	x.turn.Unlock()
}

// Close ends it; a call under way fails. Closing twice is fine.
func (x *Express) Close() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.closed = true
	if x.conn != nil {
		_ = x.conn.Close()
	}
}

// While has the end of ctx interrupt what is under way, until Free.
func (x *Express) While(ctx context.Context) {
	if ctx.Done() != nil {
		c := x.conn
		x.stop = context.AfterFunc(ctx, func() { _ = c.Close() })
	}
}

// Waiting is how many calls are not answered yet.
func (x *Express) Waiting() int { return len(x.sent) }

// Send makes a call; its answer is for Receive, in turn. After an error nothing more can be sent or received.
func (x *Express) Send(q *keys.Queue, stamp Stamp, items []Item) error {
	x.out = appendEnqueue(x.out[:0], q, stamp, items)
	x.sent = append(x.sent, len(items))
	if x.timeout > 0 {
		if err := x.conn.SetDeadline(time.Now().Add(x.timeout)); err != nil {
			return err
		}
	}
	_, err := x.conn.Write(x.out)
	return err
}

// Receive reads the answer of the first call that has none yet. An error without answered says that there is none: the call
// may have been carried out.
func (x *Express) Receive() (outcomes []Outcome, answered bool, err error) {
	if x.timeout > 0 && len(x.sent) > 1 { // the first one's time began when it was sent
		if err := x.conn.SetReadDeadline(time.Now().Add(x.timeout)); err != nil {
			return nil, false, err
		}
	}
	raw, err := x.reply()
	if err != nil {
		return nil, false, err
	}
	n := x.sent[0]
	x.sent = x.sent[:copy(x.sent, x.sent[1:])]
	if raw[0] == '-' {
		return nil, true, typed(string(raw[1 : len(raw)-2]))
	}
	outcomes, err = enqueued(&reply{b: raw}, n)
	return outcomes, true, err
}

// reply reads one reply, which holds until the next: an error's line, or an array of two strings.
func (x *Express) reply() ([]byte, error) {
	raw, err := x.line(x.in[:0])
	if err != nil || raw[0] == '-' {
		return raw, err
	}
	defer func() { x.in = raw[:0] }()
	if string(raw) != "*2\r\n" {
		return nil, fmt.Errorf("%w: %.40q", ErrBadReply, raw)
	}
	for range 2 {
		from := len(raw)
		if raw, err = x.line(raw); err != nil {
			return nil, err
		}
		n, err := strconv.Atoi(string(raw[from+1 : len(raw)-2]))
		if raw[from] != '$' || err != nil || n < 0 || n > MaxBatch {
			return nil, fmt.Errorf("%w: %.40q", ErrBadReply, raw[from:])
		}
		from = len(raw)
		raw = append(raw, make([]byte, n+2)...)
		if _, err := io.ReadFull(x.r, raw[from:]); err != nil {
			return nil, err
		}
	}
	return raw, nil
}

// line appends the next line.
func (x *Express) line(dst []byte) ([]byte, error) {
	line, err := x.r.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	if len(line) < 3 || line[len(line)-2] != '\r' {
		return nil, fmt.Errorf("%w: %.40q", ErrBadReply, line)
	}
	return append(dst, line...), nil
}

// Unanswered tells an error reply which is no answer to the call, so that it is to be made another way.
func Unanswered(err error) bool {
	var fromServer redis.Error
	return errors.As(err, &fromServer) && !errors.Is(err, ErrFull)
}

func appendBulk(dst, b []byte) []byte {
	dst = append(strconv.AppendInt(append(dst, '$'), int64(len(b)), 10), '\r', '\n')
	return append(append(dst, b...), '\r', '\n')
}

func appendBulkNumber(dst []byte, n uint64) []byte {
	var text [20]byte
	return appendBulk(dst, strconv.AppendUint(text[:0], n, 10))
}
