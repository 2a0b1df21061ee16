package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// folder is a place for a worker.yaml and what it names; the rows name files in it.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		path, mode := filepath.Join(dir, name), os.FileMode(0o644)
		if strings.HasPrefix(data, "#!") {
			mode = 0o755
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(data), mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// script is a command that does nothing.
const script = "#!/bin/sh\nexit 0\n"

const (
	execFile  = "handlers: {x: {exec: {command: %}}}\n"
	httpFile  = "handlers: {x: {http: {%}}}\n"
	plainFile = "handlers: {x: {builtin: log}}\n%\n"
)

// form puts a row's text into one of the files above.
func form(file, text string) string { return strings.ReplaceAll(file, "%", text) }

// badInputs are flags, files and handlers with a fault: exactly what is printed, and the exit code. DIR stands for the
// folder, "run" for worker run -c DIR/worker.yaml, and so on.
var badInputs = []struct {
	name, args, env, file string
	code                  int
	want                  string
}{
	// Flags.
	{name: "no file to check", args: "check", code: 2, want: "no file to check: name it with -c FILE or TIDEMILL_CONFIG"},
	{name: "file is not there", args: "check -c DIR/nope.yaml", code: 2, want: "DIR/nope.yaml: cannot be read: no such file or directory"},
	{name: "file by environment is not there", args: "run", env: "TIDEMILL_CONFIG=DIR/nope.yaml", code: 2, want: "DIR/nope.yaml: cannot be read: no such file or directory"},
	{name: "file is a folder", args: "run -c DIR", code: 2, want: "DIR: cannot be read: is a directory"},
	{name: "file is empty text", args: "run --config=", code: 2, want: "--config is given and empty; leave it out to run the built-in handlers"},
	{name: "flag misspelled", args: "check --conect", code: 2, want: "unknown flag: --conect (did you mean --connect?)"},
	{name: "file as argument", args: "check DIR/worker.yaml", code: 2, want: "a file is named with -c: worker check -c DIR/worker.yaml"},
	{name: "file as argument of run", args: "run DIR/worker.yaml", code: 2, want: "a file is named with -c: worker run -c DIR/worker.yaml"},
	{name: "flag over a good file", args: "run -c DIR/worker.yaml --concurrency 0", file: form(plainFile, ""), code: 2, want: "--concurrency 0: allowed: 1 to 1000000"},
	{name: "drain over a good file", args: "check -c DIR/worker.yaml --drain -1s", file: form(plainFile, ""), code: 2, want: "--drain -1s: allowed: 0 (give running jobs back at once) or more"},
	{name: "level over a good file", args: "check -c DIR/worker.yaml --log-level loud", file: form(plainFile, ""), code: 2, want: `--log-level: "loud" is not known; allowed: debug, info, warn, error`},
	{name: "level by environment", args: "check -c DIR/worker.yaml", env: "LOG_LEVEL=loud", file: form(plainFile, ""), code: 2, want: `LOG_LEVEL: "loud" is not known; allowed: debug, info, warn, error`},
	{name: "format by environment", args: "run -c DIR/worker.yaml", env: "LOG_FORMAT=xml", file: form(plainFile, ""), code: 2, want: `LOG_FORMAT: "xml" is not known; allowed: auto, pretty, json`},
	{name: "redis over a good file", args: "check -c DIR/worker.yaml --redis=", file: form(plainFile, ""), code: 2, want: "--redis is given and empty; leave it out for the default"},
	{name: "queues over a good file", args: "check -c DIR/worker.yaml --queues a=0", file: form(plainFile, ""), code: 2, want: `invalid argument "a=0" for "--queues" flag: weight "0" of queue "a": allowed: 1 to 1000; want NAME or NAME=WEIGHT, separated by commas, such as critical=6,default=3`},
	{name: "session TTL over a good file", args: "run -c DIR/worker.yaml --session-ttl 1s", file: form(plainFile, ""), code: 2, want: "--session-ttl 1s: allowed: 2s to 1h"},

	{name: "authorities by flag", args: "stats --redis rediss://h --tls-ca DIR/data", code: 2, want: "--tls-ca: DIR/data holds no certificate in PEM form"},
	{name: "certificate by flag", args: "stats --redis rediss://h --tls-cert DIR/data", code: 2, want: "--tls-cert: --tls-cert and --tls-key go together; one of them is missing"},
	{name: "no certificate by flag", args: "stats --redis rediss://h --tls-cert DIR/data --tls-key DIR/data", code: 2, want: "--tls-cert: --tls-cert=DIR/data and --tls-key=DIR/data: tls: failed to find any PEM data in certificate input"},
	{name: "redis by environment", args: "stats", env: "REDIS_URL=redis://:hidden@h:99999", code: 2, want: `REDIS_URL: port "99999" is not valid; want a number from 1 to 65535`},

	// The file.
	{name: "empty file", args: "run", file: "\n", code: 2, want: `DIR/worker.yaml: is empty; the least it needs is handlers, such as: handlers: {"demo.*": {builtin: log}}`},
	{name: "no YAML", args: "check", file: "handlers: [", code: 2, want: "DIR/worker.yaml:1:11: is not YAML: this [ is not closed: a ] is missing"},
	{name: "tab", args: "check", file: "handlers:\n\tx: 1\n", code: 2, want: "DIR/worker.yaml:2:1: is not YAML: a tab stands where spaces are wanted"},
	{name: "unknown field", args: "run", file: form(plainFile, "shutdwon: {}"), code: 2, want: "DIR/worker.yaml:2:1: shutdwon: unknown field; did you mean shutdown? allowed: redis, namespace, concurrency, queues, strict, handlers, subscriptions, session_ttl, crash_limit, max_connections, shutdown, listen, log"},
	{name: "wrong type", args: "check", file: form(plainFile, "concurrency: [20]"), code: 2, want: "DIR/worker.yaml:2:14: concurrency: a list stands where a whole number is wanted; such as 20"},
	{name: "duration", args: "check", file: form(plainFile, "shutdown: {drain: 25}"), code: 2, want: "DIR/worker.yaml:2:19: shutdown.drain: 25 has no unit; write such as 25s"},
	{name: "variable", args: "run", file: form(plainFile, "redis: ${NOPE}"), code: 2, want: "DIR/worker.yaml:2:8: redis: the variable NOPE is not set; set it, or write ${NOPE:-default}"},
	{name: "two faults", args: "run", file: "handlers: {\"a*b\": {builtin: lag}}\nqueues: {a: {weight: 1001}}\n", code: 2,
		want: "DIR/worker.yaml:1:12: handlers.\"a*b\": a * stands for any text at the end of a pattern, and nowhere else; such as \"a*\"\n" +
			"DIR/worker.yaml:1:29: handlers.\"a*b\".builtin: \"lag\" is not known; did you mean log? allowed: log, noop, sleep, fail\n" +
			"DIR/worker.yaml:2:22: queues.a.weight: 1001 is out of range; allowed: 1 to 1000"},
	{name: "redis scheme", args: "check", file: form(plainFile, "redis: http://127.0.0.1"), code: 2, want: `DIR/worker.yaml:2:8: redis: scheme "http" is not known; allowed: redis, rediss, unix, redis+sentinel, rediss+sentinel, redis+cluster, rediss+cluster`},
	{name: "redis parameter", args: "check", file: form(plainFile, "redis: {url: \"redis://u:hidden@h/?db=x\"}"), code: 2, want: `DIR/worker.yaml:2:14: redis.url: database "x" is not valid; want a number from 0 up`},
	{name: "redis authorities", args: "check", file: form(plainFile, "redis: {url: rediss://h, tls: {ca_file: data}}"), code: 2, want: "DIR/worker.yaml:2:41: redis.tls.ca_file: DIR/data holds no certificate in PEM form"},
	{name: "redis certificate", args: "run", file: form(plainFile, "redis: {url: rediss://h, tls: {key_file: data, cert_file: data}}"), code: 2, want: "DIR/worker.yaml:2:59: redis.tls.cert_file: DIR/data and key_file DIR/data: tls: failed to find any PEM data in certificate input"},
	{name: "redis replicas", args: "check", file: form(plainFile, "redis: {read_from: replica, url: redis://h}"), code: 2, want: "DIR/worker.yaml:2:20: redis.read_from: replica: there is no replica to find behind one server; name it with replica=host:port, or use redis+sentinel:// or redis+cluster://"},
	{name: "password file", args: "run", file: form(plainFile, "redis: {url: redis://h, password_file: nope}"), code: 2, want: "DIR/worker.yaml:2:40: redis.password_file: DIR/nope cannot be read: no such file or directory"},
	{name: "connections", args: "check", file: form(plainFile, "max_connections: 2"), code: 2, want: "DIR/worker.yaml:2:18: max_connections: 2 is out of range; allowed: 4 to 100000"},

	// Handlers.
	{name: "command is not there", args: "check", file: form(execFile, "[./nope]"), code: 2, want: "DIR/worker.yaml:1:32: handlers.x.exec.command: DIR/nope: no such file or directory"},
	{name: "command is not on PATH", args: "run", file: form(execFile, "[tidemill-nope, -x]"), code: 2, want: `DIR/worker.yaml:1:32: handlers.x.exec.command: "tidemill-nope" is not in PATH`},
	{name: "command beside the file without ./", args: "check", file: form(execFile, "[tidemill-job]"), code: 2, want: `DIR/worker.yaml:1:32: handlers.x.exec.command: "tidemill-job" is not in PATH; did you mean ./tidemill-job?`},
	{name: "command and argument in one", args: "check", file: form(execFile, "[tidemill-nope backup.py]"), code: 2, want: `DIR/worker.yaml:1:32: handlers.x.exec.command: "tidemill-nope backup.py" is not in PATH; the program and each argument stand alone: write [tidemill-nope, backup.py]`},
	{name: "all of an http handler", args: "run", file: form(httpFile, `url: "app.internal/hooks", secret_file: nope, headers: {Host: x}, max_result: 0`), code: 2,
		want: "DIR/worker.yaml:1:28: handlers.x.http.url: \"app.internal/hooks\" lacks http:// or https://; did you mean https://app.internal/hooks?\n" +
			"DIR/worker.yaml:1:63: handlers.x.http.secret_file: DIR/nope cannot be read: no such file or directory\n" +
			"DIR/worker.yaml:1:78: handlers.x.http.headers: Host is set by the handler itself\n" +
			"DIR/worker.yaml:1:101: handlers.x.http.max_result: 0 is out of range; allowed: 1 to 65536"},
	{name: "command and another fault", args: "check", file: form(execFile, "[./nope]") + "strict: yes\n", code: 2,
		want: "DIR/worker.yaml:1:32: handlers.x.exec.command: DIR/nope: no such file or directory\nDIR/worker.yaml:2:9: strict: \"yes\" is not true or false"},
	{name: "command is not executable", args: "run", file: form(execFile, "[./data]"), code: 2, want: "DIR/worker.yaml:1:32: handlers.x.exec.command: DIR/data: is not executable: chmod +x DIR/data"},
	{name: "command is a folder", args: "check", file: form(execFile, "[./sub]"), code: 2, want: "DIR/worker.yaml:1:32: handlers.x.exec.command: DIR/sub: is a folder; allowed: an executable file"},
	{name: "command is a text", args: "check", file: form(execFile, "./job --json"), code: 2, want: `DIR/worker.yaml:1:32: handlers.x.exec.command: a text is no list; such as [./job, --json]; no shell reads it, for one write [sh, -c, "a | b"]`},
	{name: "variable given twice", args: "check", file: form(execFile, "[sh], env: [A=1, A=2]"), code: 2, want: `DIR/worker.yaml:1:43: handlers.x.exec.env: "A": given twice; allowed: each name once`},
	{name: "passed variable of the worker", args: "check", file: form(execFile, "[sh], pass_env: [TIDEMILL_X]"), code: 2, want: `DIR/worker.yaml:1:48: handlers.x.exec.pass_env: "TIDEMILL_X": names that begin with TIDEMILL_ are set by the worker; allowed: others`},
	{name: "url without host", args: "check", file: form(httpFile, `url: "https://"`), code: 2, want: "DIR/worker.yaml:1:28: handlers.x.http.url: names no host; allowed: an address such as \"https://app.internal/hooks\""},
	{name: "url scheme", args: "run", file: form(httpFile, `url: "ftp://h/hidden"`), code: 2, want: `DIR/worker.yaml:1:28: handlers.x.http.url: scheme "ftp"; allowed: http, https`},
	{name: "url with a user", args: "check", file: form(httpFile, `url: "https://u:hidden@h"`), code: 2, want: "DIR/worker.yaml:1:28: handlers.x.http.url: holds a user or password; put them into headers or bearer_file"},
	{name: "private address", args: "check", file: form(httpFile, `url: "http://10.1.2.3", private_addresses: deny`), code: 2, want: "DIR/worker.yaml:1:28: handlers.x.http.url: 10.1.2.3 is a private address, and private_addresses is deny"},
	{name: "secret", args: "check", file: form(httpFile, `url: "http://h", secret: "whsec_hidden!"`), code: 2, want: "DIR/worker.yaml:1:48: handlers.x.http.secret: number 1 starts with whsec_ but is not base64 after it; make one with: echo whsec_$(openssl rand -base64 32)"},
	{name: "secret file", args: "run", file: form(httpFile, `url: "http://h", secret_file: badsecret`), code: 2, want: "DIR/worker.yaml:1:53: handlers.x.http.secret_file: number 1 starts with whsec_ but is not base64 after it; make one with: echo whsec_$(openssl rand -base64 32)"},
	{name: "header", args: "check", file: form(httpFile, `url: "http://h", headers: {"a b": c}`), code: 2, want: "DIR/worker.yaml:1:49: handlers.x.http.headers: name \"a b\"; allowed: letters, digits and any of !#$%&'*+-.^_`|~"},
	{name: "authorities", args: "check", file: form(httpFile, `url: "https://h", ca_file: data`), code: 2, want: "DIR/worker.yaml:1:50: handlers.x.http.ca_file: DIR/data holds no PEM certificate"},
	{name: "retry", args: "run", file: "handlers: {x: {builtin: log, retry: {base: 2h, cap: 1h}}}\n", code: 2, want: "DIR/worker.yaml:1:53: handlers.x.retry.cap: the cap (1h0m0s) is less than the base (2h0m0s)"},

	// Redis.
	{name: "redis away", args: "check --connect", file: form(plainFile, "redis: redis://:hidden@127.0.0.1:1"), code: 69, want: "nothing answers at 127.0.0.1:1 (connection refused); start one on this machine with: worker dev"},
	{name: "redis away for run", args: "run", file: form(plainFile, "redis: redis://:hidden@127.0.0.1:1"), code: 69, want: "nothing answers at 127.0.0.1:1 (connection refused); start one on this machine with: worker dev"},
}

func TestBadInputs(t *testing.T) {
	t.Parallel()
	files := map[string]string{"tidemill-job": script, "data": "x\n", "sub/a": "", "badsecret": "whsec_hidden!\n"}
	if n := len(badInputs); n < 40 {
		t.Errorf("only %d inputs", n)
	}
	for _, tt := range badInputs {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := folder(t, files)
			if tt.file != "" {
				if err := os.WriteFile(filepath.Join(dir, "worker.yaml"), []byte(tt.file), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			args := strings.Fields(strings.ReplaceAll(tt.args, "DIR", dir))
			if !strings.Contains(tt.args, "DIR") && tt.file != "" {
				args = append(args, "-c", filepath.Join(dir, "worker.yaml"))
			}
			p := run(t, []string{strings.ReplaceAll(tt.env, "DIR", dir)}, workerPath, args...)
			want := "worker: " + strings.ReplaceAll(tt.want, "DIR", dir) + "\n"
			if tt.code == 2 {
				want += "see 'worker " + args[0] + " --help'\n"
			}
			if got := p.err.String(); p.code() != tt.code || got != want {
				t.Errorf("exit code %d, want %d; printed\n%s\nwant\n%s", p.code(), tt.code, strings.ReplaceAll(got, dir, "DIR"), strings.ReplaceAll(want, dir, "DIR"))
			}
			if strings.Contains(p.err.String()+p.out.String(), "hidden") {
				t.Error("it prints a secret")
			}
		})
	}
}
