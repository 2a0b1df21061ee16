package wire

import (
	"encoding/binary"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"
)

// A message of pub/sub as it travels, in a channel or a stream: mark, version, flags, id, time, metadata if there is any,
// and the data to the end. docs/protocol.md describes it. The mark begins no UTF-8 text, so that no JSON looks like one.
const (
	messageMark    = 0xF7
	messageVersion = 1
	flagMeta       = 1 // between time and data: uvarint bytes of what follows, then uvarint length and bytes of each key and value
	messageHead    = 1 + 1 + 1 + 16 + 8
)

// MessageOverhead is by how much an envelope without metadata is longer than its data, in bytes.
const MessageOverhead = messageHead

// Message is a message's envelope.
type Message struct {
	ID   uuid.UUID         // zero of a foreign message
	Time int64             // Unix µs, by the publisher's clock
	Meta map[string]string // nil = none
	Data []byte
}

// Append writes the envelope behind dst.
func (m *Message) Append(dst []byte) []byte {
	return append(AppendMessageHead(dst, m.ID, m.Time, m.Meta), m.Data...)
}

// AppendMessageHead writes all that goes before the data behind dst, so that data can be encoded in place.
func AppendMessageHead(dst []byte, id uuid.UUID, at int64, meta map[string]string) []byte {
	flags := byte(0)
	if len(meta) > 0 {
		flags = flagMeta
	}
	dst = append(dst, messageMark, messageVersion, flags)
	dst = append(dst, id[:]...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(at))
	if len(meta) == 0 {
		return dst
	}
	size := 0
	for k, v := range meta {
		size += textSize(k) + textSize(v)
	}
	dst = binary.AppendUvarint(dst, uint64(size))
	for _, k := range slices.Sorted(maps.Keys(meta)) { // equal messages have equal bytes
		dst = append(binary.AppendUvarint(dst, uint64(len(k))), k...)
		dst = append(binary.AppendUvarint(dst, uint64(len(meta[k]))), meta[k]...)
	}
	return dst
}

// textSize is how many bytes a text takes with its length before it.
func textSize(s string) int {
	n := 1
	for l := len(s); l >= 0x80; l >>= 7 {
		n++
	}
	return n + len(s)
}

// DecodeMessage reads what came by a channel. Data aliases b. What is no envelope, or one that this program cannot read
// to the end, is a foreign message: all of b is its data, and nothing else is set.
func DecodeMessage(b []byte) Message {
	foreign := Message{Data: b}
	if len(b) < messageHead || b[0] != messageMark || b[1] != messageVersion || b[2]&^flagMeta != 0 {
		return foreign
	}
	m := Message{ID: uuid.UUID(b[3:19]), Time: int64(binary.BigEndian.Uint64(b[19:27])), Data: b[messageHead:]}
	if m.Time < 0 {
		return foreign
	}
	if b[2]&flagMeta == 0 {
		return m
	}
	meta, rest, ok := cutText(m.Data)
	if !ok || len(meta) == 0 {
		return foreign
	}
	m.Meta, m.Data = make(map[string]string), rest
	for len(meta) > 0 {
		var key, value []byte
		if key, meta, ok = cutText(meta); !ok {
			return foreign
		}
		if value, meta, ok = cutText(meta); !ok {
			return foreign
		}
		m.Meta[string(key)] = string(value)
	}
	return m
}

// cutText takes a uvarint length and as many bytes off the front.
func cutText(b []byte) (text, rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return nil, nil, false
	}
	end := size + int(n)
	return b[size:end:end], b[end:], true
}

// NewMessageID makes a UUIDv7 of a time: ms, then 12 bits of what is left of it, then 62 random bits. It takes a few ns,
// where one of package uuid asks the system for randomness each time.
func NewMessageID(at time.Time) uuid.UUID {
	var id uuid.UUID
	ns := at.UnixNano()
	ms, left := uint64(ns/int64(time.Millisecond)), uint64(ns%int64(time.Millisecond))
	binary.BigEndian.PutUint64(id[:8], ms<<16|7<<12|left<<12/uint64(time.Millisecond))
	binary.BigEndian.PutUint64(id[8:], rand.Uint64()>>2|1<<63)
	return id
}
