package main_test

import (
	"context"
	"net"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/internal/redistest"
)

// closed answers an address where nothing listens.
func closed(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args, env string
		code      int
		want      string // part of stderr
	}{
		{"frobnicate", "", 2, `unknown command "frobnicate"`},
		{"stat", "", 2, "did you mean stats?"},
		{"queues halt default", "", 2, `unknown command "halt"`},
		{"run --concurency 5", "", 2, "did you mean --concurrency?"},
		{"run extra", "", 2, `"extra": no argument is wanted; a file is named with -c`},
		{"stats default", "", 2, `"default": a queue is named with --queue: worker stats --queue default`},
		{"jobs retry default x", "", 2, `unknown command "retry" (did you mean redrive?)`},
		{"jobs rm default x", "", 2, `unknown command "rm" (did you mean delete?)`},
		{"run --queues critical:6", "", 2, `queue "critical:6": weights are written critical=6; a queue that is named so goes into worker.yaml`},
		{"run --queues a,b:c:12,d", "", 2, `weights are written b:c=12`},
		{"run --concurrency 0", "", 2, "--concurrency 0: allowed: 1 to 1000000"},
		{"run --concurrency many", "", 2, `"many" for "--concurrency" flag: want a whole number`},
		{"run --drain -1s --session-ttl 1s", "", 2, "--drain -1s: allowed: 0"},
		{"run --drain -1s --session-ttl 1s", "", 2, "--session-ttl 1s: allowed: 2s to 1h"},
		{"run --drain 5", "", 2, "want a number and its unit, such as 90s or 1h30m"},
		{"run --queues a=0", "", 2, `weight "0" of queue "a": allowed: 1 to 1000; want NAME or NAME=WEIGHT`},
		{"run --queues a=x", "", 2, `weight "x" of queue "a"`},
		{"run --queues a=1001", "", 2, "allowed: 1 to 1000"},
		{"run --queues a,,b", "", 2, "a queue without a name; want NAME or NAME=WEIGHT, separated by commas, such as critical=6,default=3"},
		{"run --queues a=1,a=2", "", 2, `queue "a" is given twice`},
		{"run --queues größe", "", 2, "allowed are 1 to 128 of A-Z a-z 0-9 _ - . :"},
		{"run --queues=", "", 2, "a queue without a name"},
		{"run --log-level loud", "", 2, `--log-level: "loud" is not known; allowed: debug, info, warn, error`},
		{"run", "LOG_LEVEL=loud", 2, `LOG_LEVEL: "loud" is not known`},
		{"run", "LOG_FORMAT=xml", 2, "allowed: auto, pretty, json"},
		{"run --redis=", "", 2, "--redis is given and empty"},
		{"run --redis 127.0.0.1:6379", "", 2, "did you mean redis://127.0.0.1:6379?"},
		{"run --redis http://127.0.0.1", "", 2, `scheme "http" is not known; allowed: redis, rediss, unix`},
		{"run --redis redis://u:se/cret@h:1/0", "", 2, "percent-encode"},
		{"run --namespace a{b", "", 2, "namespace"},
		{"run", "TIDEMILL_NAMESPACE=a b", 2, "namespace"},
		{"run --listen 9090", "", 2, `--listen: "9090" is no address; allowed: HOST:PORT with a port of 0 to 65535, such as 127.0.0.1:9090`},
		{"run --listen=", "", 2, "--listen is given and empty; leave it out to listen nowhere"},
		{"run", "TIDEMILL_LISTEN=localhost:http", 2, `TIDEMILL_LISTEN: "localhost:http" has no port that is one`},
		{"run --listen 192.0.2.1:0", "", 1, "--listen: cannot listen on 192.0.2.1:0"},
		{"dev --listen 192.0.2.1:0 --once --embedded 127.0.0.1:0", "", 1, "--listen: cannot listen on 192.0.2.1:0"},
		{"health --listen 9090", "", 2, `--listen: "9090" is no address`},
		{"health --url 127.0.0.1:9090", "", 2, `--url "127.0.0.1:9090": allowed: http://HOST:PORT`},
		{"health --url http://127.0.0.1:9090/readyz", "", 2, `--url "http://127.0.0.1:9090/readyz": leave out /readyz: allowed: http://HOST:PORT`},
		{"health --listen 127.0.0.1:0", "", 2, `"127.0.0.1:0": port 0 is any free one: allowed is the port that the worker's log names`},
		{"health --timeout soon", "", 2, `"soon" is not a duration: want a number and its unit`},
		{"health --url http://127.0.0.1:1 --listen :1", "", 2, "--url and --listen both say where to ask"},
		{"health --timeout 0s", "", 2, "--timeout 0s: allowed: more than 0"},
		{"health worker.yaml", "", 2, "a file is named with -c: worker health -c worker.yaml"},
		{"jobs show default", "", 2, "want QUEUE and ID, got 1 arguments"},
		{"queues pause", "", 2, "want QUEUE, got 0 arguments"},
		{"settings set foo", "", 2, "want no arguments, got 2 arguments"},
		{"dev --embedded 127.0.0.1", "", 2, "want HOST:PORT"},
		{"dev --embedded 127.0.0.1:99999", "", 2, `port "99999"`},
		{"dev --embedded 127.0.0.1:0 --redis redis://127.0.0.1:1", "", 2, "not both"},
		{"dev --embedded 192.0.2.1:0 --once", "", 1, "the embedded server cannot listen on 192.0.2.1:0"},
		{"dev --concurrency 0", "", 2, "allowed: 1 to"},
		{"dev --redis=", "", 2, "--redis is given and empty"},
	} {
		t.Run(strings.TrimSpace(tt.args+" "+tt.env), func(t *testing.T) {
			t.Parallel()
			p := run(t, strings.Split(tt.env, "\n"), workerPath, strings.Fields(tt.args)...)
			if p.code() != tt.code || !strings.Contains(p.err.String(), tt.want) {
				t.Errorf("exit code %d, want %d with %q in: %s", p.code(), tt.code, tt.want, p.err.String())
			}
			if tt.code == 2 && !strings.Contains(p.err.String(), "--help'") {
				t.Error("no word of --help")
			}
			if strings.Contains(p.err.String(), "cret") {
				t.Error("it prints a password")
			}
		})
	}
}

