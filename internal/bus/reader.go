package bus

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

const (
	// minChunk and maxChunk bound the arrays that are read into. They grow with what arrives, so that a message kept for
	// long on a quiet connection does not keep much else.
	minChunk, maxChunk = 8 << 10, 128 << 10
	// maxBulk is the largest that a server sends (proto-max-bulk-len).
	maxBulk = 512 << 20
	maxLine = 64 << 10
)

var errProtocol = errors.New("the server's reply is not of RESP2's pub/sub")

// what a frame is.
type what int8

const (
	aMessage what = iota
	aPatternMessage
	aShardMessage
	aConfirmation // of subscribing or unsubscribing: word and channel
	aPong
	aFault
)

// frame is one reply. Its slices are never overwritten.
type frame struct {
	what                            what
	word, pattern, channel, payload []byte
	text                            string // of a fault
}

// reader takes replies out of what a connection brings. Nothing is copied: what it answers points into the arrays that
// were read into, which are not used again.
type reader struct {
	from io.Reader
	buf  []byte // buf[next:] was read and not looked at yet
	next int
	last int // bytes of the last read
}

var messageHead = []byte("*3\r\n$7\r\nmessage\r\n$")

// read answers the next reply in f.
func (r *reader) read(f *frame) error {
	if bytes.HasPrefix(r.buf[r.next:], messageHead) { // the hot path
		r.next += len(messageHead) - 1
		f.what = aMessage
		return r.bulks(&f.channel, &f.payload)
	}
	line, err := r.line()
	if err != nil {
		return err
	}
	switch line[0] {
	case '*':
		n, err := number(line[1:])
		if err != nil {
			return err
		}
		return r.array(f, n)
	case '-':
		f.what, f.text = aFault, string(line[1:])
		return nil
	case '+':
		f.what = aPong
		return nil
	}
	return fmt.Errorf("%w: %.40q", errProtocol, line)
}

func (r *reader) array(f *frame, n int) error {
	if n < 2 || n > 4 {
		return fmt.Errorf("%w: an array of %d", errProtocol, n)
	}
	if err := r.bulks(&f.word); err != nil {
		return err
	}
	switch word := string(f.word); {
	case word == "message" && n == 3:
		f.what = aMessage
		return r.bulks(&f.channel, &f.payload)
	case word == "smessage" && n == 3:
		f.what = aShardMessage
		return r.bulks(&f.channel, &f.payload)
	case word == "pmessage" && n == 4:
		f.what = aPatternMessage
		return r.bulks(&f.pattern, &f.channel, &f.payload)
	case word == "pong" && n == 2:
		f.what = aPong
		return r.bulks(&f.payload)
	case n == 3:
		f.what = aConfirmation
		if err := r.bulks(&f.channel); err != nil {
			return err
		}
		line, err := r.line() // how many subscriptions there are now
		if err == nil && line[0] != ':' {
			err = fmt.Errorf("%w: %.40q", errProtocol, line)
		}
		return err
	}
	return fmt.Errorf("%w: %.40q of %d", errProtocol, f.word, n)
}

// bulks reads bulk strings; a null one is empty.
func (r *reader) bulks(into ...*[]byte) error {
	for _, to := range into {
		line, err := r.line()
		if err != nil {
			return err
		}
		if line[0] != '$' {
			return fmt.Errorf("%w: %.40q", errProtocol, line)
		}
		n, err := number(line[1:])
		if err != nil {
			return err
		}
		if n < 0 {
			*to = nil
			continue
		}
		if *to, err = r.take(n); err != nil {
			return err
		}
	}
	return nil
}

// line answers a line without its end.
func (r *reader) line() ([]byte, error) {
	for {
		unread := r.buf[r.next:]
		if i := bytes.IndexByte(unread, '\n'); i >= 0 {
			if i < 2 || unread[i-1] != '\r' {
				return nil, fmt.Errorf("%w: %.40q", errProtocol, unread[:i])
			}
			r.next += i + 1
			return unread[: i-1 : i-1], nil
		}
		if len(unread) > maxLine {
			return nil, fmt.Errorf("%w: a line of more than %d bytes", errProtocol, maxLine)
		}
		if err := r.fill(len(unread) + 1); err != nil {
			return nil, err
		}
	}
}

// take answers the n bytes that follow, without the end of line behind them.
func (r *reader) take(n int) ([]byte, error) {
	have := len(r.buf) - r.next
	if have < n+2 {
		if n+2 > maxChunk/2 {
			return r.takeLarge(n)
		}
		if err := r.fill(n + 2); err != nil {
			return nil, err
		}
	}
	b := r.buf[r.next : r.next+n+2]
	r.next += n + 2
	return ended(b, n)
}

// takeLarge is take into an array of its own.
func (r *reader) takeLarge(n int) ([]byte, error) {
	b := make([]byte, n+2)
	have := copy(b, r.buf[r.next:])
	r.next += have
	if _, err := io.ReadFull(r.from, b[have:]); err != nil {
		return nil, err
	}
	return ended(b, n)
}

func ended(b []byte, n int) ([]byte, error) {
	if b[n] != '\r' || b[n+1] != '\n' {
		return nil, fmt.Errorf("%w: a string of %d bytes does not end there", errProtocol, n)
	}
	return b[:n:n], nil
}

// fill reads until n bytes are there that were not looked at.
func (r *reader) fill(n int) error {
	for len(r.buf)-r.next < n {
		if room := cap(r.buf) - len(r.buf); room < minChunk/8 || cap(r.buf)-r.next < n {
			size := max(min(max(minChunk, 4*r.last), maxChunk), n+minChunk/8)
			fresh := make([]byte, 0, size)
			r.buf, r.next = append(fresh, r.buf[r.next:]...), 0
		}
		got, err := r.from.Read(r.buf[len(r.buf):cap(r.buf)])
		r.buf, r.last = r.buf[:len(r.buf)+got], got
		if err != nil && len(r.buf)-r.next < n {
			return err
		}
	}
	return nil
}

// number reads a length.
func number(b []byte) (n int, err error) {
	negative := len(b) > 1 && b[0] == '-'
	if negative {
		b = b[1:]
	}
	if len(b) == 0 || len(b) > 10 {
		return 0, fmt.Errorf("%w: a length of %.40q", errProtocol, b)
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, fmt.Errorf("%w: a length of %.40q", errProtocol, b)
		}
		n = n*10 + int(c-'0')
	}
	if n > maxBulk {
		return 0, fmt.Errorf("%w: a length of %d", errProtocol, n)
	}
	if negative {
		n = -n
	}
	return n, nil
}
