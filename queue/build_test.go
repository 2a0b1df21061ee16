package queue

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// shout is a codec that is not JSON.
type shout struct{ name string }

func (s shout) Name() string                        { return s.name }
func (shout) Marshal(args any) ([]byte, error)      { return []byte(fmt.Sprint(args, "!\x00")), nil }
func (shout) Unmarshal(payload []byte, _ any) error { return nil }

// Append is a codec's own affair: the default one's is called, and nobody else's.
func (shout) Append(dst []byte, _ any) ([]byte, error) { return append(dst, "not asked for"...), nil }

// pointed has its Kind on the pointer, odd names a kind that depends on the value.
type pointed struct{}

func (*pointed) Kind() string { return "pointed" }

type odd struct{ K string }

func (o odd) Kind() string { return o.K }

// unmarshallable cannot become JSON.
type unmarshallable struct{ C chan int }

func (unmarshallable) Kind() string { return "unmarshallable" }

func TestBuildDefaults(t *testing.T) {
	c := offline(t, Config{})
	before := time.Now().UnixMilli()
	l, item, e := built(t, c, note{"hi"})
	if l.keys.Name() != "default" || item.ID.Version() != 7 || item.Due.At+item.Due.In != 0 || item.Due.In != 0 {
		t.Errorf("queue %q, id %s, due %+v", l.keys.Name(), item.ID, item.Due)
	}
	if e.MaxAttempts != 0 || e.Priority != 0 || e.Timeout+e.Deadline+e.ExpiresAt+e.Retention != 0 || e.Key != "" || e.Meta != nil {
		t.Errorf("envelope %+v", e)
	}
	if e.CreatedAt < before || e.CreatedAt > time.Now().UnixMilli() {
		t.Errorf("created at %d", e.CreatedAt)
	}
	again, err := c.queue("default")
	if err != nil || again != l {
		t.Error("one queue has two groups of lanes: their order is lost")
	}
}

func TestArgsFaults(t *testing.T) {
	c := offline(t, Config{})
	var nilNote *note
	var nilPointed *pointed
	for _, x := range []struct {
		args Args
		text string
	}{
		{nil, "invalid args: nil; allowed: a value with a Kind() method"},
		{nilNote, "invalid args: nil; allowed: a value with a Kind() method"},
		{nilPointed, "invalid args: nil; allowed: a value with a Kind() method"},
		{Raw{}, `invalid kind: ""; allowed: 1 to 128 bytes`},
		{odd{strings.Repeat("k", 129)}, `invalid kind: "` + strings.Repeat("k", 129) + `"; allowed: 1 to 128 bytes`},
		{odd{"a b"}, `invalid kind: "a b"; allowed: text without spaces and control characters`},
		{odd{"a\n"}, `invalid kind: "a\n"; allowed: text without spaces and control characters`},
		{odd{"a\x7f"}, `invalid kind: "a\x7f"; allowed: text without spaces and control characters`},
		{odd{"a\u0085"}, `invalid kind: "a\u0085"; allowed: text without spaces and control characters`},
		{odd{"a\u00a0b"}, `invalid kind: "a\u00a0b"; allowed: text without spaces and control characters`},
		{odd{"a\u2028"}, `invalid kind: "a\u2028"; allowed: text without spaces and control characters`},
		{odd{"a\xff"}, `invalid kind: "a\xff"; allowed: text without spaces and control characters`},
		{unmarshallable{}, `invalid args of kind "unmarshallable": json: unsupported type: chan int`},
	} {
		_, err := c.build(nil, x.args, nil, nil)
		if !errors.Is(err, ErrInvalid) || err.Error() != x.text {
			t.Errorf("%#v:\ngot  %v\nwant %s", x.args, err, x.text)
		}
	}
	var cause *json.UnsupportedTypeError
	if _, err := c.build(nil, unmarshallable{}, nil, nil); !errors.As(err, &cause) {
		t.Errorf("the codec's own error is lost: %v", err)
	}
	for _, kind := range []string{"a", "image.resize", "größe/π", strings.Repeat("k", 128)} {
		if err := CheckKind(kind); err != nil {
			t.Error(err)
		}
	}
}

