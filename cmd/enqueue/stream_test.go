package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
)

type reject struct {
	Line       int
	Reason     string
	Text       *string
	TextBase64 []byte `json:"text_base64"`
}

func readRejects(t *testing.T, path string) []reject {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []reject
	scanner := bufio.NewScanner(f)
	scanner.Buffer(nil, 16<<20)
	for scanner.Scan() {
		var r reject
		if err := json.Unmarshal(scanner.Bytes(), &r); err != nil {
			t.Fatalf("%v in %q", err, scanner.Text())
		}
		out = append(out, r)
	}
	if err := scanner.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// Every kind of bad line among good ones: what is said about it, and that the good ones are in, in order.
func TestBadLines(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	const timeWanted = `want RFC 3339 such as 2027-01-31T08:00:00Z, or Unix time in s or ms`
	cases := []struct{ line, reason string }{
		{`{"kind":"noop"}`, ""},
		{"", ""},
		{" \t\r", ""},
		{`{"kind":"noop",}`, `column 16: invalid character '}' looking for beginning of object key string`},
		{`{"kind":"noop"`, `column 14: unexpected end of JSON input`},
		{`nope`, `column 2: invalid character 'o' in literal null (expecting 'u')`},
		{`{"kind":"noop"} {}`, `column 17: invalid character '{' after top-level value`},
		{`[1]`, `want an object such as {"kind":"log"}, got an array`},
		{`"noop"`, `want an object such as {"kind":"log"}, got a text`},
		{`null`, `want an object such as {"kind":"log"}, got null`},
		{`42`, `want an object such as {"kind":"log"}, got a number`},
		{`true`, `want an object such as {"kind":"log"}, got a truth value`},
		{`{}`, `"kind" is missing`},
		{`{"kind":null}`, `"kind" is missing`},
		{`{"kind":""}`, `invalid kind: ""; allowed: 1 to 128 bytes`},
		{`{"kind":5}`, `"kind": want a text, got a number`},
		{`{"kind":"a b"}`, `invalid kind: "a b"; allowed: text without spaces and control characters`},
		{`{"kind":"a\ud800"}`, `invalid kind: "a` + "\ufffd" + `"; allowed: text without spaces and control characters`},
		{"{\"kind\":\"a\xff\"}", `column 11: byte 0xff is not UTF-8`},
		{`{"kind":"noop","qeue":"x"}`, `unknown field "qeue", did you mean "queue"?`},
		{`{"kind":"noop","maxAttempts":1}`, `unknown field "maxAttempts", did you mean "max_attempts"?`},
		{`{"kind":"noop","Queue":"x"}`, `unknown field "Queue", did you mean "queue"?`},
		{`{"kind":"noop","url":"x"}`, `unknown field "url"; what the job is about belongs into "args"`},
		{`{"kind":"noop","":1}`, `unknown field ""; what the job is about belongs into "args"`},
		{`{"kind":"noop","kind":"log"}`, `"kind" is given twice`},
		{`{"kind":"noop","k\u0069nd":"log"}`, `"kind" is given twice`},
		{`{"kind":"noop","queue":7}`, `"queue": want a text, got a number`},
		{`{"kind":"noop","queue":"a b"}`, `invalid queue: "a b" is not a name; allowed are 1 to 128 of A-Z a-z 0-9 _ - . :`},
		{`{"kind":"noop","id":""}`, `invalid id: 0 bytes; allowed: 1 to 256 bytes`},
		{`{"kind":"noop","in":"soon"}`, `"in": "soon" is not a duration: want a number and its unit, such as 90s or 1h30m`},
		{`{"kind":"noop","in":1.5}`, `"in": want a whole number, got 1.5; as a number it counts ms`},
		{`{"kind":"noop","in":9223372036854775807}`, `"in": 9223372036854775807 ms is too long`},
		{`{"kind":"noop","in":[]}`, `"in": want a duration such as "90s" or a number of ms, got an array`},
		{`{"kind":"noop","in":-1}`, `invalid in: -1ms; allowed: 0 or more`},
		{`{"kind":"noop","in":1,"at":1}`, `give "in" or "at", not both`},
		{`{"kind":"noop","expire_in":1,"expire_at":1}`, `give "expire_in" or "expire_at", not both`},
		{`{"kind":"noop","at":"noon"}`, `"at": "noon" is not a time: ` + timeWanted},
		{`{"kind":"noop","at":{}}`, `"at": ` + timeWanted + `, got an object`},
		{`{"kind":"noop","at":-1}`, `"at": "-1" is before 1970`},
		{`{"kind":"noop","priority":"9"}`, `"priority": want a whole number, got a text`},
		{`{"kind":"noop","priority":10}`, `invalid priority: 10; allowed: 0 to 9, 9 first`},
		{`{"kind":"noop","max_attempts":0}`, `invalid max attempts: 0; allowed: 1 to 10000`},
		{`{"kind":"noop","timeout":"0s"}`, `invalid timeout: 0s; allowed: more than 0`},
		{`{"kind":"noop","deadline":0}`, `invalid deadline: 1970-01-01 00:00:00 +0000 UTC; allowed: a time from 1970 to 9999`},
		{`{"kind":"noop","expire_in":"-1s"}`, `invalid expiry: -1s; allowed: more than 0`},
		{`{"kind":"noop","retain":true}`, `"retain": want a duration such as "90s" or a number of ms, got a truth value`},
		{`{"kind":"noop","meta":"x"}`, `"meta": want an object of texts, got a text`},
		{`{"kind":"noop","meta":{"a":1}}`, `"meta": "a": want a text, got a number`},
		{`{"kind":"noop","args":"` + strings.Repeat("x", 2<<20) + `"}`, `payload too large: kind "noop" has 2097154 bytes; allowed: 1048576 (Config.MaxPayload)`},
		{`{"kind":"noop","args":null,"queue":null}` + "\r", ""},
	}
	var input strings.Builder
	input.WriteString("\xef\xbb\xbf") // as Windows editors do
	for _, c := range cases {
		input.WriteString(c.line + "\n")
	}
	input.WriteString(`{"kind":"noop"}`) // without a line end
	rejects := tempFile(t, "rejects.jsonl", "")
	r := call{url: srv.URL(), args: []string{"--file", "-", "--rejects", rejects}, env: []string{"TZ=UTC"}, stdin: strings.NewReader(input.String())}.run(t)
	got := readRejects(t, rejects)
	r.want(t, 1, fmt.Sprintf("enqueued 3, duplicates 0, rejected %d\n", len(got)))
	for i, c := range cases {
		if c.reason == "" {
			continue
		}
		if len(got) == 0 {
			t.Fatalf("line %d was not rejected", i+1)
		}
		text := string(got[0].TextBase64)
		if got[0].Text != nil {
			text = *got[0].Text
		}
		if got[0].Line != i+1 || got[0].Reason != c.reason || text != c.line {
			t.Errorf("line %d %.80q:\n%s\nwant line %d %.80q:\n%s", got[0].Line, text, got[0].Reason, i+1, c.line, c.reason)
		}
		got = got[1:]
	}
	if len(got) > 0 {
		t.Errorf("rejects that were not expected: %+v", got)
	}
}

func TestReasonsForPeople(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	input := strings.Repeat("x\n", 13) + lines(1, 2) + `{"kind":"noop","id":"a"}` + "\n" + `{"kind":"noop","id":"a"}`
	run := func(stdin string, args ...string) result {
		return call{url: srv.URL(), args: append(args, "--file", "-"), stdin: strings.NewReader(stdin)}.run(t)
	}
	var want strings.Builder
	for i := range 10 {
		fmt.Fprintf(&want, "line %d: column 1: invalid character 'x' looking for beginning of value\n", i+1)
	}
	run(input).want(t, 1, want.String()+"... and 3 more\nenqueued 3, duplicates 1, rejected 13\n")
	r := run(input, "-q", "--json")
	r.want(t, 1, "")
	if r.stdout != `{"enqueued":2,"duplicates":2,"rejected":13}`+"\n" {
		t.Errorf("stdout %s", r.stdout)
	}
	// Duplicates are not rejected, and an empty stream is a good one.
	run(`{"kind":"noop","id":"a"}`).want(t, 0, "enqueued 0, duplicates 1, rejected 0\n")
	run("").want(t, 0, "enqueued 0, duplicates 0, rejected 0\n")
	run("\n\n").want(t, 0, "enqueued 0, duplicates 0, rejected 0\n")
	r = run("x", "--rejects", "-")
	r.want(t, 1, "enqueued 0, duplicates 0, rejected 1\n")
	if want := `{"line":1,"reason":"column 1: invalid character 'x' looking for beginning of value","text":"x"}` + "\n"; r.stdout != want {
		t.Errorf("stdout %s", r.stdout)
	}
}

func TestFromLine(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := openQueue(t, srv.URL())
	file := tempFile(t, "jobs.jsonl", "x\n\n"+lines(3, 6)+"y\n")
	call{url: srv.URL(), args: []string{"--file", file, "--from-line", "5"}}.run(t).want(t, 1,
		"line 9: column 1: invalid character 'y' looking for beginning of value\nenqueued 4, duplicates 0, rejected 1\n")
	if n := ready(t, client, "default"); n != 4 {
		t.Errorf("%d jobs ready", n)
	}
	call{url: srv.URL(), args: []string{"--file", file, "--from-line", "100"}}.run(t).want(t, 0, "enqueued 0, duplicates 0, rejected 0\n")
}

// A producer that writes a line now and then sees it enqueued while the stream goes on.
func TestSlowStreamIsPrompt(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := openQueue(t, srv.URL())
	r := call{url: srv.URL(), args: []string{"--file", "-"}}.start(t)
	for i := range 3 {
		r.write(`{"kind":"noop"}` + "\n" + `{"kind":`) // the rest of the line comes later
		redistest.WaitFor(t, 10*time.Second, func() bool { return ready(t, client, "default") == 2*i+1 }, "the line that is complete")
		r.write(`"noop"}` + "\n")
		redistest.WaitFor(t, 10*time.Second, func() bool { return ready(t, client, "default") == 2*i+2 }, "the rest")
	}
	r.stdin.Close()
	r.wait().want(t, 0, "enqueued 6, duplicates 0, rejected 0\n")
}

const waiting = ": waiting for the lines that are under way; once more abandons them\n"

func TestInterrupt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		signal syscall.Signal
		code   int
		word   string
	}{{syscall.SIGINT, 130, "interrupted"}, {syscall.SIGTERM, 143, "terminated"}} {
		t.Run(c.word, func(t *testing.T) {
			t.Parallel()
			srv := redistest.Server(t)
			client := openQueue(t, srv.URL())
			r := call{url: srv.URL(), args: []string{"--file", "-"}}.start(t)
			r.write(lines(1, 700))
			redistest.WaitFor(t, 10*time.Second, func() bool { return ready(t, client, "default") == 700 }, "700 jobs")
			r.write(`{"kind":"not complete`)
			r.signal(c.signal)
			got := r.wait()
			// Redis has them a moment before the program knows.
			got.stderr = strings.TrimPrefix(got.stderr, c.word+waiting)
			got.want(t, c.code, "enqueued 700, duplicates 0, rejected 0\nenqueue: "+c.word+"; resume with --from-line 701\n")
		})
	}
}

