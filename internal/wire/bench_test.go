package wire

import (
	"bytes"
	"testing"
)

// usual is an envelope as most are: a kind, args of about 200 bytes, and when it was made.
func usual() Envelope {
	return Envelope{Kind: "mail.send", Args: bytes.Repeat([]byte("x"), 200), CreatedAt: 1700000000000}
}

func intern([]byte) string { return "mail.send" }

func BenchmarkEnvelopeAppend(b *testing.B) {
	e, buf := usual(), make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		buf = e.Append(buf[:0])
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkEnvelopeDecode(b *testing.B) {
	e := usual()
	raw := e.Append(nil)
	out := Envelope{Intern: intern}
	b.ReportAllocs()
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if err := out.Decode(raw); err != nil {
			b.Fatal(err)
		}
	}
}

// Neither way allocates: encoding writes where there is room, decoding points into what it reads.
func TestEnvelopeAllocations(t *testing.T) {
	e, buf := usual(), make([]byte, 0, 512)
	if n := testing.AllocsPerRun(100, func() { buf = e.Append(buf[:0]) }); n > 0 {
		t.Errorf("encoding allocates %v times", n)
	}
	out := Envelope{Intern: intern}
	if n := testing.AllocsPerRun(100, func() { _ = out.Decode(buf) }); n > 0 {
		t.Errorf("decoding allocates %v times", n)
	}
}
