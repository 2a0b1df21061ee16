package broker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/script"
	"github.com/tidemill/tidemill/internal/wire"
)

// A direct call is an enqueue call whose jobs Redis stores by one HSET and one RPUSH, between two small scripts and in one
// transaction: its Lua never sees the jobs, which is most of what a call costs. A call that is refused, or has no answer, is made
// again as any other, under the same stamp.
//
// Nothing looks for duplicates: nobody else may have an id of its jobs yet. Its lane must have a record, which alone tells a call
// that arrives late, after it was sent again, from one that is new. One that was given up, so that there is no newer record, is void
// DirectFor after it began, by the server's clock: until then its ids must not be enqueued in another way.
//
// The scripts are sent as text: one that the server forgot would leave the commands between them to themselves.

// DirectFor is how long a direct call is valid.
const DirectFor = time.Second

const (
	// directJobs is how many jobs a direct call has at least: fewer cost more so.
	directJobs = 6
	// directCommands are in it before EXEC; directAnswer is what they are answered with.
	directCommands = 5
	directAnswer   = "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n"
)

// directBegin, directBehind and directEnd are how those scripts' calls begin on the wire, up to their keys.
var (
	directBegin  = sync.OnceValue(func() string { return evalHead("direct_begin", 5+4, 5) })
	directBehind = sync.OnceValue(func() string { return evalHead("direct_begin", 5+6, 5) }) // with the call before
	directEnd    = sync.OnceValue(func() string { return evalHead("direct_end", 2+1, 2) })
)

// evalHead writes the head of an EVAL of so many keys and arguments. Redis computes the digest of the text for each call: it goes
// without its comments.
func evalHead(name string, values, keys int) string {
	var text strings.Builder
	for line := range strings.Lines(script.New(sources, name).Source()) {
		if !strings.HasPrefix(line, "--") {
			text.WriteString(line)
		}
	}
	return fmt.Sprintf("*%d\r\n$4\r\nEVAL\r\n$%d\r\n%s\r\n$1\r\n%d\r\n", 3+values, text.Len(), text.String(), keys)
}

// directly tells whether the call may be a direct one, and the priority of all of its jobs.
func (x *Express) directly(c *Call) (priority int, ok bool) {
	items := c.Items
	if !x.direct || !x.knows || !c.Stamp.Recorded || len(items) < directJobs || time.Since(x.heard) > 5*clockFor {
		return 0, false
	}
	for i := range items {
		p, ok := wire.PriorityOf(items[i].Envelope)
		if !ok || i > 0 && int(p) != priority || !items[i].Made || items[i].Due != (Due{}) {
			return 0, false
		}
		priority = int(p)
	}
	return priority, true
}

// appendDirect writes the call as it goes over the wire. until is when it is void, in ms of the server's clock.
func appendDirect(dst []byte, c *Call, priority int, until int64) []byte {
	q, items := c.Queue, c.Items
	jobs, ready := q.Key(keys.Jobs), q.Key(keys.Ready+priority)
	dst = append(dst, "*1\r\n$5\r\nMULTI\r\n"...)
	if c.After == nil {
		dst = append(dst, directBegin()...)
	} else {
		dst = append(dst, directBehind()...)
	}
	for _, key := range [...]string{jobs, ready, q.Key(keys.Producers), q.Key(keys.Wake), q.Key(keys.Meta)} {
		dst = appendBulk(dst, key)
	}
	var text [len(uuid.UUID{}) + 40]byte
	lane := appendLane(text[:0], c.Stamp)
	dst = appendBulkNumber(appendBulkNumber(appendBulk(dst, lane), c.Stamp.Seq), uint64(len(items)))
	dst = appendBulkNumber(dst, uint64(max(until, 0)))
	if c.After != nil {
		var before [len(uuid.UUID{}) + 20]byte
		dst = appendBulkNumber(appendBulk(dst, appendLane(before[:0], *c.After)), c.After.Seq)
	}

	dst = appendArray(dst, 2+2*len(items))
	dst = appendBulk(append(dst, "$4\r\nHSET\r\n"...), jobs)
	for i := range items {
		dst = appendBulk(appendBulk(dst, items[i].ID[:]), items[i].Envelope)
	}
	dst = appendArray(dst, 2+len(items))
	dst = appendBulk(append(dst, "$5\r\nRPUSH\r\n"...), ready)
	for i := range items {
		dst = appendBulk(dst, items[i].ID[:])
	}
	dst = appendBulk(appendBulk(append(dst, directEnd()...), jobs), ready)
	dst = appendBulk(dst, strconv.AppendUint(lane, c.Stamp.Seq, 10))
	return append(dst, "*1\r\n$4\r\nEXEC\r\n"...)
}

