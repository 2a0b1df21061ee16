package workerfile

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func parse(t *testing.T, file string) *File {
	t.Helper()
	f, err := Parse(text(file))
	if err != nil {
		t.Fatal(err)
	}
	f.at, f.variables = nil, nil
	return f
}

func ptr[T any](v T) *T { return &v }

// Every field there is.
func TestEverything(t *testing.T) {
	got := parse(t, `# a comment
redis:
  url: rediss://redis.internal:6380/1?dial_timeout=3s
  username: "${USER_NOT_SET:-wörker}"
  password_file: pw
  tls: {ca_file: ca.pem, cert_file: ca.pem, key_file: /run/abs, server_name: r, skip_verify: true}
  read_from: replica
namespace: shop
concurrency: ${N}
queues:
  critical: {weight: 6}
  "5": {concurrency: "${N}"}
  plain: {}
  bare:
strict: false
handlers:
  "image.*":
    exec: {command: [./convert-job, --json, 5, true, 1.50, ""], env: ["MODE=$$fast ${N}"], pass_env: [EDITOR], timeout: 5m, kill_after: 1s}
    retry: &slow {max_attempts: 10, base: 2s, cap: 1h, factor: 3, jitter: 0}
    retain: 0
    timeout: 1h30m
  "hook.*":
    http: {url: "https://h/x", secret_file: pw, bearer_file: /run/abs, headers: {X-Team: billing, X-No: 7}, timeout: 30s,
      max_per_host: 20, private_addresses: deny, max_result: 100, ca_file: ca.pem}
    retry: {<<: *slow, max_attempts: 3}
  demo: {builtin: log, retry: *slow}
  noise:
    exec:
      command:
        - sh
        - -c
        - |
          echo one
          echo two
session_ttl: 10s
crash_limit: 5
max_connections: 60
shutdown: {drain: 0s, settle: 2s}
log: {level: debug, format: json}
`)
	slow := Retry{MaxAttempts: 10, Base: 2 * time.Second, Cap: time.Hour, Factor: 3, Jitter: ptr(0.0)}
	less := slow
	less.MaxAttempts = 3
	want := &File{
		Redis: Redis{URL: "rediss://w%C3%B6rker:hunter2@redis.internal:6380/1?dial_timeout=3s&ca_cert=%2Fetc%2Ftm%2Fca.pem&client_cert=%2Fetc%2Ftm%2Fca.pem" +
			"&client_key=%2Frun%2Fabs&read_from=replica&server_name=r&skip_verify=true", Username: "wörker", Password: "hunter2", PasswordFile: "pw",
			TLS: TLS{CAFile: "/etc/tm/ca.pem", CertFile: "/etc/tm/ca.pem", KeyFile: "/run/abs", ServerName: "r", SkipVerify: true}, ReadFrom: "replica"},
		Namespace: "shop", Concurrency: 20,
		Queues: []Queue{{Name: "critical", Weight: 6}, {Name: "5", Concurrency: 20}, {Name: "plain"}, {Name: "bare"}},
		Handlers: []Handler{
			{Kind: "image.*", Exec: &Exec{Command: []string{"./convert-job", "--json", "5", "true", "1.50", ""}, Env: []string{"MODE=$fast 20"},
				PassEnv: []string{"EDITOR"}, Timeout: 5 * time.Minute, KillAfter: time.Second}, Retry: &slow, Retain: ptr(time.Duration(0)), Timeout: 90 * time.Minute},
			{Kind: "hook.*", HTTP: &HTTP{URL: "https://h/x", SecretFile: "pw", BearerFile: "/run/abs", Headers: map[string]string{"X-Team": "billing", "X-No": "7"},
				Timeout: 30 * time.Second, MaxPerHost: 20, PrivateAddresses: "deny", MaxResult: 100, CAFile: "/etc/tm/ca.pem",
				signing: []byte("hunter2"), bearer: []byte("absolute")}, Retry: &less},
			{Kind: "demo", Builtin: "log", Retry: &slow},
			{Kind: "noise", Exec: &Exec{Command: []string{"sh", "-c", "echo one\necho two\n"}}},
		},
		SessionTTL: 10 * time.Second, CrashLimit: 5, MaxConnections: 60, Shutdown: Shutdown{Drain: ptr(time.Duration(0)), Settle: 2 * time.Second},
		Log: Log{Level: "debug", Format: "json"}, Name: "worker.yaml", Dir: "/etc/tm",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
		for i := range got.Handlers {
			t.Logf("%+v %+v %+v", got.Handlers[i], got.Handlers[i].Exec, got.Handlers[i].HTTP)
		}
	}
	if policy, own := got.Handlers[2].Policy(); !own || policy.Jitter != 0 || policy.Factor != 3 {
		t.Errorf("policy %+v", policy)
	}
	if policy, own := got.Handlers[3].Policy(); own {
		t.Errorf("policy %+v", policy)
	}
}

