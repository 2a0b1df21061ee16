package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"
)

// The members of an object are those that encoding/json finds, byte for byte.
func checkMembers(t *testing.T, object []byte) {
	t.Helper()
	var want map[string]json.RawMessage
	if err := json.Unmarshal(object, &want); err != nil || want == nil {
		t.Fatalf("%q: %v", object, err)
	}
	got := make(map[string]json.RawMessage)
	if err := eachMember(object, func(name, value []byte) error {
		got[string(name)] = value
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if !maps.EqualFunc(got, want, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }) {
		t.Errorf("%q: got %q, want %q", object, got, want)
	}
}

var objects = []string{
	`{}`, `{ }`, `{"a":1}`, "{\t\"a\" : 1 ,\r\n \"b\":[ ] }", `{"a":"\\"}`, `{"a":"\"}","b":"{["}`, `{"a":{"b":[1,{"c":"]"}],"d":null},"e":-1.5e+3}`,
	`{"\u0061\"b":true,"":false}`, `{"a":[[],{},""]}`, `{"a":1,"a":2}`, `{"ä":"ö"}`, `{"a":"x"  }`, `{"a":[1 , 2]  ,"b":3}`,
}

func TestMembers(t *testing.T) {
	for _, object := range objects {
		checkMembers(t, []byte(object))
	}
}

func FuzzLine(f *testing.F) {
	for _, object := range objects {
		f.Add([]byte(object))
	}
	f.Add([]byte(`{"kind":"a","in":"5s","meta":{"a":"b"},"at":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := parseLine(b) // must not panic
		b = bytes.TrimSpace(b)
		if len(b) > 0 && b[0] == '{' && json.Valid(b) && checkJSON(b) == nil {
			checkMembers(t, b)
		} else if err == nil {
			t.Errorf("%q was accepted", b)
		}
	})
}

func TestTimes(t *testing.T) {
	for text, want := range map[string]time.Time{
		"0":                              time.Unix(0, 0),
		"1800000000":                     time.Unix(1_800_000_000, 0),
		"99999999999":                    time.Unix(99_999_999_999, 0),
		"100000000000":                   time.UnixMilli(100_000_000_000),
		"1800000000123":                  time.UnixMilli(1_800_000_000_123),
		"2027-01-31T08:00:00Z":           time.Date(2027, 1, 31, 8, 0, 0, 0, time.UTC),
		"2027-01-31T08:00:00.25+02:00":   time.Date(2027, 1, 31, 6, 0, 0, 250e6, time.UTC),
		"2027-01-31T08:00:00.123456789Z": time.Date(2027, 1, 31, 8, 0, 0, 123456789, time.UTC),
	} {
		if got, err := parseTime(text); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-1", "1.5", "noon", "2027-01-31", "2027-01-31 08:00:00Z", "2027-02-30T00:00:00Z", "99999999999999999999"} {
		if got, err := parseTime(text); err == nil {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// However the input comes in pieces, the lines are the same.
func TestSplitter(t *testing.T) {
	const limit = 10
	input := "\xef\xbb\xbfone\n\n" + strings.Repeat("x", limit) + "\n" + strings.Repeat("y", limit+1) + "\r\nfive\r\n" + strings.Repeat("z", 3*limit) + "\nlast"
	type line struct {
		number int
		text   string
		long   bool
	}
	want := []line{{1, "one", false}, {2, "", false}, {3, strings.Repeat("x", limit), false}, {4, strings.Repeat("y", limit+1), true},
		{5, "five\r", false}, {6, strings.Repeat("z", 3*limit), true}, {7, "last", false}}
	for size := 1; size <= len(input); size++ {
		for from := 1; from <= 8; from++ {
			var got []line
			total := 0
			s := splitter{from: from, limit: limit, emit: func(number int, text []byte, long bool, from, to int64) error {
				got = append(got, line{number, strings.TrimSuffix(string(text), "\r"), long})
				total += int(to - from)
				if before := strings.Join(strings.SplitAfter(input, "\n")[:number-1], ""); from != int64(len(before)) {
					t.Fatalf("line %d begins at %d, want %d", number, from, len(before))
				}
				return nil
			}}
			for rest := []byte(input); len(rest) > 0; rest = rest[min(size, len(rest)):] {
				// A copy that is spoilt afterwards: emit's text lives no longer.
				block := bytes.Clone(rest[:min(size, len(rest))])
				if err := s.feed(block); err != nil {
					t.Fatal(err)
				}
				clear(block)
			}
			if err := s.finish(); err != nil {
				t.Fatal(err)
			}
			left := want[min(from-1, len(want)):]
			if len(got) != len(left) || from == 1 && total != len(input) {
				t.Fatalf("size %d, from %d: %+v, %d of %d bytes", size, from, got, total, len(input))
			}
			for i := range got {
				if w := left[i]; got[i].number != w.number || got[i].long != w.long || got[i].text != strings.TrimSuffix(w.text, "\r") {
					t.Fatalf("size %d, from %d: %+v, want %+v", size, from, got[i], w)
				}
			}
		}
	}
}

// Whatever the input and its pieces: every line is told of once, with its place, whole or as the beginning of a long one.
func FuzzSplitter(f *testing.F) {
	f.Add([]byte("one\n\ntwo\r\nlast"), uint8(3), uint8(4))
	f.Add([]byte("\xef\xbb\xbf{}\n"+strings.Repeat("x", 300)+"\n\n"), uint8(7), uint8(200))
	f.Add(bytes.Repeat([]byte("y\n"), 40), uint8(1), uint8(1))
	f.Fuzz(func(t *testing.T, input []byte, size, limit uint8) {
		lines := bytes.SplitAfter(input, []byte("\n"))
		if len(lines[len(lines)-1]) == 0 {
			lines = lines[:len(lines)-1]
		}
		told, at := 0, int64(0)
		s := splitter{from: 1, limit: int(limit), emit: func(number int, text []byte, long bool, from, to int64) error {
			line := lines[told]
			told++
			if number != told || from != at || to-from != int64(len(line)) {
				t.Fatalf("line %d is told of as %d, %d to %d; it begins at %d: %q", told, number, from, to, at, line)
			}
			at = to
			if line = bytes.TrimSuffix(line, []byte("\n")); number == 1 && bytes.HasPrefix(text, mark) != bytes.HasPrefix(line, append(mark, mark...)) {
				t.Fatalf("the mark was not taken off once: %q of %q", text, line)
			}
			if number == 1 {
				line = bytes.TrimPrefix(line, mark)
			}
			if !long && !bytes.Equal(text, line) || long && !bytes.HasPrefix(line, text) {
				t.Fatalf("line %d (long %v) is %q, want %q", number, long, text, line)
			}
			if long != (len(line) > int(limit)) && number > 1 { // the mark counts in the first
				t.Fatalf("line %d of %d bytes, limit %d: long is %v", number, len(line), limit, long)
			}
			return nil
		}}
		for rest := input; len(rest) > 0; {
			n := min(max(int(size), 1), len(rest))
			block := bytes.Clone(rest[:n])
			if err := s.feed(block); err != nil {
				t.Fatal(err)
			}
			clear(block)
			rest = rest[n:]
		}
		if err := s.finish(); err != nil || told != len(lines) {
			t.Fatalf("%d of %d lines were told of, %v", told, len(lines), err)
		}
	})
}

func BenchmarkParseLine(b *testing.B) {
	line := []byte(`{"kind":"image.resize","args":{"url":"https://example.com/a.png","width":640},"queue":"images","priority":3}`)
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseLine(line); err != nil {
			b.Fatal(err)
		}
	}
}
