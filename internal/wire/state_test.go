package wire

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func fullState() State {
	return State{
		Flags: Suspect | Crashed, Generation: 200, Ghosts: 3, Crashes: 2, Attempts: 0xfffe,
		Errors: []Failure{
			{Attempt: 1, At: 1_795_000_000_000, Error: "first"},
			{Attempt: 2, At: 1_795_000_001_000, Error: "second", Stack: "goroutine 1", Output: "cannot open x\n"},
		},
		UnknownAt: 5, Snoozes: 6, StartedAt: 7, FinishedAt: 8, DueAt: 9,
	}
}

func TestStateRoundTrip(t *testing.T) {
	for name, s := range map[string]State{
		"zero": {}, "full": fullState(), "head only": {Flags: Cancelled, Crashes: 255, Ghosts: 255, Attempts: 65535},
	} {
		raw, brief := s.Append([]byte("xx"))
		if string(raw[:2]) != "xx" || brief < stateHead || brief > len(raw)-2 {
			t.Fatalf("%s: brief %d of %d", name, brief, len(raw))
		}
		var got State
		if err := got.Decode(raw[2:]); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(got, s) {
			t.Errorf("%s: got %+v, want %+v", name, got, s)
		}
	}
}

// The scripts read and write these places: they are part of the protocol.
func TestStateHead(t *testing.T) {
	s := State{Flags: Expired, Generation: 2, Ghosts: 3, Crashes: 4, Attempts: 0x0506}
	raw, _ := s.Append(nil)
	if want := []byte{1, 8, 2, 3, 4, 5, 6}; !bytes.Equal(raw, want) {
		t.Errorf("head % x, want % x", raw, want)
	}
	if Suspect != 1 || Cancelled != 2 || Crashed != 4 || Expired != 8 {
		t.Error("the flags' values are what prelude.lua says")
	}
}