func TestRawGoesAsItIs(t *testing.T) {
	c := offline(t, Config{Codec: shout{"shout"}})
	payload := []byte("\x00\xff not JSON \r\n{")
	for _, args := range []Args{Raw{"k", payload}, &Raw{"k", payload}} {
		if _, _, e := built(t, c, args); !bytes.Equal(e.Args, payload) || e.Encoding != "" || e.Kind != "k" {
			t.Errorf("%T: %q in encoding %q", args, e.Args, e.Encoding)
		}
	}
	if _, _, e := built(t, c, Raw{Name: "empty"}); len(e.Args) != 0 {
		t.Errorf("an empty payload became %q", e.Args)
	}
}

func TestCodec(t *testing.T) {
	if _, _, e := built(t, offline(t, Config{Codec: shout{"shout"}}), note{"hi"}); string(e.Args) != "{hi}!\x00" || e.Encoding != "shout" {
		t.Errorf("%q in encoding %q", e.Args, e.Encoding)
	}
	// One of the default's name is the default to whoever reads it: its name needs no room.
	if _, _, e := built(t, offline(t, Config{Codec: shout{"json"}}), note{"hi"}); e.Encoding != "" {
		t.Errorf("encoding %q", e.Encoding)
	}
	var back note
	payload, err := JSON.Marshal(note{"<é>"})
	if err != nil || JSON.Unmarshal(payload, &back) != nil || back.Text != "<é>" {
		t.Errorf("%s, %v: %+v", payload, err, back)
	}
}

func TestPayloadCap(t *testing.T) {
	c := offline(t, Config{})
	built(t, c, Raw{"big", make([]byte, 1<<20)})
	_, err := c.build(nil, Raw{"big", make([]byte, 2<<20)}, nil, nil)
	if want := `payload too large: kind "big" has 2097152 bytes; allowed: 1048576 (Config.MaxPayload)`; !errors.Is(err, ErrPayloadTooLarge) || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if errors.Is(err, ErrInvalid) {
		t.Error("too large is not invalid: callers tell them apart")
	}
	if _, err := c.build(nil, Raw{"big", make([]byte, 1<<20+1)}, nil, nil); !errors.Is(err, ErrPayloadTooLarge) {
		t.Errorf("one byte too many: %v", err)
	}
	if _, err := offline(t, Config{MaxPayload: 4}).build(nil, note{"hi"}, nil, nil); !errors.Is(err, ErrPayloadTooLarge) {
		t.Errorf("the cap is on marshalled args: %v", err)
	}
	built(t, offline(t, Config{MaxPayload: 64 << 20}), Raw{"big", make([]byte, 2<<20)})
}

func TestOwnIDs(t *testing.T) {
	c := offline(t, Config{})
	own := uuid.New()
	for _, text := range []string{own.String(), strings.ToUpper(own.String())} {
		if _, item, e := built(t, c, note{}, ID(text)); item.ID != own || e.Key != "" {
			t.Errorf("%s became %s with key %q", text, item.ID, e.Key)
		}
	}
	_, a, _ := built(t, c, note{}, ID("x"), Queue("a"))
	_, b, _ := built(t, c, note{}, ID("x"), Queue("b"))
	_, other, _ := built(t, offline(t, Config{Namespace: "other"}), note{}, ID("x"), Queue("a"))
	_, again, _ := built(t, c, note{}, ID("x"), Queue("a"))
	if a.ID == b.ID || a.ID == other.ID || a.ID != again.ID || a.ID.Version() != 5 {
		t.Errorf("%s %s %s %s", a.ID, b.ID, other.ID, again.ID)
	}
}

func TestConfigFaultsTogether(t *testing.T) {
	_, err := start(context.Background(), []Config{{Namespace: "a b", MaxPayload: 65 << 20, MaxConnections: -1, Codec: shout{}}}, nil)
	if !errors.Is(err, ErrInvalid) {
		t.Fatal(err)
	}
	for _, line := range []string{
		"invalid MaxPayload: 68157440; allowed: 1 to 67108864 bytes; 0 = 1 MiB",
		"invalid MaxConnections: -1; allowed: 4 or more; 0 = 50",
		`invalid Codec: ""; allowed: a name of 1 to 128 bytes`,
		`invalid namespace: "a b" is not a name; allowed are 1 to 128 of A-Z a-z 0-9 _ - . :`,
	} {
		if !strings.Contains("\n"+err.Error()+"\n", "\n"+line+"\n") {
			t.Errorf("%q is missing in:\n%v", line, err)
		}
	}
	if _, err := start(context.Background(), make([]Config, 2), nil); err == nil || err.Error() != "invalid config: 2 of them; allowed: at most one" {
		t.Error(err)
	}
}
