package broker

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/conn"
)

// Call is an enqueue call on an Express.
type Call struct {
	Batch
	// Start is when it began: not later than when it was given up by those who wait for it.
	Start time.Time
	// After is the call before that must have been carried out if this one is, where that has no answer yet; nil: none.
	After *Stamp
}

// Turns tells whether Send would make a call in another way than those under way. What makes the server refuse one way may let it
// carry out the other: for calls that must keep their order the answers are to be awaited first.
func (x *Express) Turns(c *Call) bool {
	if len(x.sent) == 0 {
		return false
	}
	_, direct := x.directly(c)
	return direct != x.sent[len(x.sent)-1].direct
}

// Send makes a call; its answer is for Receive, in turn. After an error nothing more can be sent or received.
func (x *Express) Send(c *Call) error {
	priority, direct := x.directly(c)
	if direct {
		until := x.clock(c.Start.Add(DirectFor))
		x.out = appendDirect(x.out[:0], c, priority, until)
	} else {
		x.out = appendEnqueue(x.out[:0], c.Queue, c.Stamp, c.Items)
	}
	x.sent = append(x.sent, sent{c.Items, direct, x.clock(time.Now())})
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
	var raw []byte
	var now int64
	var refused error
	direct := len(x.sent) > 0 && x.sent[0].direct
	if direct {
		now, refused, err = x.directReply(len(x.sent[0].items))
	} else {
		raw, refused, err = x.reply()
	}
	if err != nil {
		return nil, false, err
	}
	c := x.sent[0]
	rest := copy(x.sent, x.sent[1:])
	x.sent[rest] = sent{}
	x.sent = x.sent[:rest]
	if raw != nil && refused == nil {
		now, outcomes, err = enqueued(&reply{B: raw}, c.items)
	}
	if now > 0 {
		x.hear(now, c.clock)
	}
	switch {
	case refused != nil:
		x.away = x.away || conn.Retryable(refused) // as a primary that became a replica
		if direct && !errors.Is(refused, ErrFull) && !errors.Is(refused, errNotDirect) {
			x.direct = false // as one that may not do what the calls do
		}
		return nil, true, refused
	case direct:
		outcomes = allCreated(len(c.items))
	case err == nil:
		x.knows = true
	}
	return outcomes, true, err
}

// clock is what the server's clock shows at least, ms, unless it was set back; 0: not known.
func (x *Express) clock(now time.Time) int64 {
	if !x.knows {
		return 0
	}
	return x.server + now.Sub(x.heard).Milliseconds()
}

// hear notes the server's clock, unless what is known of it is closer: an answer may have been there for long before it was read.
// One from before what was held for the time when its call was sent says that the clock was set back.
func (x *Express) hear(server, sent int64) {
	now := time.Now()
	if !x.knows || now.Sub(x.heard) > clockFor || server >= x.clock(now) || server < sent {
		x.server, x.heard = server, now
	}
}

// Readable tells whether the next answer, or the end of the connection, is there: Receive would not wait.
func (x *Express) Readable() bool { return x.r.Buffered() > 0 || x.eyes.readable() }

// Watch looks for the next answer again and again, for so long at most, and tells whether it is there; what else can run does
// meanwhile, but for what waits on the network where the process has one processor. It is for answers that are about to come: to
// sleep and be woken takes longer, on both sides.
func (x *Express) Watch(patience time.Duration) bool {
	for start := time.Now(); !x.Readable(); runtime.Gosched() {
		if time.Since(start) >= patience {
			return false
		}
	}
	return true
}

// reply reads the script's reply, which holds until the next: an array of two strings, or why it was refused.
func (x *Express) reply() (raw []byte, refused, err error) {
	if raw, err = x.line(x.in[:0]); err != nil {
		return nil, nil, err
	}
	defer func() { x.in = raw[:0] }()
	if raw[0] == '-' {
		return raw, typed(string(raw[1 : len(raw)-2])), nil
	}
	if string(raw) != "*2\r\n" {
		return raw, nil, fmt.Errorf("%w: %.40q", ErrBadReply, raw)
	}
	for range 2 {
		from := len(raw)
		if raw, err = x.line(raw); err != nil {
			return nil, nil, err
		}
		n, err := strconv.Atoi(string(raw[from+1 : len(raw)-2]))
		if raw[from] != '$' || err != nil || n < 0 || n > MaxBatch {
			return raw, nil, fmt.Errorf("%w: %.40q", ErrBadReply, raw[from:])
		}
		from = len(raw)
		raw = append(raw, make([]byte, n+2)...)
		if _, err := io.ReadFull(x.r, raw[from:]); err != nil {
			return raw, nil, err
		}
	}
	return raw, nil, nil
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

func appendBulk[T string | []byte](dst []byte, b T) []byte {
	dst = append(strconv.AppendInt(append(dst, '$'), int64(len(b)), 10), '\r', '\n')
	return append(append(dst, b...), '\r', '\n')
}

func appendArray(dst []byte, n int) []byte {
	return append(strconv.AppendInt(append(dst, '*'), int64(n), 10), '\r', '\n')
}

func appendBulkNumber(dst []byte, n uint64) []byte {
	var text [20]byte
	return appendBulk(dst, strconv.AppendUint(text[:0], n, 10))
}
