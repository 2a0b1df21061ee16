package script

import (
	"errors"
	"testing"
)

func TestReplyReads(t *testing.T) {
	r := &Reply{B: []byte("*7\r\n:42\r\n$2\r\n-7\r\n$0\r\n\r\n+OK\r\n$4\r\na\r\nb\r\n:1\r\n*0\r\n")}
	if n := r.Array(); n != 7 {
		t.Errorf("array of %d", n)
	}
	if a, b, c := r.Number(), r.Number(), r.Number(); a != 42 || b != -7 || c != 0 {
		t.Errorf("numbers %d, %d, %d", a, b, c)
	}
	if word, bin := r.Text(), r.Bytes(); word != "OK" || string(bin) != "a\r\nb" {
		t.Errorf("strings %q, %q", word, bin)
	}
	if !r.Flag() || r.Array() != 0 || r.Err != nil || len(r.B) != 0 {
		t.Errorf("the end: %v, %q left", r.Err, r.B)
	}
	if n := r.Number(); n != 0 || !errors.Is(r.Err, ErrBadReply) {
		t.Errorf("beyond the end: %d, %v", n, r.Err)
	}
}

func TestReplyRefuses(t *testing.T) {
	number := func(r *Reply) { r.Number() }
	text := func(r *Reply) { r.Bytes() }
	array := func(r *Reply) { r.Array() }
	for _, c := range []struct {
		raw  string
		read func(*Reply)
	}{
		{"", number}, {":", number}, {":1", number}, {":x\r\n", number}, {"$1\r\nx\r\n", number}, {"_\r\n", number},
		{"*1\r\n", text}, {"$5\r\nabc\r\n", text}, {"$-1\r\n", text}, {"$\r\n", text}, {"$3\r\nabc", text},
		{"$9223372036854775807\r\nabc\r\n", text}, {"$99999999999999999999\r\n", text}, {"\n", text},
		{"$1\r\n", array}, {"*-1\r\n", array}, {"*4611686018427387904\r\n:1\r\n", array}, {"*2\r\n:1", array},
	} {
		r := &Reply{B: []byte(c.raw)}
		if c.read(r); !errors.Is(r.Err, ErrBadReply) {
			t.Errorf("%q: %v", c.raw, r.Err)
		}
	}
}

// What a decoding client hands over must read as what a plain client does.
func TestReplyOfDecodingClients(t *testing.T) {
	raw := AppendRESP(nil, []any{int64(5), "a\r\nb", []any{"x", int64(-1), []any{}}, ""})
	if want := "*4\r\n:5\r\n$4\r\na\r\nb\r\n*3\r\n$1\r\nx\r\n:-1\r\n*0\r\n$0\r\n\r\n"; string(raw) != want {
		t.Errorf("got %q, want %q", raw, want)
	}
	for _, odd := range []any{nil, 1.5, true, map[any]any{}} {
		r := &Reply{B: AppendRESP(nil, odd)}
		if r.Bytes(); !errors.Is(r.Err, ErrBadReply) {
			t.Errorf("%v: %v", odd, r.Err)
		}
	}
}

// Commands answer nulls and, over RESP3, maps; a map counts its keys and values.
func TestLooseReply(t *testing.T) {
	for _, raw := range []string{"*6\r\n$-1\r\n*-1\r\n_\r\n%1\r\n$1\r\nk\r\n:7\r\n*2\r\n+a\r\n*1\r\n:1\r\n:5\r\n",
		string(AppendRESP(nil, []any{nil, nil, nil, map[any]any{"k": int64(7)}, []any{"a", []any{int64(1)}}, int64(5)}))} {
		r := &Reply{Loose: true, B: []byte(raw)}
		if n := r.Array(); n != 6 {
			t.Errorf("array of %d", n)
		}
		if s, n, null := r.Bytes(), r.Array(), r.Bytes(); s != nil || n != 0 || null != nil {
			t.Errorf("nulls: %q, %d, %q", s, n, null)
		}
		if n, k, v := r.Array(), r.Text(), r.Number(); n != 2 || k != "k" || v != 7 {
			t.Errorf("a map: %d, %q, %d", n, k, v)
		}
		r.Skip()
		if n := r.Number(); n != 5 || r.Err != nil || len(r.B) != 0 {
			t.Errorf("behind what was skipped: %d, %v, %q left", n, r.Err, r.B)
		}
	}
	for _, raw := range []string{"$-2\r\n", "*-2\r\n", "%-2\r\n", "%4611686018427387905\r\n", "%9\r\n:1\r\n", "_"} {
		r := &Reply{Loose: true, B: []byte(raw)}
		if n := r.Array(); n < 0 {
			t.Errorf("%q: an array of %d", raw, n)
		}
		if r.Err == nil {
			if r.Bytes(); r.Err == nil {
				t.Errorf("%q is taken", raw)
			}
		}
	}
}
