package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/pubsub"
)

func TestMessageLines(t *testing.T) {
	id := uuid.MustParse("0197c1f0-5a3e-7cc3-98c4-dc0c0c07398f")
	at := time.Date(2027, 1, 31, 9, 0, 0, 123456789, time.FixedZone("", 3600))
	const head = `{"topic":"t","id":"0197c1f0-5a3e-7cc3-98c4-dc0c0c07398f","time":"2027-01-31T08:00:00.123456Z",`
	type message = pubsub.Message[pubsub.Raw]
	for _, c := range []struct {
		name    string
		message message
		want    string
	}{
		{"an object, as it was sent", message{Data: pubsub.Raw(`{"b": 1.50, "a":"<ü>" }`)}, head + `"data":{"b": 1.50, "a":"<ü>" }}`},
		{"a number that no float64 holds", message{Data: pubsub.Raw(`12345678901234567890.10`)}, head + `"data":12345678901234567890.10}`},
		{"line breaks between its parts", message{Data: pubsub.Raw("{\r\n\t\"a\": \"\\n\"\n}\n")}, head + "\"data\":{  \t\"a\": \"\\n\" } }"},
		{"a text of JSON", message{Data: pubsub.Raw(`"hello"`)}, head + `"data":"hello"}`},
		{"no JSON", message{Data: pubsub.Raw("hello <\"you\">\n")}, head + `"data":"hello <\"you\">\n"}`},
		{"two JSON texts", message{Data: pubsub.Raw(`1 2`)}, head + `"data":"1 2"}`},
		{"nothing", message{Data: pubsub.Raw{}}, head + `"data":""}`},
		{"no UTF-8", message{Data: pubsub.Raw("a\xff")}, head + `"data_base64":"Yf8="}`},
		{"JSON that is no UTF-8", message{Data: pubsub.Raw("\"\xff\"")}, head + `"data_base64":"Iv8i"}`},
		{"metadata", message{Data: pubsub.Raw(`1`), Meta: map[string]string{"b": "<\"2\">", "a": "1"}}, head + `"data":1,"meta":{"a":"1","b":"<\"2\">"}}`},
		{"durable", message{Data: pubsub.Raw(`1`), Position: "17-0", Attempt: 2}, head + `"data":1,"position":"17-0","attempt":2}`},
	} {
		m := c.message
		m.Topic, m.ID, m.Time = "t", id, at
		var out bytes.Buffer
		if err := newMessageLines(&out, true).message(&m); err != nil || out.String() != c.want+"\n" {
			t.Errorf("%s: %v\n%swant\n%s", c.name, err, out.String(), c.want)
		}
		if !json.Valid(out.Bytes()) || strings.Count(out.String(), "\n") != 1 || !utf8.Valid(out.Bytes()) {
			t.Errorf("%s: no line of JSON: %q", c.name, out.String())
		}
		out.Reset()
		err := newMessageLines(&out, false).message(&m)
		if extra := regexp.MustCompile(`"(meta|position|attempt)":`).FindString(out.String()); err != nil || extra != "" {
			t.Errorf("%s without --full: %v, %s", c.name, err, out.String())
		}
	}
}

func TestForeignMessageAndGap(t *testing.T) {
	var out bytes.Buffer
	lines := newMessageLines(&out, false)
	from := time.Date(2027, 1, 31, 8, 0, 0, 0, time.UTC)
	for _, err := range []error{
		lines.message(&pubsub.Message[pubsub.Raw]{Topic: `a"b`, Data: pubsub.Raw("x")}),
		lines.message(&pubsub.Message[pubsub.Raw]{Topic: "c", Data: pubsub.Raw("1")}),
		lines.gap(&pubsub.Gap{From: from, To: from.Add(2500 * time.Microsecond), Reason: `connection lost: "EOF"`}),
		lines.gap(&pubsub.Gap{From: from, To: from.Add(time.Second), Reason: "slow consumer", Missed: 1}),
		lines.gap(&pubsub.Gap{From: from, To: from.Add(time.Second), Reason: "slow consumer", Missed: 1234}),
		lines.message(&pubsub.Message[pubsub.Raw]{Topic: "c", Data: bytes.Repeat([]byte("1"), 2<<20)}),
		lines.message(&pubsub.Message[pubsub.Raw]{Topic: "c", Data: pubsub.Raw("2")}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want := `{"topic":"a\"b","id":"","time":"","data":"x"}
{"topic":"c","id":"","time":"","data":1}
{"gap":{"from":"2027-01-31T08:00:00.000000Z","to":"2027-01-31T08:00:00.002500Z","reason":"connection lost: \"EOF\""}}
{"gap":{"from":"2027-01-31T08:00:00.000000Z","to":"2027-01-31T08:00:01.000000Z","reason":"slow consumer: 1 message dropped"}}
{"gap":{"from":"2027-01-31T08:00:00.000000Z","to":"2027-01-31T08:00:01.000000Z","reason":"slow consumer: 1,234 messages dropped"}}
{"topic":"c","id":"","time":"","data":` + strings.Repeat("1", 2<<20) + `}
{"topic":"c","id":"","time":"","data":2}
`
	if out.String() != want {
		t.Errorf("got\n%.2000s", out.String())
	}
}

// writes counts them.
type writes struct{ n int }

func (w *writes) Write(p []byte) (int, error) {
	w.n++
	return len(p), nil
}

// Nothing waits in a buffer, and no line is torn: each is one write.
func TestALineIsAWrite(t *testing.T) {
	w := &writes{}
	lines := newMessageLines(w, false)
	if err := errors.Join(lines.message(&pubsub.Message[pubsub.Raw]{Topic: "t", Data: pubsub.Raw("1")}), lines.gap(&pubsub.Gap{})); err != nil || w.n != 2 {
		t.Errorf("%d writes for 2 lines, %v", w.n, err)
	}
}

func TestStarts(t *testing.T) {
	now := time.Date(2027, 1, 31, 8, 0, 0, 0, time.UTC)
	for text, want := range map[string]pubsub.Start{
		"start": pubsub.FromStart, "now": pubsub.FromNow, "1700000000000-0": pubsub.FromPosition("1700000000000-0"),
		"2h": pubsub.FromTime(now.Add(-2 * time.Hour)), "3d": pubsub.FromTime(now.Add(-72 * time.Hour)),
		"2027-01-31T07:00:00Z": pubsub.FromTime(now.Add(-time.Hour)), "1700000000000": pubsub.FromTime(time.UnixMilli(1700000000000)),
	} {
		if got, err := parseStart(text, now); err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"": "want start, now, a position", "yesterday": "want start, now, a position", "0": "want start, now", "17-": "want start, now",
		"1-2-3": "want start, now", "+1h": "is to come", "2027-02-01T00:00:00Z": "is to come",
	} {
		if _, err := parseStart(text, now); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
