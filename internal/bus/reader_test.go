package bus

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
)

// kept is a frame whose slices are compared when all has been read: nothing may be overwritten.
type kept struct {
	frame
	want string
}

func (k kept) String() string {
	return fmt.Sprintf("%d %s %s %s %s", k.what, k.pattern, k.channel, k.payload, k.text)
}

// stream answers replies of every kind, and what they say.
func stream(n int, r *rand.Rand) (raw []byte, want []string) {
	bulk := func(s string) { raw = appendBulk(raw, s) }
	for range n {
		channel := strings.Repeat("c", r.IntN(30))
		payload := strings.Repeat(string(rune('a'+r.IntN(26))), []int{r.IntN(20), r.IntN(3000), 0, r.IntN(200_000)}[r.IntN(4)])
		switch r.IntN(6) {
		case 0, 1:
			raw = append(raw, "*3\r\n"...)
			bulk("message")
			bulk(channel)
			bulk(payload)
			want = append(want, fmt.Sprintf("%d  %s %s ", aMessage, channel, payload))
		case 2:
			raw = append(raw, "*3\r\n"...)
			bulk("smessage")
			bulk(channel)
			bulk(payload)
			want = append(want, fmt.Sprintf("%d  %s %s ", aShardMessage, channel, payload))
		case 3:
			raw = append(raw, "*4\r\n"...)
			bulk("pmessage")
			bulk("p*")
			bulk(channel)
			bulk(payload)
			want = append(want, fmt.Sprintf("%d p* %s %s ", aPatternMessage, channel, payload))
		case 4:
			raw = append(raw, "*3\r\n"...)
			bulk("subscribe")
			bulk(channel)
			raw = append(raw, ":12\r\n"...)
			want = append(want, fmt.Sprintf("%d  %s  ", aConfirmation, channel))
		case 5:
			raw = append(raw, "-NOPERM no\r\n"...)
			want = append(want, fmt.Sprintf("%d    NOPERM no", aFault))
		}
	}
	return raw, want
}

// pieces reads in pieces of any size.
type pieces struct {
	from io.Reader
	r    *rand.Rand
}

func (p pieces) Read(b []byte) (int, error) {
	return p.from.Read(b[:1+p.r.IntN(len(b))])
}

func TestReader(t *testing.T) {
	seed := rand.Uint64()
	raw, want := stream(300, rand.New(rand.NewPCG(seed, 0)))
	for name, from := range map[string]io.Reader{
		"whole":        bytes.NewReader(raw),
		"bytes":        iotest.OneByteReader(bytes.NewReader(raw)),
		"pieces":       pieces{bytes.NewReader(raw), rand.New(rand.NewPCG(seed, 1))},
		"with the end": iotest.DataErrReader(bytes.NewReader(raw)),
	} {
		r := reader{from: from}
		var all []kept
		for i := range want {
			k := kept{want: want[i]}
			if err := r.read(&k.frame); err != nil {
				t.Fatalf("%s, seed %d: reply %d: %v", name, seed, i, err)
			}
			all = append(all, k)
		}
		for i, k := range all {
			if k.String() != k.want {
				t.Errorf("%s, seed %d: reply %d is %.80q, want %.80q", name, seed, i, k, k.want)
			}
		}
		if err := r.read(new(frame)); !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v at the end", name, err)
		}
	}
}

func TestReaderRefuses(t *testing.T) {
	for _, raw := range []string{
		"hello\r\n", "*5\r\n", "*0\r\n", "*x\r\n", "*3\r\n:1\r\n", "*3\r\n$7\r\nmessage\r\n$-\r\n",
		"*3\r\n$7\r\nmessage\r\n$3\r\nabcde\r\n",
		"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$99999999999\r\n", "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$999999999\r\n", "*2\r\n$3\r\nfoo\r\n$1\r\nx\r\n",
		"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n$1\r\nx\r\n", "\n", ":1\r\n", "+" + strings.Repeat("x", 2*maxLine),
	} {
		r := reader{from: strings.NewReader(raw)}
		if err := r.read(new(frame)); !errors.Is(err, errProtocol) {
			t.Errorf("%.40q: %v", raw, err)
		}
	}
	r := reader{from: strings.NewReader("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$3\r\nab")}
	if err := r.read(new(frame)); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut off: %v", err)
	}
	null := reader{from: strings.NewReader("*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n+PONG\r\n")}
	for _, want := range []what{aConfirmation, aPong, aPong} {
		var f frame
		if err := null.read(&f); err != nil || f.what != want {
			t.Errorf("%+v, %v", f, err)
		}
	}
}

// What a quiet connection brings keeps little memory alive, and what a busy one brings is read in large pieces.
func TestReaderChunks(t *testing.T) {
	small := reader{from: iotest.OneByteReader(bytes.NewReader(bytes.Repeat([]byte("+PONG\r\n"), 5000)))}
	large := reader{from: bytes.NewReader(bytes.Repeat([]byte("+PONG\r\n"), 500_000))}
	for range 5000 {
		if err := small.read(new(frame)); err != nil {
			t.Fatal(err)
		}
	}
	for range 400_000 {
		if err := large.read(new(frame)); err != nil {
			t.Fatal(err)
		}
	}
	if cap(small.buf) > 2*minChunk || cap(large.buf) < maxChunk {
		t.Errorf("arrays of %d and %d bytes", cap(small.buf), cap(large.buf))
	}
}

func TestSlotOf(t *testing.T) {
	for name, want := range map[string]int{
		"": 0, "123456789": 12739, "foo": 12182, "{foo}bar": 12182, "a{foo}{bar}": 12182, "foo{}": 5542, "{}foo": 9500,
	} {
		if got := slotOf(name); got != want {
			t.Errorf("%q: %d, want %d", name, got, want)
		}
	}
}