// What a variable holds is a value, whatever it looks like.
func TestVariablesCannotInject(t *testing.T) {
	s := text(good + "namespace: ${NASTY}\n")
	s.Lookup = func(string) (string, bool) { return "tm\nconcurrency: 1", true }
	if _, err := Parse(s); err == nil || !strings.Contains(err.Error(), "worker.yaml:2:12: namespace: ") {
		t.Errorf("error %v", err)
	}
}

func TestForms(t *testing.T) {
	for file, url := range map[string]string{
		"redis: ${REDIS_URL:-redis://127.0.0.1:6379/0}\n":                                          "redis://127.0.0.1:6379/0",
		"redis: {url: redis://h, username: u}\n":                                                   "redis://u@h",
		"redis: {url: redis://h?db=1, password: \"p@ss/w#rd\"}\n":                                  "redis://:p%40ss%2Fw%23rd@h?db=1",
		"redis: {url_file: url}\n":                                                                 "redis://:hunter2@h:1/0",
		"redis: {url: \"redis+sentinel://a:1,b:2/main\", password_file: pw, read_from: replica}\n": "redis+sentinel://:hunter2@a:1,b:2/main?read_from=replica",
		"redis: {url: \"rediss+cluster://a:1,b:2\", tls: {skip_verify: true}}\n":                   "rediss+cluster://a:1,b:2?skip_verify=true",
	} {
		if f := parse(t, good+file); f.Redis.URL != url {
			t.Errorf("%s: %s, want %s", file, f.Redis.URL, url)
		}
	}
	for _, file := range []string{"\xef\xbb\xbf" + good, strings.ReplaceAll(good+"concurrency: 5\n", "\n", "\r\n"), "---\n" + good + "...\n", "{handlers: {x: {builtin: log}}}", good + "---\n"} {
		if f := parse(t, file); len(f.Handlers) != 1 {
			t.Errorf("%q: %+v", file, f)
		}
	}
}

func TestPlaces(t *testing.T) {
	f, err := Parse(text("concurrency: 5\nqueues:\n  a: {weight: 2}\nhandlers:\n  \"x.*\":\n    exec:\n      command: [a]\n"))
	if err != nil {
		t.Fatal(err)
	}
	for field, line := range map[string]int{"concurrency": 1, "queues": 2, "queues.a": 3, "queues.a.weight": 3, `handlers."x.*"`: 5,
		Field("handlers", "x.*", "exec"): 6, Field("handlers", "x.*", "exec", "command") + "[0]": 7, "log": 0} {
		if got := f.Line(field); got != line || f.Has(field) != (line > 0) {
			t.Errorf("%s is in line %d, want %d", field, got, line)
		}
	}
	// A fault of what is not there is placed at what would hold it.
	if got := f.Fault(`handlers."x.*".exec.env[3]`, "is bad").Error(); got != `worker.yaml:6:5: handlers."x.*".exec.env[3]: is bad` {
		t.Error(got)
	}
	if got := f.Fault("log.level", "is bad").Error(); got != `worker.yaml: log.level: is bad` {
		t.Error(got)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "worker.yaml")
	for _, tt := range []struct{ path, want string }{
		{filepath.Join(dir, "nope.yaml"), "nope.yaml: cannot be read: no such file or directory"},
		{dir, ": cannot be read: is a directory"},
	} {
		var faults Faults
		if _, err := Load(tt.path); !errors.As(err, &faults) || !strings.HasSuffix(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.path, err)
		}
	}
	for name, data := range map[string]string{"worker.yaml": good + "redis: {url: redis://h, password_file: pw}\nnamespace: ${WORKERFILE_TEST}\n", "pw": "x\n\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("WORKERFILE_TEST", "shop")
	f, err := Load(path)
	if err != nil || f.Redis.URL != "redis://:x@h" || f.Namespace != "shop" || f.Dir != dir {
		t.Errorf("%+v, %v", f, err)
	}
}
