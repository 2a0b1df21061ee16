package script

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// ErrBadReply says that Redis answered something that none of our calls is answered with.
var ErrBadReply = errors.New("unexpected reply from redis")

// Reply walks an answer in its raw RESP form: one allocation holds all of it, and the values are views into it. The first
// fault sticks in Err; reads after it answer zero values.
type Reply struct {
	B   []byte // what is left to read
	Err error
	// Loose takes nulls and the maps of RESP3 too: commands answer them, scripts of ours do not.
	Loose bool
}

// Fail makes the reply a faulty one.
func (r *Reply) Fail(what string) {
	if r.Err == nil {
		r.Err = fmt.Errorf("%w: %s at %.40q", ErrBadReply, what, r.B)
	}
	r.B = nil
}

// line takes one line of the given type and answers its text.
func (r *Reply) line(kinds string) []byte {
	if r.Err != nil {
		return nil
	}
	end := bytes.IndexByte(r.B, '\n')
	if end < 2 || bytes.IndexByte([]byte(kinds), r.B[0]) < 0 {
		r.Fail("no " + kinds)
		return nil
	}
	text := r.B[1 : end-1]
	r.B = r.B[end+1:]
	return text
}

// length answers what follows: -1 is nothing, a null.
func (r *Reply) length(kinds string) int {
	least := 0
	if r.Loose {
		least = -1
		if len(r.B) > 0 && r.B[0] == '_' {
			r.line("_")
			return -1
		}
	}
	text := r.line(kinds)
	if r.Err != nil {
		return 0
	}
	n, err := strconv.Atoi(string(text))
	if err != nil || n < least {
		r.Fail("no length")
		return 0
	}
	return n
}

// Array answers the number of elements that follow, of a map that of keys and values together, 0 of a null. Each takes three
// bytes at least, so that no number that came over the wire makes a reader loop or allocate beyond the reply's own size.
func (r *Reply) Array() int {
	n := 0
	if r.Loose && len(r.B) > 0 && r.B[0] == '%' {
		n = 2 * r.length("%")
	} else {
		n = max(r.length("*"), 0)
	}
	if n < 0 || n > len(r.B)/3 {
		r.Fail("an array is cut off")
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

// Bytes answers a string as a view into the reply; nil of a null.
func (r *Reply) Bytes() []byte {
	if s, rest := bulk(r.B); s != nil { // what a reply is full of
		r.B = rest
		return s
	}
	if len(r.B) > 0 && (r.B[0] == ':' || r.B[0] == '+') {
		return r.line(":+")
	}
	n := r.length("$")
	if r.Err != nil || n < 0 {
		return nil
	}
	if n > len(r.B)-2 {
		r.Fail("a string is cut off")
		return nil
	}
	s := r.B[:n:n]
	r.B = r.B[n+2:]
	return s
}

// Text is Bytes as a string of its own.
func (r *Reply) Text() string { return string(r.Bytes()) }

// Number answers an integer, sent as one or as text; an empty text is 0.
func (r *Reply) Number() int64 {
	text := r.Bytes()
	if len(text) == 0 {
		return 0
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		r.Fail("no number")
	}
	return n
}

// Flag answers whether an integer is 1.
func (r *Reply) Flag() bool { return r.Number() == 1 }

// Skip passes one value of any kind.
func (r *Reply) Skip() {
	if len(r.B) > 0 && (r.B[0] == '*' || r.B[0] == '%') {
		for range r.Array() {
			r.Skip()
		}
		return
	}
	r.Bytes()
}

// AppendRESP writes a decoded answer back into its raw form, for the clients that decode (Cluster, transactions).
func AppendRESP(dst []byte, v any) []byte {
	switch v := v.(type) {
	case int64:
		return append(strconv.AppendInt(append(dst, ':'), v, 10), '\r', '\n')
	case string:
		dst = append(strconv.AppendInt(append(dst, '$'), int64(len(v)), 10), '\r', '\n')
		return append(append(dst, v...), '\r', '\n')
	case []any:
		dst = append(strconv.AppendInt(append(dst, '*'), int64(len(v)), 10), '\r', '\n')
		for _, e := range v {
			dst = AppendRESP(dst, e)
		}
		return dst
	case map[any]any:
		dst = append(strconv.AppendInt(append(dst, '%'), int64(len(v)), 10), '\r', '\n')
		for key, value := range v {
			dst = AppendRESP(AppendRESP(dst, key), value)
		}
		return dst
	}
	return append(dst, "_\r\n"...)
}
