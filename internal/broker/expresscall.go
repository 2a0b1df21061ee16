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
	"github.com/tidemill/tidemill/internal/keys"
)

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
		err := typed(string(raw[1 : len(raw)-2]))
		x.away = x.away || conn.Retryable(err) // as a primary that became a replica
		return nil, true, err
	}
	x.knows = true
	outcomes, err = enqueued(&reply{B: raw}, n)
	return outcomes, true, err
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
