package main

import (
	"os"
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
		{"bad time", []string{"log", "--at", "tomorrow"}, "", `invalid argument "tomorrow" for "--at" flag: "tomorrow" is not a time: want RFC 3339 such as 2027-01-31T08:00:00Z, or Unix time in s or ms`},
		{"time before 1970", []string{"log", "--deadline=-5"}, "", `invalid argument "-5" for "--deadline" flag: "-5" is before 1970`},
		{"priority no number", []string{"log", "--priority", "high"}, "", `invalid argument "high" for "--priority" flag: want a whole number`},
		{"in and at", []string{"log", "--in", "5s", "--at", "2030-01-01T00:00:00Z"}, "", `give --in or --at, not both`},
		{"two expiries", []string{"log", "--expire-in", "5s", "--expire-at", "2030-01-01T00:00:00Z"}, "", `give --expire-in or --expire-at, not both`},
		{"meta without value", []string{"log", "--meta", "a"}, "", `--meta "a": want key=value`},
		{"meta without key", []string{"log", "--meta", "=a"}, "", `--meta "=a": want key=value`},
		{"max-payload", []string{"log", "--max-payload", "0"}, "", `--max-payload 0: want 1 to 67108864 bytes`},
		{"big max-payload", []string{"log", "--max-payload", "99999999"}, "", `invalid MaxPayload: 99999999; allowed: 1 to 67108864 bytes; 0 = 1 MiB`},
		{"empty redis", []string{"log", "--redis", ""}, "", `--redis is given and empty; leave it out for the default`},
		{"empty namespace", []string{"log", "--namespace", ""}, "", `--namespace is given and empty; leave it out for the default`},
		{"bad namespace", []string{"log", "--namespace", "a b"}, "", `invalid namespace: "a b" is not a name; allowed are 1 to 128 of A-Z a-z 0-9 _ - . :`},
		{"kind and file", []string{"log", "--file", file}, "", `give KIND or --file, not both: each line of the file has its own "kind"`},
		{"id and file", []string{"--id", "x", "--file", file}, "", `--id is for a single job: each line of the file may have its own "id"`},
		{"rejects without file", []string{"log", "--rejects", "x"}, "", `--rejects and --from-line go with --file`},
		{"empty file name", []string{"--file", ""}, "", `--file is given and empty; - is stdin`},
		{"empty rejects name", []string{"--file", file, "--rejects", ""}, "", `--rejects is given and empty`},
		{"line 0", []string{"--file", file, "--from-line", "0"}, "", `--from-line 0: lines are counted from 1`},
		{"stdout twice", []string{"--file", file, "--rejects", "-", "--json"}, "", `--rejects - and --json both want stdout`},
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

func TestMaxPayload(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	big := `"` + strings.Repeat("x", 2<<20-2) + `"`
	call{url: srv.URL(), args: []string{"log", "-", "-q", "--max-payload", "2097152"}, stdin: strings.NewReader(big)}.run(t).want(t, 0, "")
	if n := ready(t, openQueue(t, srv.URL()), "default"); n != 1 {
		t.Errorf("%d jobs ready", n)
	}
}

func TestRejectsMustNotOverwriteTheInput(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	file := tempFile(t, "jobs.jsonl", lines(1, 1))
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	call{url: srv.URL(), args: []string{"--file", file, "--rejects", link}}.run(t).
		want(t, 2, "enqueue: --rejects "+link+" would overwrite the input\n"+seeHelp)
	if b, _ := os.ReadFile(file); string(b) != lines(1, 1) {
		t.Errorf("the input is now %q", b)
	}
	missing := filepath.Join(t.TempDir(), "no", "rejects")
	call{url: srv.URL(), args: []string{"--file", file, "--rejects", missing}}.run(t).
		want(t, 2, "enqueue: --rejects: open "+missing+": no such file or directory\n"+seeHelp)
}

func TestHelpVersionCompletion(t *testing.T) {
	t.Parallel()
	r := call{args: []string{"--version"}}.run(t)
	if r.code != 0 || !strings.HasPrefix(r.stdout, "enqueue v1.2.3-test (go1.") {
		t.Errorf("--version: %+v", r)
	}
	r = call{args: []string{"--help"}}.run(t)
	for _, want := range []string{"Exit codes: 0 ", "--max-attempts n", "enqueue --file jobs.jsonl --rejects rejects.jsonl", "REDIS_URL", "TIDEMILL_NAMESPACE"} {
		if r.code != 0 || !strings.Contains(r.stdout, want) {
			t.Errorf("--help lacks %q:\n%s", want, r.stdout)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		r := call{args: []string{"completion", shell}}.run(t)
		if r.code != 0 || !strings.Contains(r.stdout, "enqueue") || r.stderr != "" {
			t.Errorf("completion %s: exit code %d, %d bytes, %s", shell, r.code, len(r.stdout), r.stderr)
		}
	}
	r = call{args: []string{"__completeNoDesc", "log", "--max-"}}.run(t)
	if r.code != 0 || !strings.HasPrefix(r.stdout, "--max-attempts\n--max-payload\n") {
		t.Errorf("completing --max-: %q", r.stdout)
	}
	r = call{args: []string{"__completeNoDesc", ""}}.run(t)
	if !strings.HasPrefix(r.stdout, "log\nnoop\nsleep\nfail\n:4") {
		t.Errorf("completing a kind: %q", r.stdout)
	}
}
