package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"reflect"
	"testing"
)

func sameEnvelope(a, b *Envelope) bool {
	x, y := *a, *b
	if !bytes.Equal(x.Args, y.Args) || !maps.Equal(x.Meta, y.Meta) {
		return false
	}
	x.Args, y.Args, x.Meta, y.Meta = nil, nil, nil, nil
	return reflect.DeepEqual(x, y)
}

func fullEnvelope() Envelope {
	return Envelope{
		Priority: 7, ExpiresAt: 1 << 45, Retention: 86_400_000, Kind: "image.resize",
		Args: []byte("\x00\xff{\"a\":1}\r\n$5\r\n"), Key: "order-42 ☃", CreatedAt: 1_795_000_000_000, MaxAttempts: 25,
		Timeout: 30_000, Deadline: 1 << 46, Encoding: "zstd", Meta: map[string]string{"": "empty", "b": "", "a": "\xfe"},
		Notify: "0f8c5b1e",
	}
}

func TestEnvelopeRoundTrip(t *testing.T) {
	for name, e := range map[string]Envelope{
		"smallest":  {Kind: "k"},
		"full":      fullEnvelope(),
		"expiry":    {Kind: "k", ExpiresAt: 1},
		"retention": {Kind: "k", Retention: 1},
		"highest":   {Kind: "k", Priority: MaxPriority, MaxAttempts: 1 << 40},
		"big":       {Kind: "k", Args: bytes.Repeat([]byte{0}, 1<<20)},
	} {
		t.Run(name, func(t *testing.T) {
			prefix := []byte("before")
			raw := e.Append(bytes.Clone(prefix))
			if !bytes.HasPrefix(raw, prefix) {
				t.Fatal("Append overwrote what stood before")
			}
			raw = raw[len(prefix):]
			var got Envelope
			if err := got.Decode(raw); err != nil {
				t.Fatal(err)
			}
			if !sameEnvelope(&e, &got) {
				t.Fatalf("got %+v, want %+v", got, e)
			}
			if again := got.Append(nil); !bytes.Equal(again, raw) {
				t.Fatal("the same envelope has two forms")
			}
		})
	}
}

// The scripts read these places: they are part of the protocol.
func TestEnvelopeHead(t *testing.T) {
	e := fullEnvelope()
	raw := e.Append(nil)
	if raw[0] != 1 || raw[1] != flagExpiry|flagRetention || raw[2] != 7 {
		t.Errorf("head % x", raw[:5])
	}
	if at := binary.BigEndian.Uint16(raw[3:]); at != 21 {
		t.Errorf("body at %d, want 21", at)
	}
	if got := binary.BigEndian.Uint64(raw[5:]); got != 1<<45 {
		t.Errorf("expiry %d", got)
	}
	if got := binary.BigEndian.Uint64(raw[13:]); got != 86_400_000 {
		t.Errorf("retention %d", got)
	}
}

