package wire

import (
	"bytes"
	"encoding/hex"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

var messageID = uuid.MustParse("0190a000-1234-7abc-8def-0123456789ab")

func sameMessage(a, b *Message) bool {
	return a.ID == b.ID && a.Time == b.Time && maps.Equal(a.Meta, b.Meta) && bytes.Equal(a.Data, b.Data)
}

// The bytes are the protocol: a client in another language writes and reads them.
func TestMessageGolden(t *testing.T) {
	for _, c := range []struct {
		name string
		m    Message
		want string
	}{
		{"plain", Message{ID: messageID, Time: 1_795_000_000_000_000, Data: []byte(`{"a":1}`)},
			"f7 01 00 0190a00012347abc8def0123456789ab 0006608b015f3000" + hex.EncodeToString([]byte(`{"a":1}`))},
		{"no data", Message{ID: messageID, Time: 1}, "f7 01 00 0190a00012347abc8def0123456789ab 0000000000000001"},
		{"metadata", Message{ID: messageID, Time: 1, Meta: map[string]string{"b": "", "a": "xy"}, Data: []byte{0}},
			"f7 01 01 0190a00012347abc8def0123456789ab 0000000000000001 08 0161 027879 0162 00 00"},
	} {
		want, err := hex.DecodeString(strings.ReplaceAll(c.want, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.m.Append([]byte("before")); string(got) != "before"+string(want) {
			t.Errorf("%s:\n got %x\nwant %x", c.name, got[6:], want)
		}
		if got := DecodeMessage(want); !sameMessage(&got, &c.m) {
			t.Errorf("%s: read as %+v", c.name, got)
		}
	}
}

func TestMessageKeepsLongMetadata(t *testing.T) {
	m := Message{ID: messageID, Time: 5, Data: []byte("x"), Meta: map[string]string{
		strings.Repeat("k", 127): strings.Repeat("v", 128), strings.Repeat("l", 16_384): strings.Repeat("w", 16_383), "": "none"}}
	if got := DecodeMessage(m.Append(nil)); !sameMessage(&got, &m) {
		t.Errorf("read as %d keys, %d bytes", len(got.Meta), len(got.Data))
	}
}

func TestMessageOfOthers(t *testing.T) {
	whole := (&Message{ID: messageID, Time: 5, Meta: map[string]string{"k": "v"}}).Append(nil)
	change := func(at int, to byte) []byte {
		b := bytes.Clone(whole)
		b[at] = to
		return b
	}
	for name, b := range map[string][]byte{
		"empty": {}, "JSON": []byte(`{"a":1}`), "the mark alone": {0xF7}, "cut": whole[:messageHead-1],
		"another version": change(1, 2), "another flag": change(2, 2), "a time before 1970": change(19, 0x80),
		"metadata cut": whole[:len(whole)-1], "metadata that claims more": change(messageHead, 200), "no metadata": change(messageHead, 0),
		"a key without value": append(bytes.Clone(whole[:messageHead]), 1, 0), "a key too long": change(messageHead+1, 9),
	} {
		if got := DecodeMessage(b); got.ID != uuid.Nil || got.Time != 0 || got.Meta != nil || !bytes.Equal(got.Data, b) {
			t.Errorf("%s: read as %+v", name, got)
		}
	}
}

func TestMessageIDs(t *testing.T) {
	at := time.UnixMicro(1_795_000_000_123_456)
	seen := map[uuid.UUID]bool{}
	for range 1000 {
		id := NewMessageID(at)
		if id.Version() != 7 || id.Variant() != uuid.RFC4122 || seen[id] {
			t.Fatalf("%s: version %d, variant %s, seen %v", id, id.Version(), id.Variant(), seen[id])
		}
		if sec, nsec := id.Time().UnixTime(); time.Unix(sec, nsec).UnixMilli() != at.UnixMilli() {
			t.Fatalf("%s is of %v", id, time.Unix(sec, nsec))
		}
		seen[id] = true
	}
	for _, step := range []time.Duration{time.Microsecond, time.Millisecond, time.Hour} {
		a, b := NewMessageID(at), NewMessageID(at.Add(step))
		if bytes.Compare(a[:8], b[:8]) >= 0 {
			t.Errorf("%s is not before %s, %v later", a, b, step)
		}
	}
}

func FuzzMessage(f *testing.F) {
	f.Add([]byte(`{"a":1}`))
	f.Add((&Message{ID: messageID, Time: 5, Data: []byte("d")}).Append(nil))
	f.Add((&Message{ID: messageID, Time: 5, Meta: map[string]string{"k": "v", "": ""}, Data: []byte("d")}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := DecodeMessage(b)
		if m.ID == uuid.Nil && m.Time == 0 && bytes.Equal(m.Data, b) {
			return // foreign
		}
		if again := DecodeMessage(m.Append(nil)); !sameMessage(&again, &m) {
			t.Fatalf("%+v comes back as %+v", m, again)
		}
	})
}
