package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/internal/redistest"
)

const seePublish = "see 'enqueue publish --help'\n"

// What is wrong with a command line of publish is found without a Redis: the URL leads nowhere.
func TestPublishUsage(t *testing.T) {
	t.Parallel()
	const forKind = `want TOPIC and JSON, or TOPIC and -; for a job of the kind publish: enqueue -- publish`
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"nothing", nil, forKind},
		{"what was a job of the kind publish", []string{`{"page":17}`}, forKind + ` '{...}'`},
		{"what was a job with args from stdin", []string{"-"}, forKind + ` -`},
		{"no JSON", []string{"t"}, `want TOPIC and JSON, or - for one message a line from stdin`},
		{"topic behind", []string{`{"a":1}`, "t"}, `'{"a":1}' looks like a message; the TOPIC comes first: enqueue publish TOPIC '{...}'`},
		{"JSON without quotes", []string{"t", "{text:", "hi}"}, `want TOPIC and one JSON text, got 3 arguments; quote the JSON: '{"text":"hi"}'`},
		{"JSON cut off", []string{"t", `{"a":1`}, `JSON: column 6: unexpected end of JSON input`},
		{"a word", []string{"t", `hello`}, `JSON: column 1: invalid character 'h' looking for beginning of value; a text is written with its quotes: '"hello"'`},
		{"empty JSON", []string{"t", ""}, `JSON: column 1: unexpected end of JSON input`},
		{"JSON no UTF-8", []string{"t", "\"\xff\""}, `JSON: column 2: byte 0xff is not UTF-8`},
		{"keep without durable", []string{"t", "1", "--keep-count", "5"}, `--keep-count and --keep-for go with --durable`},
		{"keep none", []string{"t", "1", "--durable", "--keep-count", "0"}, `--keep-count 0: want 1 or more`},
		{"keep no number", []string{"t", "1", "--durable", "--keep-count", "many"}, `invalid argument "many" for "--keep-count" flag: want a whole number`},
		{"keep for no time", []string{"t", "1", "--durable", "--keep-for", "0s"}, `--keep-for 0s: want 1s or more`},
		{"keep for days", []string{"t", "1", "--durable", "--keep-for", "7d"}, `invalid argument "7d" for "--keep-for" flag: "7d" is not a duration: want a number and its unit, such as 90s or 1h30m; for 7d write 168h`},
		{"durable and live", []string{"t", "1", "--durable", "--live"}, `give --durable or --live, not both`},
		{"rejects of one message", []string{"t", "1", "--rejects", "x"}, `--rejects goes with -, a stream of messages from stdin`},
		{"empty rejects", []string{"t", "-", "--rejects="}, `--rejects is given and empty`},
		{"id of a stream", []string{"t", "-", "--id", "0197c1f0-5a3e-7cc3-98c4-dc0c0c07398f"}, `--id is for one message: each message of a stream has its own`},
		{"id no UUID", []string{"t", "1", "--id", "order-17"}, `--id "order-17": want a UUID that is not nil`},
		{"nil id", []string{"t", "1", "--id", "00000000-0000-0000-0000-000000000000"}, `--id "00000000-0000-0000-0000-000000000000": want a UUID that is not nil`},
		{"meta", []string{"t", "1", "--meta", "=a"}, `--meta "=a": want key=value`},
		{"max-message", []string{"t", "1", "--max-message", "67108865"}, `--max-message 67108865: want 1 to 67108864 bytes`},
		{"empty redis", []string{"t", "1", "--redis="}, `--redis is given and empty; leave it out for the default`},
		{"scheme", []string{"t", "1", "--redis=http://x"}, `--redis: scheme "http" is not known; allowed: redis, rediss, unix, redis+sentinel, rediss+sentinel, redis+cluster, rediss+cluster`},
		{"bad namespace", []string{"t", "1", "--namespace={x}"}, `--namespace: "{x}" is not a name`},
		{"a flag of jobs", []string{"t", "1", "--queue", "x"}, `unknown flag: --queue`},
		{"unknown flag", []string{"t", "1", "--durabel"}, `unknown flag: --durabel (did you mean --durable?)`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := call{url: "redis://127.0.0.1:1", args: append([]string{"publish"}, c.args...), stdin: strings.NewReader("")}.run(t)
			if r.code != 2 || !strings.HasPrefix(r.stderr, "enqueue: "+c.want) || !strings.HasSuffix(r.stderr, "\n"+seePublish) || r.stdout != "" {
				t.Errorf("exit code %d, stderr:\n%swant:\n%s\nstdout:\n%s", r.code, r.stderr, c.want, r.stdout)
			}
		})
	}
}

// A Redis that is not there, or that must not be used as it is.
func TestPublishBadRedis(t *testing.T) {
	t.Parallel()
	locked := redistest.Server(t, redistest.WithConfig("requirepass secret"))
	primary := redistest.Server(t)
	replica := redistest.Server(t, redistest.WithConfig(fmt.Sprintf("replicaof 127.0.0.1 %d", primary.Port())))
	for _, c := range []struct{ name, url, want string }{
		{"no Redis", "redis://user:pass@127.0.0.1:1", "nothing answers at 127.0.0.1:1 (connection refused); start one on this machine with: worker dev (and REDIS_URL unset)"},
		{"wrong password", "redis://:wrong@" + locked.Addr(), "redis at " + locked.Addr() +
			": redis refused the credentials: WRONGPASS invalid username-password pair or user is disabled."},
		{"read-only replica", replica.URL(), "redis is a read-only replica: " + replica.Addr() + " replicates from " + primary.Addr() + ": connect to that primary"},
	} {
		for _, message := range []string{"1", "-"} {
			rejects := filepath.Join(t.TempDir(), "rejects")
			args := []string{"publish", "t", message}
			if message == "-" {
				args = append(args, "--rejects", rejects)
			}
			call{url: c.url, args: args, stdin: strings.NewReader("1\n")}.run(t).want(t, 3, "enqueue: "+c.want+"\n")
			if found, _ := filepath.Glob(rejects); found != nil {
				t.Errorf("%s: the rejects were opened", c.name)
			}
		}
	}
}
