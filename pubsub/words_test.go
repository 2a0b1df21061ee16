package pubsub

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"
)

// TestWords: what people read.
func TestWords(t *testing.T) {
	at := time.UnixMilli(1_795_000_000_000)
	for want, got := range map[string]any{
		"DropOldest": Policy{}, "DropNewest": DropNewest, "CloseWhenSlow": CloseWhenSlow, "Block(1s)": Block(time.Second),
		"pubsub: 7 messages missed (slow consumer)":                                        &Gap{Missed: 7, Reason: slowConsumer},
		"pubsub: messages of 1.5s may be missed (connection lost)":                         &Gap{From: at, To: at.Add(1500 * time.Millisecond), Reason: "connection lost"},
		`pubsub: a message of topic "t" cannot be decoded: EOF`:                            &DecodeError{Topic: "t", Err: io.EOF},
		"2 of 9 messages were not published, the first because: EOF":                       &BatchError{Failed: 2, Of: 9, First: io.EOF},
		"2 of 9 messages were not published (and 3 may have been), the first because: EOF": &BatchError{Failed: 2, Unknown: 3, Of: 9, First: io.EOF},
		"EOF": Dead(io.EOF), "given up without a reason": Dead(nil),
	} {
		if fmt.Sprint(got) != want {
			t.Errorf("%q, want %q", fmt.Sprint(got), want)
		}
	}
	if err := fmt.Errorf("x: %w", Dead(io.EOF)); !isDead(err) || !errors.Is(err, io.EOF) || isDead(io.EOF) {
		t.Error("what is dead is not told")
	}
}

// TestJSON: what is appended is what json.Marshal answers, also after data that it refuses, and from many at once.
func TestJSON(t *testing.T) {
	t.Parallel()
	for _, data := range []any{nil, 1, "a<b>&\u2028", map[string]any{"b": 1, "a": []int{}}, json.RawMessage(`{ "x" : [ 1 ] }`), func() {},
		json.RawMessage(`{`), make([]byte, 100<<10), []any{}} {
		want, refused := JSON.Marshal(data)
		got, err := appendData([]byte("before"), JSON, data)
		if (err == nil) != (refused == nil) || string(got) != "before"+string(want) {
			t.Errorf("%T: %.200q, %v; want %.200q, %v", data, got, err, want, refused)
		}
	}
}
