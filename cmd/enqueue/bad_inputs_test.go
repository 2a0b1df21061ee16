package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/internal/redistest"
)

const seeHelp = "see 'enqueue --help'\n"

// What is wrong with the command line is found without a Redis: the URL leads nowhere.
func TestUsage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := tempFile(t, "jobs.jsonl", lines(1, 1))
	for _, c := range []struct {
		name  string
		args  []string
		stdin string
		want  string
	}{
		{"nothing", nil, "", `give the KIND of a job, or --file`},
		{"empty kind", []string{""}, "", `invalid kind: ""; allowed: 1 to 128 bytes`},
		{"kind with a space", []string{"a b"}, "", `invalid kind: "a b"; allowed: text without spaces and control characters`},
		{"kind no UTF-8", []string{"a\xff"}, "", `invalid kind: "a\xff"; allowed: text without spaces and control characters`},
		{"kind forgotten", []string{`{"host":"web1"}`}, "", `'{"host":"web1"}' looks like args; the KIND comes first: enqueue KIND '{...}'`},
		{"kind behind", []string{` [1, 2]`, "log"}, "", `'[1, 2]' looks like args; the KIND comes first: enqueue log '[...]'`},
		{"kind forgotten, JSON without quotes", []string{"{text:", "hi}", "x"}, "", `'{text:' looks like args; the KIND comes first: enqueue KIND '{...}'`},
		{"kind forgotten, long", []string{`{"a":"` + strings.Repeat("x", 100) + `"}`, "-"}, "",
			`'{"a":"` + strings.Repeat("x", 33) + `…' looks like args; the KIND comes first: enqueue KIND '{...}'`},
		{"three arguments", []string{"log", "{text:", "hi}"}, "", `want KIND and one JSON text, got 3 arguments; quote the JSON: '{"text":"hi"}'`},
		{"JSON cut off", []string{"log", `{"a":1`}, "", `JSON: column 6: unexpected end of JSON input`},
		{"JSON without quotes", []string{"log", `{text:hi}`}, "", `JSON: column 2: invalid character 't' looking for beginning of object key string`},
		{"two JSON texts", []string{"log", `{} {}`}, "", `JSON: column 4: invalid character '{' after top-level value`},
		{"column in characters", []string{"log", `"äö" x`}, "", `JSON: column 6: invalid character 'x' after top-level value`},
		{"JSON of several lines", []string{"log", "{\n  \"a\": 1,\n}"}, "", `JSON: line 3, column 1: invalid character '}' looking for beginning of object key string`},
		{"empty JSON", []string{"log", " "}, "", `JSON: it is empty; leave it out for {}`},
		{"JSON no UTF-8", []string{"log", "{\"a\":\"ü\xff\"}"}, "", `JSON: column 8: byte 0xff is not UTF-8`},
		{"empty stdin", []string{"log", "-"}, "", `JSON from stdin: it is empty; leave it out for {}`},
		{"bad stdin", []string{"log", "-"}, "[1,\n2", `JSON from stdin: line 2, column 1: unexpected end of JSON input`},
		{"unknown flag", []string{"log", "--quue", "x"}, "", `unknown flag: --quue (did you mean --queue?)`},
		{"unlike any flag", []string{"log", "--frobnicate"}, "", `unknown flag: --frobnicate`},
		{"unknown letter", []string{"log", "-x"}, "", `unknown shorthand flag: 'x' in -x`},
		{"flag without value", []string{"log", "--queue"}, "", `flag needs an argument: --queue`},
		{"duration without unit", []string{"log", "--in", "5"}, "", `invalid argument "5" for "--in" flag: "5" is not a duration: want a number and its unit, such as 90s or 1h30m`},
		{"duration in days", []string{"log", "--in", "1d"}, "", `invalid argument "1d" for "--in" flag: "1d" is not a duration: want a number and its unit, such as 90s or 1h30m; for 1d write 24h`},
		{"bad time", []string{"log", "--at", "tomorrow"}, "", `invalid argument "tomorrow" for "--at" flag: "tomorrow" is not a time: want RFC 3339 such as 2027-01-31T08:00:00Z, or Unix time in s or ms`},
		{"time before 1970", []string{"log", "--deadline=-5"}, "", `invalid argument "-5" for "--deadline" flag: "-5" is before 1970`},
		{"priority no number", []string{"log", "--priority", "high"}, "", `invalid argument "high" for "--priority" flag: want a whole number`},
		{"in and at", []string{"log", "--in", "5s", "--at", "2030-01-01T00:00:00Z"}, "", `give --in or --at, not both`},
		{"two expiries", []string{"log", "--expire-in", "5s", "--expire-at", "2030-01-01T00:00:00Z"}, "", `give --expire-in or --expire-at, not both`},
		{"meta without value", []string{"log", "--meta", "a"}, "", `--meta "a": want key=value`},
		{"meta without key", []string{"log", "--meta", "=a"}, "", `--meta "=a": want key=value`},
		{"replicas no number", []string{"log", "--replicas", "all"}, "", `invalid argument "all" for "--replicas" flag: want a whole number`},
		{"replicas", []string{"log", "--replicas", "-1"}, "", `--replicas -1: want 0 to 1000`},
		{"durable-timeout alone", []string{"log", "--durable-timeout", "5s"}, "", `--durable-timeout goes with --replicas or --fsync`},
		{"long durable-timeout", []string{"log", "--fsync", "--durable-timeout", "5m"}, "", `--durable-timeout 5m0s: want more than 0, at most 1m0s`},
		{"max-payload", []string{"log", "--max-payload", "0"}, "", `--max-payload 0: want 1 to 67108864 bytes`},
		{"big max-payload", []string{"log", "--max-payload", "99999999"}, "", `invalid MaxPayload: 99999999; allowed: 1 to 67108864 bytes; 0 = 1 MiB`},
		{"empty redis", []string{"log", "--redis", ""}, "", `--redis is given and empty; leave it out for the default`},
		{"empty namespace", []string{"log", "--namespace", ""}, "", `--namespace is given and empty; leave it out for the default`},
		{"bad namespace", []string{"log", "--namespace", "a b"}, "", `--namespace: "a b" is not a name; allowed are 1 to 128 of A-Z a-z 0-9 _ - . :`},
		{"kind and file", []string{"log", "--file", file}, "", `give KIND or --file, not both: each line of the file has its own "kind"`},
		{"id and file", []string{"--id", "x", "--file", file}, "", `--id is for a single job: each line of the file may have its own "id"`},
		{"rejects without file", []string{"log", "--rejects", "x"}, "", `--rejects and --from-line go with --file`},
		{"empty file name", []string{"--file", ""}, "", `--file is given and empty; - is stdin`},
		{"empty rejects name", []string{"--file", file, "--rejects", ""}, "", `--rejects is given and empty`},
		{"line 0", []string{"--file", file, "--from-line", "0"}, "", `--from-line 0: lines are counted from 1`},
		{"stdout twice", []string{"--file", file, "--rejects", "-", "--json"}, "", `--rejects - and --json both want stdout`},
		{"ids without file", []string{"log", "--ids", "content"}, "", `--offset-file, --ids and --when-full go with --file`},
		{"offset file without file", []string{"log", "--offset-file", "x"}, "", `--offset-file, --ids and --when-full go with --file`},
		{"when-full without file", []string{"log", "--when-full", "wait"}, "", `--offset-file, --ids and --when-full go with --file`},
		{"empty offset file name", []string{"--file", file, "--offset-file", ""}, "", `--offset-file is given and empty`},
		{"unknown ids", []string{"--file", file, "--ids", "line"}, "", `--ids "line": want content`},
		{"empty ids", []string{"--file", file, "--ids", ""}, "", `--ids "": want content`},
		{"unknown when-full", []string{"--file", file, "--when-full", "stop"}, "", `--when-full "stop": want reject or wait`},
		{"offsets of stdin", []string{"--file", "-", "--offset-file", "x"}, "", `--offset-file: stdin is no regular file, and cannot be read again from the middle`},
		{"wait with file", []string{"--file", file, "--wait"}, "", `--wait is for a single job`},
		{"wait no time", []string{"log", "--wait=soon"}, "", `invalid argument "soon" for "--wait" flag: "soon" is not a duration: want a number and its unit, such as 90s or 1h30m`},
		{"wait for days", []string{"log", "--wait=2d"}, "", `invalid argument "2d" for "--wait" flag: "2d" is not a duration: want a number and its unit, such as 90s or 1h30m; for 2d write 48h`},
		{"wait without unit", []string{"log", "--wait=30"}, "", `invalid argument "30" for "--wait" flag: "30" is not a duration: want a number and its unit, such as 90s or 1h30m`},
		{"wait zero", []string{"log", "--wait=0s"}, "", `invalid argument "0s" for "--wait" flag: 0s is no time to wait: want more than 0, or --wait alone for no limit`},
		{"wait less than that", []string{"log", "--wait=-5s"}, "", `invalid argument "-5s" for "--wait" flag: -5s is no time to wait: want more than 0, or --wait alone for no limit`},
		{"wait with a space", []string{"log", "--wait", "30s"}, "", `--wait takes its time behind an equals sign: --wait=30s`},
		{"wait behind JSON", []string{"log", "{}", "--wait", "30s"}, "", `--wait takes its time behind an equals sign: --wait=30s`},
		{"wait for nothing", []string{"log", "--wait", "--retain", "0s"}, "", `--wait needs the finished job to be kept: --retain must be more than 0`},
		{"no such file", []string{"--file", filepath.Join(dir, "no")}, "", `--file: open ` + filepath.Join(dir, "no") + `: no such file or directory`},
		{"a directory", []string{"--file", dir}, "", `--file: ` + dir + ` is a directory`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := call{url: "redis://127.0.0.1:1", args: c.args, stdin: strings.NewReader(c.stdin)}.run(t)
			r.want(t, 2, "enqueue: "+c.want+"\n"+seeHelp)
			if r.stdout != "" {
				t.Errorf("stdout: %q", r.stdout)
			}
		})
	}
}

