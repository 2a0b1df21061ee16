package pubsub

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"sync"
	"unicode/utf8"
)

// Codec turns data into bytes and back, as queue.Codec does, so that one type can serve both. Safe for concurrent use.
type Codec interface {
	Name() string
	Marshal(v any) ([]byte, error)
	Unmarshal(data []byte, v any) error
}

// Raw is data that no codec touches. What a subscriber gets is shared by all subscriptions of the process, and by its
// neighbours in the connection's buffer: it must not be changed, and is to be cloned where it is kept for long.
type Raw []byte

// JSON is the default codec: encoding/json.
var JSON Codec = jsonCodec{}

type jsonCodec struct{}

func (jsonCodec) Name() string                       { return "json" }
func (jsonCodec) Marshal(v any) ([]byte, error)      { return json.Marshal(v) }
func (jsonCodec) Unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }

// scratch is a buffer with an encoder onto it: what json.Marshal answers, without an allocation for each.
type scratch struct {
	bytes.Buffer
	enc *json.Encoder
}

var scratches = sync.Pool{New: func() any {
	s := &scratch{}
	s.enc = json.NewEncoder(s)
	return s
}}

// maxScratch is what a pooled buffer may hold on to, in bytes.
const maxScratch = 64 << 10

// appendJSON is json.Marshal behind dst.
func appendJSON(dst []byte, v any) ([]byte, error) {
	s := scratches.Get().(*scratch)
	s.Reset()
	if err := s.enc.Encode(v); err != nil { // an Encoder whose writer failed is spoilt, but this one's does not
		return dst, err
	}
	dst = append(dst, s.Bytes()[:s.Len()-1]...) // without the newline
	if s.Cap() <= maxScratch {
		scratches.Put(s)
	}
	return dst, nil
}

// appendData writes data behind dst as the codec says.
func appendData[T any](dst []byte, codec Codec, data T) ([]byte, error) {
	switch raw := any(data).(type) {
	case Raw:
		return append(dst, raw...), nil
	}
	if codec == JSON {
		return appendJSON(dst, data)
	}
	b, err := codec.Marshal(data)
	if err != nil {
		return dst, err
	}
	return append(dst, b...), nil
}

// decodeData reads data into to. Raw aliases b.
func decodeData[T any](codec Codec, b []byte, to *T) error {
	if raw, ok := any(to).(*Raw); ok {
		*raw = b
		return nil
	}
	return codec.Unmarshal(b, to)
}

// isRaw tells whether a topic's data is Raw.
func isRaw[T any]() bool { return reflect.TypeFor[T]() == reflect.TypeFor[Raw]() }

// maxCodecName is the longest name of a codec, in bytes.
const maxCodecName = 128

func checkCodec(field string, c Codec) error {
	if c == nil {
		return invalid(field, "nil", "a Codec")
	}
	if name := c.Name(); name == "" || len(name) > maxCodecName || !utf8.ValidString(name) {
		return invalid(field, fmt.Sprintf("%.140q", name), fmt.Sprintf("one with a name of 1 to %d bytes", maxCodecName))
	}
	return nil
}
