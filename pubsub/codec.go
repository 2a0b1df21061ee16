package pubsub

import (
	"fmt"
	"reflect"
	"unicode/utf8"

	"github.com/tidemill/tidemill/internal/codec"
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

// JSON is the default codec, the same as queue.JSON: the values, the bytes and the errors of encoding/json, whose reading it
// makes faster where a type allows it.
var JSON Codec = codec.JSON{}

// appendData writes data behind dst as the codec says.
func appendData[T any](dst []byte, c Codec, data T) ([]byte, error) {
	switch raw := any(data).(type) {
	case Raw:
		return append(dst, raw...), nil
	}
	if j, ok := c.(codec.JSON); ok {
		return j.Append(dst, data)
	}
	b, err := c.Marshal(data)
	if err != nil {
		return dst, err
	}
	return append(dst, b...), nil
}

// decodeData reads data into to. Raw aliases b.
func decodeData[T any](c Codec, b []byte, to *T) error {
	if raw, ok := any(to).(*Raw); ok {
		*raw = b
		return nil
	}
	return c.Unmarshal(b, to)
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
