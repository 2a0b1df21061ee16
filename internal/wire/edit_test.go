package wire

import (
	"bytes"
	"errors"
	"testing"
)

func TestEdited(t *testing.T) {
	e := Envelope{Priority: 3, ExpiresAt: 5, Retention: 7, Kind: "k", Args: []byte("old"), Key: "mine", CreatedAt: 9, MaxAttempts: 4,
		Timeout: 11, Deadline: 12, Encoding: "e", Meta: map[string]string{"a": "b", "c": ""}}
	// Fields of a version to come, before, between and behind ours.
	raw := e.Append(nil)
	body := int(raw[4])
	raw = append(append(append([]byte{}, raw[:body]...), 0xfa, 0x07, 3, 'x', 'y', 'z'), raw[body:]...)
	raw = append(raw, 0x98, 0x06, 42, 0x95, 0x06, 1, 2, 3, 4)
	same, err := Edited(raw, nil, -1)
	if err != nil || !bytes.Equal(same, raw) {
		t.Errorf("nothing to change: %q, %v", same, err)
	}
	for name, x := range map[string]struct {
		args     []byte
		priority int
		want     func(*Envelope)
	}{
		"priority": {nil, 9, func(e *Envelope) { e.Priority = 9 }},
		"lowest":   {nil, 0, func(e *Envelope) { e.Priority = 0 }},
		"args":     {[]byte("new and longer"), -1, func(e *Envelope) { e.Args = []byte("new and longer") }},
		"no args":  {[]byte{}, 1, func(e *Envelope) { e.Args, e.Priority = nil, 1 }},
	} {
		out, err := Edited(raw, x.args, x.priority)
		if err != nil {
			t.Fatal(name, err)
		}
		var got Envelope
		if err := got.Decode(out); err != nil {
			t.Fatal(name, err)
		}
		want := e
		x.want(&want)
		if !bytes.Equal(got.Append(nil), want.Append(nil)) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", name, got, want)
		}
		for _, unknown := range []string{"\xfa\x07\x03xyz", "\x98\x06\x2a\x95\x06\x01\x02\x03\x04"} {
			if !bytes.Contains(out, []byte(unknown)) {
				t.Errorf("%s: %q lost %q", name, out, unknown)
			}
		}
	}
	if _, err := Edited(raw, nil, 10); err == nil {
		t.Error("priority 10 was taken")
	}
	for bad, want := range map[string]error{"": ErrCorrupt, "\x01\x00\x00\x00\x05": ErrCorrupt, "\x09\x00\x00\x00\x05\x0a\x01k": ErrNewer} {
		if _, err := Edited([]byte(bad), []byte("x"), 1); !errors.Is(err, want) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