// What is under way is waited for, and a second Ctrl-C abandons it.
func TestInterruptUnderWay(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	for _, abandon := range []bool{false, true} {
		t.Run(fmt.Sprintf("abandon=%v", abandon), func(t *testing.T) {
			t.Parallel()
			proxy := redistest.NewProxy(t, srv.Addr())
			release := proxy.HoldRequest(redistest.On("EVALSHA"))
			r := call{url: "redis://" + proxy.Addr(), args: []string{"--file", "-", "--queue", fmt.Sprint(abandon)}}.start(t)
			r.write("\n" + lines(2, 3))
			redistest.WaitFor(t, 10*time.Second, func() bool { return proxy.Held() == 1 }, "the call under way")
			r.signal(os.Interrupt)
			redistest.WaitFor(t, 10*time.Second, func() bool { return r.stderr.String() == "interrupted"+waiting }, "the message")
			if abandon {
				r.signal(os.Interrupt)
				r.wait().want(t, 130, "interrupted"+waiting+"enqueued 0, duplicates 0, rejected 0\nenqueue: interrupted with lines 1 to 4 under way, "+
					"which may be in or not; resume with --from-line 1 (lines with an \"id\" are not enqueued twice)\n")
				return
			}
			release()
			r.wait().want(t, 130, "interrupted"+waiting+"enqueued 3, duplicates 0, rejected 0\nenqueue: interrupted; resume with --from-line 5\n")
		})
	}
}

func TestInterruptSingle(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	proxy := redistest.NewProxy(t, srv.Addr())
	proxy.HoldRequest(redistest.On("EVALSHA"))
	r := call{url: "redis://" + proxy.Addr(), args: []string{"noop", "--id", "01a1fb3d-1057-7b2a-be2e-3fe03757574d"}}.start(t)
	redistest.WaitFor(t, 10*time.Second, func() bool { return proxy.Held() == 1 }, "the call under way")
	r.signal(os.Interrupt)
	r.wait().want(t, 130, "enqueue: the job may be enqueued or not: enqueue noop: outcome unknown: interrupted; "+
		"to be sure, repeat it with --id 01a1fb3d-1057-7b2a-be2e-3fe03757574d\n")
}