func TestUnusableRedis(t *testing.T) {
	t.Parallel()
	locked := redistest.Server(t, redistest.WithConfig("requirepass secret"))
	replica := redistest.Server(t, redistest.WithConfig("replicaof "+strings.ReplaceAll(locked.Addr(), ":", " "), "masterauth secret"))
	evicting := redistest.Server(t, redistest.WithConfig("maxmemory 100mb", "maxmemory-policy allkeys-lru"))
	none := closed(t)
	for _, command := range []string{"run", "dev", "stats", "queues pause default", "jobs show default x"} {
		for _, tt := range []struct{ name, url, env, want string }{
			{"none", "redis://:hidden@" + none, "", "nothing answers at " + none + " (connection refused); start one on this machine with: worker dev"},
			{"none by environment", "", "REDIS_URL=redis://" + none, "worker dev (and REDIS_URL unset)"},
			{"no password", "redis://" + locked.Addr(), "", "credentials"},
			{"wrong password", "redis://:hidden@" + locked.Addr(), "", "credentials"},
			{"replica", replica.URL(), "", "read-only replica"},
			{"evicting", evicting.URL(), "", "noeviction"},
		} {
			t.Run(command+" "+tt.name, func(t *testing.T) {
				t.Parallel()
				args := strings.Fields(command)
				if tt.url != "" {
					args = append(args, "--redis", tt.url)
				}
				p := run(t, []string{tt.env}, workerPath, args...)
				if p.code() != 69 || !strings.Contains(p.err.String(), tt.want) {
					t.Errorf("exit code %d, want 69 with %q in: %s", p.code(), tt.want, p.err.String())
				}
				if strings.Contains(p.err.String()+p.out.String(), "hidden") {
					t.Error("it prints the password")
				}
			})
		}
	}
}

// The printed command names the server, and never the password.
func TestDevHidesThePassword(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t, redistest.WithConfig("requirepass hidden"))
	p := run(t, nil, workerPath, "dev", "--once", "--redis", srv.URL())
	p.wantCode(0)
	out := p.out.String()
	if strings.Contains(out+p.err.String(), "hidden") || !strings.Contains(out, "--redis 'redis://:***@"+srv.Addr()+"/0'") || !strings.Contains(out, "in place of ***") {
		t.Errorf("got:\n%s", out)
	}
}

// A key of the wrong type stops its queue with an error that names the key, and the worker goes on with the others.
func TestRunBesideABrokenQueue(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := open(t, srv.URL())
	if err := client.Redis().Set(context.Background(), "tm:{broken}:jobs", "x", 0).Err(); err != nil {
		t.Fatal(err)
	}
	enqueue(t, client, "log", `"still alive"`)
	p := start(t, nil, workerPath, "run", "--redis", srv.URL(), "--queues", "broken,default")
	p.says(&p.err, "tm:{broken}:jobs")
	p.says(&p.err, "still alive")
}

// What is no job at all goes to the dead with the reason.
func TestGarbageInTheJobs(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := open(t, srv.URL())
	id := enqueue(t, client, "noop", `{}`)
	fields, err := client.Redis().HKeys(t.Context(), "tm:{default}:jobs").Result()
	if err != nil || len(fields) != 1 {
		t.Fatal(fields, err)
	}
	if err := client.Redis().HSet(t.Context(), "tm:{default}:jobs", fields[0], "\x00garbage\xff").Err(); err != nil {
		t.Fatal(err)
	}
	run(t, nil, workerPath, "run", "--redis", srv.URL(), "--exit-when-empty").wantCode(0)
	p := run(t, nil, workerPath, "jobs", "show", "default", id, "--redis", srv.URL())
	if p.wantCode(0); !strings.Contains(p.out.String(), "state     dead") || !strings.Contains(p.out.String(), "corrupt") {
		t.Error(p.out.String())
	}
}

func TestHelpVersionCompletion(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	enqueue(t, open(t, srv.URL()), "noop", `{}`)
	for _, tt := range []struct{ args, want string }{
		{"--version", "worker devel (go"},
		{"", "worker dev"},
		{"--help", "Exit codes:"},
		{"dev --help", "worker dev --embedded 127.0.0.1:0"},
		{"run --help", "worker run --queues critical=6,default=3"},
		{"stats --help", "Examples:"},
		{"queues", "worker queues pause default"},
		{"jobs show --help", "Examples:"},
		{"completion bash", "__start_worker"},
		{"__complete st", "stats"},
		{"__complete run --log-format ", "pretty"},
		{"__complete queues pause ", "default"},
		{"__complete stats --queue ", "default"},
	} {
		args := strings.Fields(tt.args)
		if strings.HasSuffix(tt.args, " ") {
			args = append(args, "")
		}
		p := run(t, []string{"REDIS_URL=" + srv.URL()}, workerPath, args...)
		if p.code() != 0 || !strings.Contains(p.out.String(), tt.want) {
			t.Errorf("%s: exit code %d, %q is missing:\n%s%s", tt.args, p.code(), tt.want, p.out.String(), p.err.String())
		}
	}
}