func TestStateBrief(t *testing.T) {
	s := fullState()
	s.AddFailure(Failure{Attempt: 3, At: 9, Error: strings.Repeat("ö", 600), Stack: strings.Repeat("s", 9000)})
	raw, brief := s.Append(nil)
	var got State
	if err := got.Decode(raw[:brief]); err != nil {
		t.Fatal(err)
	}
	want := s
	want.Errors = []Failure{{Attempt: 3, At: 9, Error: strings.Repeat("ö", 100)}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if brief > 300 {
		t.Errorf("a brief record has %d bytes", brief)
	}
	if s = (State{}); true {
		if raw, brief := s.Append(nil); brief != len(raw) {
			t.Errorf("without errors the brief record is the whole one: %d of %d", brief, len(raw))
		}
	}
}

func TestStateHistoryIsCapped(t *testing.T) {
	var s State
	for i := range 3 * MaxFailures {
		s.AddFailure(Failure{Attempt: i + 1, Error: strings.Repeat("x\xff", 5000), Stack: strings.Repeat("s", 50_000), Output: strings.Repeat("\xffo", 50_000) + "end"})
	}
	raw, _ := s.Append(nil)
	if most := MaxFailures*(maxErrorText+32) + maxStackText + maxOutput + 300; len(raw) > most {
		t.Errorf("a record has %d bytes, at most %d are right", len(raw), most)
	}
	var got State
	if err := got.Decode(raw); err != nil {
		t.Fatal(err)
	}
	if len(got.Errors) != MaxFailures || got.Errors[0].Attempt != 2*MaxFailures+1 {
		t.Errorf("kept %d, from attempt %d", len(got.Errors), got.Errors[0].Attempt)
	}
	for i, f := range got.Errors {
		newest := i == MaxFailures-1
		if (f.Stack != "") != newest || len(f.Stack) > maxStackText || len(f.Error) > maxErrorText {
			t.Errorf("failure %d: %d bytes of error, %d of stack", i, len(f.Error), len(f.Stack))
		}
		if (f.Output != "") != newest || len(f.Output) > maxOutput || newest && (!strings.HasSuffix(f.Output, "oend") || !utf8.ValidString(f.Output)) {
			t.Errorf("failure %d: output %.20q..., %d bytes", i, f.Output, len(f.Output))
		}
		if !utf8.ValidString(f.Error) {
			t.Errorf("failure %d is not UTF-8", i)
		}
	}
}

func TestClip(t *testing.T) {
	for _, c := range []struct {
		in   string
		n    int
		want string
	}{
		{"", 3, ""}, {"abc", 3, "abc"}, {"abcd", 3, "abc"}, {"aöb", 2, "a"}, {"aöb", 3, "aö"}, {"☃☃", 5, "☃"},
		{"\x80\x80\x80\x80", 2, ""}, {"a\xffb", 10, "a\uFFFDb"}, {"a\xff\xfe\xffb", 10, "a\uFFFDb"}, {"a\xffb", 3, "a"},
	} {
		if got := clip(c.in, c.n); got != c.want {
			t.Errorf("clip(%q, %d) = %q, want %q", c.in, c.n, got, c.want)
		}
	}
}

func TestStateRefused(t *testing.T) {
	s := fullState()
	whole, _ := s.Append(nil)
	for name, c := range map[string]struct {
		raw  []byte
		want error
	}{
		"version 0":    {[]byte{0, 0, 0, 0, 0, 0, 0}, ErrCorrupt},
		"newer":        {[]byte{2}, ErrNewer},
		"short":        {[]byte{1, 0, 0, 0, 0, 0}, ErrCorrupt},
		"cut off":      {whole[:len(whole)-1], ErrCorrupt},
		"bad failure":  {[]byte{1, 0, 0, 0, 0, 0, 0, fieldErrors<<3 | 2, 2, 8, 0xff}, ErrCorrupt},
		"bad brief":    {[]byte{1, 0, 0, 0, 0, 0, 0, fieldBrief<<3 | 2, 1, 0}, ErrCorrupt},
		"group in it":  {[]byte{1, 0, 0, 0, 0, 0, 0, 11}, ErrCorrupt},
		"out of range": {append([]byte{1, 0, 0, 0, 0, 0, 0, 2 << 3}, bytes.Repeat([]byte{0xff}, 9)...), ErrCorrupt},
	} {
		var got State
		if err := got.Decode(c.raw); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	var got State
	if err := got.Decode(nil); err != nil || !reflect.DeepEqual(got, State{}) {
		t.Errorf("no record at all: %+v, %v", got, err)
	}
}

func TestStateSkipsUnknownFields(t *testing.T) {
	s := fullState()
	raw, _ := s.Append(nil)
	raw = append(raw, 14<<3|typeBytes, 3, 1, 2, 3, 14<<3|typeVarint, 1)
	var got State
	if err := got.Decode(raw); err != nil || !reflect.DeepEqual(got, s) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func FuzzState(f *testing.F) {
	s := fullState()
	raw, brief := s.Append(nil)
	f.Add(raw)
	f.Add(raw[:brief])
	f.Add([]byte{})
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{9, 1})
	f.Fuzz(func(t *testing.T, raw []byte) {
		var first, second, third State
		if err := first.Decode(raw); err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNewer) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		again, brief := first.Append(nil)
		if err := second.Decode(again); err != nil {
			t.Fatalf("cannot read what was written: %v", err)
		}
		if err := third.Decode(again[:brief]); err != nil {
			t.Fatalf("the brief record is none: %v", err)
		}
		// Texts are made valid UTF-8 and cut once; the second time nothing may change any more.
		if twice, b := second.Append(nil); !bytes.Equal(again, twice) || b != brief {
			t.Fatalf("% x became % x", again, twice)
		}
		second.Errors, third.Errors = nil, nil
		if !reflect.DeepEqual(second, third) {
			t.Fatalf("the brief record says %+v, the whole one %+v", third, second)
		}
	})
}

// The end is what counts of a long text; it begins at a rune's border.
func TestTail(t *testing.T) {
	for _, tt := range []struct {
		in   string
		n    int
		want string
	}{{"", 4, ""}, {"abc", 4, "abc"}, {"abcdef", 4, "cdef"}, {"aööö", 4, "öö"}, {"aööö", 5, "öö"}, {"a\xffb", 4, "\uFFFDb"}, {"\xff\xff\xffb", 4, "\uFFFDb"}, {"abc", 0, ""}, {"\x80\x80\x80", 2, ""}} {
		if got := Tail(tt.in, tt.n); got != tt.want || len(got) > max(tt.n, 0) {
			t.Errorf("Tail(%q, %d) = %q, want %q", tt.in, tt.n, got, tt.want)
		}
	}
}
