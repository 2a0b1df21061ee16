package wire

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
)

// The subset of the protobuf wire format that the bodies use: varints (type 0) and length-delimited bytes (type 2).
const (
	typeVarint = 0
	typeFixed8 = 1
	typeBytes  = 2
	typeFixed4 = 5
)

func appendNumber(dst []byte, field int, n int64) []byte {
	if n == 0 {
		return dst
	}
	return binary.AppendUvarint(append(dst, byte(field<<3|typeVarint)), uint64(n))
}

func appendText(dst []byte, field int, s string) []byte {
	if s == "" {
		return dst
	}
	return append(binary.AppendUvarint(append(dst, byte(field<<3|typeBytes)), uint64(len(s))), s...)
}

func appendBytes(dst []byte, field int, b []byte) []byte {
	if len(b) == 0 {
		return dst
	}
	return appendMessage(dst, field, b)
}

// appendMessage writes one of a repeated field, also where it is empty.
func appendMessage(dst []byte, field int, b []byte) []byte {
	return append(binary.AppendUvarint(append(dst, byte(field<<3|typeBytes)), uint64(len(b))), b...)
}

// appendMap writes the entries in key order, so that equal envelopes have equal bytes.
func appendMap(dst []byte, field int, m map[string]string) []byte {
	if len(m) == 0 {
		return dst
	}
	var entry []byte
	for _, k := range slices.Sorted(maps.Keys(m)) {
		entry = appendText(appendText(entry[:0], 1, k), 2, m[k])
		dst = appendMessage(dst, field, entry)
	}
	return dst
}

// reader walks the fields of a body. Fields of unknown number are the caller's to ignore.
type reader struct {
	b      []byte
	field  int
	number int64
	bytes  []byte
	err    error
}

func (r *reader) text() string { return string(r.bytes) }

func (r *reader) next() bool {
	if len(r.b) == 0 || r.err != nil {
		return false
	}
	tag, ok := r.uvarint()
	if !ok {
		return false
	}
	if tag>>3 == 0 || tag>>3 > math.MaxInt32 {
		return r.fail("field number %d", tag>>3)
	}
	r.field, r.number, r.bytes = int(tag>>3), 0, nil
	switch tag & 7 {
	case typeVarint:
		n, ok := r.uvarint()
		if ok && n > math.MaxInt64 {
			return r.fail("field %d is out of range", r.field)
		}
		r.number = int64(n)
		return ok
	case typeBytes:
		n, ok := r.uvarint()
		if !ok {
			return false
		}
		return r.take(n)
	case typeFixed8:
		return r.take(8)
	case typeFixed4:
		return r.take(4)
	}
	return r.fail("field %d has wire type %d", r.field, tag&7)
}

func (r *reader) take(n uint64) bool {
	if n > uint64(len(r.b)) {
		return r.fail("field %d claims %d of %d bytes", r.field, n, len(r.b))
	}
	r.bytes, r.b = r.b[:n:n], r.b[n:]
	return true
}

func (r *reader) uvarint() (uint64, bool) {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		return 0, r.fail("a number is cut off")
	}
	r.b = r.b[size:]
	return n, true
}

func (r *reader) fail(format string, args ...any) bool {
	r.err = fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
	return false
}

// entry reads the current field as a map entry {1: key, 2: value} into m.
func (r *reader) entry(m map[string]string) {
	e := reader{b: r.bytes}
	var key, value string
	for e.next() {
		switch e.field {
		case 1:
			key = e.text()
		case 2:
			value = e.text()
		}
	}
	if e.err != nil {
		r.err = e.err
		return
	}
	m[key] = value
}
