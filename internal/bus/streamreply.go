package bus

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// ErrBadReply says that Redis answered something that none of our calls is answered with.
var ErrBadReply = errors.New("unexpected reply from redis")

// streamSink gathers a reply's raw bytes in one piece of memory.
type streamSink struct{ b []byte }

func (s *streamSink) room(n int) {
	if need := len(s.b) + n; need > cap(s.b) {
		grown := make([]byte, len(s.b), max(need, 2*cap(s.b), 512))
		copy(grown, s.b)
		s.b = grown
	}
}

// Write appends a line of the reply.
func (s *streamSink) Write(p []byte) (int, error) {
	s.room(len(p))
	s.b = append(s.b, p...)
	return len(p), nil
}

// ReadFrom appends a string of the reply, straight from the connection's buffer; r ends where the string does.
func (s *streamSink) ReadFrom(r io.Reader) (int64, error) {
	start := len(s.b)
	for {
		room := int64(1)
		limited, known := r.(*io.LimitedReader)
		if known {
			if room = limited.N; room == 0 {
				return int64(len(s.b) - start), nil
			}
		}
		s.room(int(room))
		n, err := r.Read(s.b[len(s.b):cap(s.b)])
		s.b = s.b[:len(s.b)+n]
		if errors.Is(err, io.EOF) {
			return int64(len(s.b) - start), nil
		}
		if err != nil {
			return int64(len(s.b) - start), err
		}
	}
}

// streamReply walks an answer in its raw form: the values are views into it. The first fault sticks in err; reads after it
// answer zero values.
type streamReply struct {
	b   []byte
	err error
}

func (r *streamReply) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s at %.40q", ErrBadReply, what, r.b)
	}
	r.b = nil
}

// line takes one line of one of the given types and answers its text.
func (r *streamReply) line(kinds string) []byte {
	if r.err != nil {
		return nil
	}
	end := bytes.IndexByte(r.b, '\n')
	if end < 2 || bytes.IndexByte([]byte(kinds), r.b[0]) < 0 {
		r.fail("no " + kinds)
		return nil
	}
	text := r.b[1 : end-1]
	r.b = r.b[end+1:]
	return text
}

// length answers what follows: -1 is nothing, a null.
func (r *streamReply) length(kinds string) int {
	if len(r.b) > 0 && r.b[0] == '_' {
		r.line("_")
		return -1
	}
	text := r.line(kinds)
	if r.err != nil {
		return 0
	}
	n, err := strconv.Atoi(string(text))
	if err != nil || n < -1 {
		r.fail("no length")
		return 0
	}
	return n
}

// array answers the number of elements that follow, in a map of RESP3 that of keys and values together; 0 of a null.
func (r *streamReply) array() int {
	twice := len(r.b) > 0 && r.b[0] == '%'
	n := max(r.length("*%"), 0)
	if twice {
		n *= 2
	}
	if n > len(r.b)/3 {
		r.fail("an array is cut off")
		return 0
	}
	return n
}

// bytes answers a string as a view into the reply; nil of a null.
func (r *streamReply) bytes() []byte {
	if len(r.b) > 0 && (r.b[0] == ':' || r.b[0] == '+') {
		return r.line(":+")
	}
	n := r.length("$")
	if r.err != nil || n < 0 {
		return nil
	}
	if n > len(r.b)-2 {
		r.fail("a string is cut off")
		return nil
	}
	s := r.b[:n:n]
	r.b = r.b[n+2:]
	return s
}

func (r *streamReply) text() string { return string(r.bytes()) }

// number answers an integer, sent as one or as text; an empty text is 0.
func (r *streamReply) number() int64 {
	text := r.bytes()
	if len(text) == 0 {
		return 0
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		r.fail("no number")
	}
	return n
}

// skip passes one value of any kind.
func (r *streamReply) skip() {
	if len(r.b) > 0 && (r.b[0] == '*' || r.b[0] == '%') {
		for range r.array() {
			r.skip()
		}
		return
	}
	r.bytes()
}

// appendRESP writes a decoded answer back into its raw form, for the clients that decode.
func appendRESP(dst []byte, v any) []byte {
	switch v := v.(type) {
	case int64:
		return append(strconv.AppendInt(append(dst, ':'), v, 10), '\r', '\n')
	case string:
		dst = append(strconv.AppendInt(append(dst, '$'), int64(len(v)), 10), '\r', '\n')
		return append(append(dst, v...), '\r', '\n')
	case []any:
		dst = append(strconv.AppendInt(append(dst, '*'), int64(len(v)), 10), '\r', '\n')
		for _, e := range v {
			dst = appendRESP(dst, e)
		}
		return dst
	case map[any]any:
		dst = append(strconv.AppendInt(append(dst, '%'), int64(len(v)), 10), '\r', '\n')
		for key, value := range v {
			dst = appendRESP(appendRESP(dst, key), value)
		}
		return dst
	}
	return append(dst, "$-1\r\n"...)
}