func TestEnvelopeTruncated(t *testing.T) {
	e := fullEnvelope()
	raw := e.Append(nil)
	bodies := 0
	for n := range len(raw) {
		var got Envelope
		switch err := got.Decode(raw[:n]); {
		case err == nil:
			bodies++ // cut at a field's border: what is there is whole
		case !errors.Is(err, ErrCorrupt) || errors.Is(err, ErrNewer):
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
	if bodies == 0 || bodies > 12 {
		t.Errorf("%d of %d cuts were accepted; only the borders of fields may be", bodies, len(raw))
	}
}

func TestEnvelopeRefused(t *testing.T) {
	head := func(version, flags, priority byte, offset uint16, rest ...byte) []byte {
		return append([]byte{version, flags, priority, byte(offset >> 8), byte(offset)}, rest...)
	}
	kind := []byte{fieldKind<<3 | typeBytes, 1, 'k'}
	for name, c := range map[string]struct {
		raw  []byte
		want error
	}{
		"empty":                {nil, ErrCorrupt},
		"tombstone":            {[]byte{0, 3}, ErrCorrupt},
		"version 0":            {head(0, 0, 0, 5, kind...), ErrCorrupt},
		"newer version":        {head(2, 0, 0, 5, kind...), ErrNewer},
		"newest version":       {head(255, 255, 255, 0), ErrNewer},
		"no kind":              {head(1, 0, 0, 5), ErrCorrupt},
		"priority 10":          {head(1, 0, 10, 5, kind...), ErrCorrupt},
		"unknown flag":         {head(1, 32, 0, 5, kind...), ErrCorrupt},
		"body inside the head": {head(1, 0, 0, 4, kind...), ErrCorrupt},
		"body beyond the end":  {head(1, 0, 0, 9, kind...), ErrCorrupt},
		"flags without room":   {head(1, flagExpiry, 0, 5, kind...), ErrCorrupt},
		"negative time":        {head(1, flagRetention, 0, 13, 255, 0, 0, 0, 0, 0, 0, 0, fieldKind<<3|2, 1, 'k'), ErrCorrupt},
		"field 0":              {head(1, 0, 0, 5, 0, 1), ErrCorrupt},
		"group":                {head(1, 0, 0, 5, 1<<3|3), ErrCorrupt},
		"string too long":      {head(1, 0, 0, 5, 1<<3|2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1), ErrCorrupt},
		"number too big":       {head(1, 0, 0, 5, 4<<3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1), ErrCorrupt},
		"number too long":      {head(1, 0, 0, 5, 4<<3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1), ErrCorrupt},
		"broken meta":          {head(1, 0, 0, 5, 1<<3|2, 1, 'k', 9<<3|2, 2, 1<<3|2, 9), ErrCorrupt},
	} {
		var e Envelope
		if err := e.Decode(c.raw); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestEnvelopeSkipsUnknownFields(t *testing.T) {
	e := fullEnvelope()
	raw := e.Append(nil)
	raw = append(raw, 15<<3|typeVarint, 7)
	raw = append(raw, 15<<3|typeBytes, 2, 'h', 'i')
	raw = append(raw, 15<<3|typeFixed8, 1, 2, 3, 4, 5, 6, 7, 8)
	raw = append(raw, 15<<3|typeFixed4, 1, 2, 3, 4)
	raw = append(binary.AppendUvarint(raw, 5000<<3|typeVarint), 1)
	var got Envelope
	if err := got.Decode(raw); err != nil {
		t.Fatal(err)
	}
	if !sameEnvelope(&e, &got) {
		t.Fatalf("got %+v, want %+v", got, e)
	}
}

// A head may carry fields that this version knows the size of only through the body's offset.
func TestEnvelopeSkipsRestOfHead(t *testing.T) {
	raw := []byte{1, flagLock | flagExpiry, 3, 0, 29}
	raw = binary.BigEndian.AppendUint64(raw, 99)
	raw = append(raw, bytes.Repeat([]byte{0xaa}, 16)...)
	raw = append(raw, fieldKind<<3|typeBytes, 1, 'k')
	var got Envelope
	if err := got.Decode(raw); err != nil {
		t.Fatal(err)
	}
	if want := (Envelope{Kind: "k", Priority: 3, ExpiresAt: 99}); !sameEnvelope(&got, &want) {
		t.Fatalf("got %+v", got)
	}
}

func FuzzEnvelope(f *testing.F) {
	e := fullEnvelope()
	f.Add(e.Append(nil))
	f.Add((&Envelope{Kind: "k"}).Append(nil))
	f.Add([]byte{0, 1})
	f.Add([]byte{2, 0, 0, 0, 5})
	f.Add([]byte{1, 3, 9, 0, 21, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 10, 1, 'k', 74, 4, 10, 0, 18, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		before := bytes.Clone(raw)
		var first, second Envelope
		err := first.Decode(raw)
		if !bytes.Equal(before, raw) {
			t.Fatal("Decode changed its input")
		}
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNewer) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		if first.Priority > MaxPriority || first.Kind == "" {
			t.Fatalf("accepted %+v", first)
		}
		if err := second.Decode(first.Append(nil)); err != nil {
			t.Fatalf("cannot read what was written: %v (%+v)", err, first)
		}
		if !sameEnvelope(&first, &second) {
			t.Fatalf("%+v became %+v", first, second)
		}
	})
}
