// Package codec is the default codec of queues and topics: JSON as encoding/json reads and writes it, read in less than half the time.
//
// What encoding/json answers is the rule, value and error alike. For types whose reading is known to be the same (see plain),
// the Go team's next encoding/json (github.com/go-json-experiment/json) reads, in one pass and with the options of the old
// semantics; whatever it refuses is read again by encoding/json, which has the last word. Other types are encoding/json's alone,
// above all those with UnmarshalJSON or UnmarshalText methods of their own: these may count their calls, and so each is called
// once, and only when the whole input is valid, as ever.
//
// Writing is encoding/json's: the other one was measured not to be faster.
package codec

import (
	"bytes"
	"encoding/json"
	"reflect"

	jsonv2 "github.com/go-json-experiment/json"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// JSON is the codec, under the name "json". Safe for concurrent use.
type JSON struct{}

// semantics are the old ones, but for errors: with the old ones of those the input is checked as a whole first, and the reading
// goes on behind the first fault, only to be done again.
var semantics = jsonv2.JoinOptions(jsonv1.DefaultOptionsV1(), jsonv1.ReportErrorsWithLegacySemantics(false))

// Name is "json".
func (JSON) Name() string { return "json" }

// Marshal is json.Marshal.
func (JSON) Marshal(v any) ([]byte, error) { return json.Marshal(v) }

// Unmarshal is json.Unmarshal: the same values and errors. What it reads into v is a copy: data may be used again.
func (JSON) Unmarshal(data []byte, v any) error {
	at := reflect.ValueOf(v)
	if at.Kind() != reflect.Pointer || at.IsNil() {
		return json.Unmarshal(data, v) // which says what is wrong
	}
	how := wayOf(at.Type().Elem())
	if how == slow || !at.Elem().IsZero() { // what is there already would be merged with: not where a second reading may follow
		return json.Unmarshal(data, v)
	}
	if how == fastUnescaped && bytes.IndexByte(data, '\\') >= 0 {
		return json.Unmarshal(data, v)
	}
	if jsonv2.Unmarshal(data, v, semantics) == nil {
		return nil
	}
	at.Elem().SetZero()
	return json.Unmarshal(data, v)
}