// What the queue's own limits refuse, in the queue's words.
func TestRefusedByTheQueue(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	big := `"` + strings.Repeat("x", 2<<20-2) + `"`
	for _, c := range []struct {
		name  string
		args  []string
		stdin string
		want  string
	}{
		{"negative delay", []string{"log", "--in", "-5s"}, "", `invalid in: -5s; allowed: 0 or more`},
		{"2 MiB payload", []string{"log", "-"}, big, `payload too large: kind "log" has 2097152 bytes; allowed: 1048576 (Config.MaxPayload)`},
		{"priority 10", []string{"log", "--priority", "10"}, "", `invalid priority: 10; allowed: 0 to 9, 9 first`},
		{"no attempts", []string{"log", "--max-attempts", "0"}, "", `invalid max attempts: 0; allowed: 1 to 10000`},
		{"no time", []string{"log", "--timeout", "0s"}, "", `invalid timeout: 0s; allowed: more than 0`},
		{"expired before", []string{"log", "--expire-in", "-1s"}, "", `invalid expiry: -1s; allowed: more than 0`},
		{"negative retention", []string{"log", "--retain", "-1s"}, "", `invalid retention: -1s; allowed: 0 or more`},
		{"empty id", []string{"log", "--id", ""}, "", `invalid id: 0 bytes; allowed: 1 to 256 bytes`},
		{"long id", []string{"log", "--id", strings.Repeat("x", 257)}, "", `invalid id: 257 bytes; allowed: 1 to 256 bytes`},
		{"nil id", []string{"log", "--id", "00000000-0000-0000-0000-000000000000"}, "", `invalid id: the nil UUID names no job`},
		{"bad queue", []string{"log", "--queue", "a{b}"}, "", `invalid queue: "a{b}" is not a name; allowed are 1 to 128 of A-Z a-z 0-9 _ - . :`},
		{"big meta", []string{"log", "--meta", "a=" + strings.Repeat("x", 8<<10)}, "", `invalid metadata: 8193 bytes; allowed: 8192 bytes`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			call{url: srv.URL(), args: c.args, stdin: strings.NewReader(c.stdin)}.run(t).want(t, 2, "enqueue: "+c.want+"\n"+seeHelp)
		})
	}
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
		{`{"kind":"noop","retain":"1w"}`, `"retain": "1w" is not a duration: want a number and its unit, such as 90s or 1h30m; for 1w write 168h`},
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