// appendLane writes a lane as the field of its record.
func appendLane(dst []byte, s Stamp) []byte {
	return strconv.AppendUint(append(dst, s.Producer[:]...), uint64(s.Lane), 10)
}

// directReply reads the answer to a direct call of n jobs. now is the server's time, ms; refused is why nothing of it was done.
func (x *Express) directReply(n int) (now int64, refused, err error) {
	raw := x.in[:0]
	defer func() { x.in = raw[:0] }()
	for range directCommands {
		from := len(raw)
		if raw, err = x.line(raw); err != nil {
			return 0, nil, err
		}
		if raw[from] == '-' && refused == nil {
			refused = typed(string(raw[from+1 : len(raw)-2]))
		}
	}
	from := len(raw)
	if raw, err = x.line(raw); err != nil {
		return 0, nil, err
	}
	if text, aborted := strings.CutPrefix(string(raw[from:len(raw)-2]), "-EXECABORT "); aborted && strings.HasPrefix(string(raw), "+OK\r\n") {
		if refused == nil {
			refused = typed(strings.TrimPrefix(text, "Transaction discarded because of: "))
		}
		return 0, refused, nil
	}
	if string(raw) != directAnswer+"*4\r\n" {
		return 0, nil, fmt.Errorf("%w: %.200q", ErrBadReply, raw)
	}
	var answers [4]int64
	for i := range answers {
		from := len(raw)
		if raw, err = x.line(raw); err != nil {
			return 0, nil, err
		}
		if answers[i], err = strconv.ParseInt(string(raw[from+1:len(raw)-2]), 10, 64); raw[from] != ':' || err != nil {
			return 0, nil, fmt.Errorf("%w: %.200q", ErrBadReply, raw[from:])
		}
	}
	switch {
	case answers[0] <= 0 && answers[3] == 1:
		return -answers[0], errNotDirect, nil
	case answers[0] <= 0:
		return -answers[0], errNotStopped, nil
	case answers[1] != int64(n):
		return 0, nil, fmt.Errorf("%w: %d of %d jobs", ErrBadReply, answers[1], n)
	}
	return answers[0], nil, nil
}

// errNotDirect says that the call has to be made as any other; errNotStopped the same where its jobs were stored for all that.
var (
	errNotDirect  = script.Error("NOTDIRECT late, or the lane has no record, or a key is of another type")
	errNotStopped = script.Error("NOTDIRECT late or without a record, and the keys may not be moved")
)

// transacts tells whether direct calls may be made on a new connection, by a transaction that is not carried out. q is a queue that
// nobody uses: what MULTI does not hold back is carried out at once. The names are such as the scripts make: a user's rights may end
// with those of a queue's own keys.
func transacts(ctx context.Context, c net.Conn, q *keys.Queue) (bool, error) {
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	may, err := answersTransaction(c, q)
	if !stop() {
		err = errors.Join(context.Cause(ctx), err) // it is closed, or about to be
	}
	return may, err
}

func answersTransaction(c net.Conn, q *keys.Queue) (bool, error) {
	jobs, ready := q.Key(keys.Jobs), q.Key(keys.Ready)
	ask := [][]string{{"MULTI"}, {"RENAME", jobs, jobs + "~"}, {"RENAME", jobs + "~", jobs}, {"RENAME", ready, ready + "~"},
		{"RENAME", ready + "~", ready}, {"DEL", jobs + "~~"}, {"DISCARD"}}
	var text []byte
	for _, words := range ask {
		text = appendArray(text, len(words))
		for _, word := range words {
			text = appendBulk(text, word)
		}
	}
	if _, err := c.Write(text); err != nil {
		return false, err
	}
	r, begun, may := bufio.NewReader(c), false, true
	for i := range ask {
		line, err := r.ReadString('\n')
		if err != nil {
			return false, err
		}
		want, last := "+QUEUED\r\n", i == len(ask)-1
		if i == 0 || last {
			want = "+OK\r\n"
		}
		if begun && last && line != want {
			return false, errInTransaction
		}
		begun, may = begun || i == 0 && line == want, may && line == want
	}
	return may, nil
}

// errInTransaction says that the connection cannot be used: a transaction was begun, and may not be ended.
var errInTransaction = errors.New("the transaction may not be ended")
