// Package wire is the binary form of a job (envelope) and of its mutable record (state), as docs/protocol.md
// describes them: a small head that the Lua scripts read, then a body in protobuf wire format that they never look
// into. It is pure and safe for concurrent use.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Version is the newest envelope and state version that this program reads, and the one that it writes.
const Version = 1

// MaxPriority is the most urgent priority; 0 is the default and the least urgent.
const MaxPriority = 9

// Bits of the envelope's flags byte: which optional fields the head carries, in this order.
const (
	flagExpiry    = 1 << iota // u64 ms: drop if not started by
	flagRetention             // u64 ms: keep the finished job this long
	flagLock                  // 16 bytes: digest of the unique lock
	flagGroup                 // u8 length, bytes
	flagLimits                // u8 count, then u8 length and bytes each
	flagsKnown    = flagExpiry | flagRetention | flagLock | flagGroup | flagLimits
)

// headMin is the fixed part of the head: version, flags, priority, u16 offset of the body.
const headMin = 5

var (
	// ErrCorrupt says that bytes are not an envelope or record at all.
	ErrCorrupt = errors.New("corrupt envelope")
	// ErrNewer says that a newer Tidemill wrote the bytes; this one has to be upgraded to read them.
	ErrNewer = errors.New("envelope of a newer version")
)

// Envelope is a job as enqueued. Times are Unix milliseconds by whoever enqueued it, durations milliseconds; zero
// means not set.
type Envelope struct {
	Priority    uint8
	ExpiresAt   int64 // drop the job unless it started by then
	Retention   int64 // keep the finished job and its result this long
	Kind        string
	Args        []byte
	Key         string // the caller's own id as given, where it was text
	CreatedAt   int64
	DueAt       int64 // of a delayed job: when it was to be ready, by the clock of whoever enqueued it
	MaxAttempts int
	Timeout     int64 // for one attempt
	Deadline    int64 // no attempt runs beyond this time
	Encoding    string
	Meta        map[string]string
	Notify      string // who waits for the end: the worker tells the channel of this name

	// Intern, where set, makes a kind's bytes text when decoding, so that a known name need not be copied each time.
	Intern func([]byte) string
}

// Body field numbers (protobuf). New fields get new numbers; readers skip those they do not know.
const (
	fieldKind        = 1
	fieldArgs        = 2
	fieldKey         = 3
	fieldCreatedAt   = 4
	fieldMaxAttempts = 5
	fieldTimeout     = 6
	fieldDeadline    = 7
	fieldEncoding    = 8
	fieldMeta        = 9
	fieldNotify      = 10
	fieldDueAt       = 11
)

// PriorityOf reads the priority of an encoded envelope, and whether it is one at all as far as its head tells.
func PriorityOf(envelope []byte) (uint8, bool) {
	if len(envelope) < headMin || envelope[0] == 0 || envelope[2] > MaxPriority {
		return 0, false
	}
	return envelope[2], true
}

// Append writes the envelope behind dst.
func (e *Envelope) Append(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, Version, 0, e.Priority, 0, 0)
	if e.ExpiresAt > 0 {
		dst[start+1] |= flagExpiry
		dst = binary.BigEndian.AppendUint64(dst, uint64(e.ExpiresAt))
	}
	if e.Retention > 0 {
		dst[start+1] |= flagRetention
		dst = binary.BigEndian.AppendUint64(dst, uint64(e.Retention))
	}
	binary.BigEndian.PutUint16(dst[start+3:], uint16(len(dst)-start))
	dst = appendText(dst, fieldKind, e.Kind)
	dst = appendText(dst, fieldKey, e.Key)
	dst = appendNumber(dst, fieldCreatedAt, e.CreatedAt)
	dst = appendNumber(dst, fieldDueAt, e.DueAt)
	dst = appendNumber(dst, fieldMaxAttempts, int64(e.MaxAttempts))
	dst = appendNumber(dst, fieldTimeout, e.Timeout)
	dst = appendNumber(dst, fieldDeadline, e.Deadline)
	dst = appendText(dst, fieldEncoding, e.Encoding)
	dst = appendMap(dst, fieldMeta, e.Meta)
	dst = appendText(dst, fieldNotify, e.Notify)
	return appendBytes(dst, fieldArgs, e.Args)
}

// Decode reads an envelope. Args aliases b. The error is ErrNewer or ErrCorrupt with the reason.
func (e *Envelope) Decode(b []byte) error {
	*e = Envelope{Intern: e.Intern}
	body, err := e.decodeHead(b)
	if err != nil {
		return err
	}
	r := reader{b: body}
	for r.next() {
		switch r.field {
		case fieldKind:
			if e.Intern != nil {
				e.Kind = e.Intern(r.bytes)
			} else {
				e.Kind = r.text()
			}
		case fieldArgs:
			e.Args = r.bytes
		case fieldKey:
			e.Key = r.text()
		case fieldCreatedAt:
			e.CreatedAt = r.number
		case fieldDueAt:
			e.DueAt = r.number
		case fieldMaxAttempts:
			e.MaxAttempts = int(r.number)
		case fieldTimeout:
			e.Timeout = r.number
		case fieldDeadline:
			e.Deadline = r.number
		case fieldEncoding:
			e.Encoding = r.text()
		case fieldMeta:
			if e.Meta == nil {
				e.Meta = make(map[string]string)
			}
			r.entry(e.Meta)
		case fieldNotify:
			e.Notify = r.text()
		}
	}
	if r.err != nil {
		return r.err
	}
	if e.Kind == "" {
		return fmt.Errorf("%w: it names no kind", ErrCorrupt)
	}
	return nil
}

func (e *Envelope) decodeHead(b []byte) (body []byte, err error) {
	if len(b) < headMin {
		return nil, fmt.Errorf("%w: %d bytes, a head has at least %d", ErrCorrupt, len(b), headMin)
	}
	if b[0] == 0 {
		return nil, fmt.Errorf("%w: version 0 does not exist", ErrCorrupt)
	}
	if b[0] > Version {
		return nil, fmt.Errorf("%w: it is version %d and this program reads up to %d; upgrade the worker", ErrNewer, b[0], Version)
	}
	flags, offset := b[1], int(binary.BigEndian.Uint16(b[3:]))
	if offset < headMin || offset > len(b) {
		return nil, fmt.Errorf("%w: the head claims %d of %d bytes", ErrCorrupt, offset, len(b))
	}
	if b[2] > MaxPriority {
		return nil, fmt.Errorf("%w: priority %d, the highest is %d", ErrCorrupt, b[2], MaxPriority)
	}
	if flags&^flagsKnown != 0 {
		return nil, fmt.Errorf("%w: flags %08b", ErrCorrupt, flags)
	}
	e.Priority = b[2]
	head := b[headMin:offset]
	for _, f := range []struct {
		bit byte
		to  *int64
	}{{flagExpiry, &e.ExpiresAt}, {flagRetention, &e.Retention}} {
		if flags&f.bit == 0 {
			continue
		}
		if len(head) < 8 {
			return nil, fmt.Errorf("%w: the head is too short for its flags", ErrCorrupt)
		}
		*f.to, head = int64(binary.BigEndian.Uint64(head)), head[8:]
		if *f.to < 0 {
			return nil, fmt.Errorf("%w: a time in the head is out of range", ErrCorrupt)
		}
	}
	return b[offset:], nil
}
