package broker

import (
	"bytes"
	"fmt"
	"strconv"
)

// reply walks a script's answer in its raw RESP form: one allocation holds the whole batch, and the values are views
// into it. The first fault sticks in err; reads after it answer zero values.
type reply struct {
	b   []byte
	err error
}

func (r *reply) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s at %.40q", ErrBadReply, what, r.b)
	}
	r.b = nil
}

// line takes one line of the given type and answers its text.
func (r *reply) line(kinds string) []byte {
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

func (r *reply) length(kinds string) int {
	text := r.line(kinds)
	if r.err != nil {
		return 0
	}
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 0 {
		r.fail("no length")
		return 0
	}
	return n
}

// array answers the number of elements that follow; each takes three bytes at least, so that no number that came over
// the wire makes a reader loop or allocate beyond the reply's own size.
func (r *reply) array() int {
	n := r.length("*")
	if n > len(r.b)/3 {
		r.fail("an array is cut off")
		return 0
	}
	return n
}

// bulk answers the string at the start of b as a view into it, and what stands behind; nil where it is not quite that.
func bulk(b []byte) (s, rest []byte) {
	if len(b) == 0 || b[0] != '$' {
		return nil, nil
	}
	n, i := 0, 1
	for ; i < len(b) && i < 10 && b[i]-'0' <= 9; i++ {
		n = 10*n + int(b[i]-'0')
	}
	if start := i + 2; i > 1 && start+n+2 <= len(b) && b[i] == '\r' && b[i+1] == '\n' {
		return b[start : start+n : start+n], b[start+n+2:]
	}
	return nil, nil
}

// bytes answers a bulk string as a view into the reply.
func (r *reply) bytes() []byte {
	if s, rest := bulk(r.b); s != nil { // what a reply is full of
		r.b = rest
		return s
	}
	if len(r.b) > 0 && (r.b[0] == ':' || r.b[0] == '+') {
		return r.line(":+")
	}
	n := r.length("$")
	if r.err != nil {
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

func (r *reply) text() string { return string(r.bytes()) }

// number answers an integer, sent as one or as text; an empty text is 0.
func (r *reply) number() int64 {
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

func (r *reply) flag() bool { return r.number() == 1 }

// appendRESP writes a decoded answer back into its raw form, for the clients that decode (Cluster, transactions).
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
	}
	return append(dst, "_\r\n"...)
}
