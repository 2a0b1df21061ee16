package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
)

// A Redis that is not there, or that must not be used as it is.
func TestBadRedis(t *testing.T) {
	t.Parallel()
	locked := redistest.Server(t, redistest.WithConfig("requirepass secret"))
	primary := redistest.Server(t)
	replica := redistest.Server(t, redistest.WithConfig(fmt.Sprintf("replicaof 127.0.0.1 %d", primary.Port())))
	evicting := redistest.Server(t, redistest.WithConfig("maxmemory 100mb", "maxmemory-policy allkeys-lru"))
	stopped := redistest.Server(t)
	stopped.Kill()
	for _, c := range []struct {
		name, url string
		flag      bool // by --redis instead of REDIS_URL
		code      int
		want      string
	}{
		{"no Redis, by variable", stopped.URL(), false, 3, "nothing answers at " + stopped.Addr() +
			" (connection refused); start one on this machine with: worker dev (and REDIS_URL unset)"},
		{"no Redis, by flag", "redis://user:pass@" + stopped.Addr(), true, 3, "nothing answers at " + stopped.Addr() +
			" (connection refused); start one on this machine with: worker dev"},
		{"no socket", "unix:///nonexistent/redis.sock", true, 3,
			"nothing answers at /nonexistent/redis.sock (no such file or directory); start one on this machine with: worker dev"},
		{"wrong password", "redis://:wrong@" + locked.Addr(), false, 3, "redis at " + locked.Addr() +
			": redis refused the credentials: WRONGPASS invalid username-password pair or user is disabled."},
		{"no password", "redis://" + locked.Addr(), false, 3, "redis at " + locked.Addr() +
			": redis refused the credentials, none were given: NOAUTH Authentication required."},
		{"read-only replica", replica.URL(), false, 3, "redis is a read-only replica: " + replica.Addr() + " replicates from " +
			primary.Addr() + ": connect to that primary"},
		{"evicting", evicting.URL(), false, 3, "redis server is not fit for use: maxmemory-policy of " + evicting.Addr() +
			" is allkeys-lru, so it deletes jobs when memory runs out; mend it with: redis-cli CONFIG SET maxmemory-policy noeviction " +
			`(and "maxmemory-policy noeviction" in its configuration file)`},
		{"scheme", "http://" + primary.Addr(), true, 2, `--redis: scheme "http" is not known; allowed: redis, rediss, unix, redis+sentinel, rediss+sentinel, redis+cluster, rediss+cluster`},
		{"no scheme, by flag", primary.Addr(), true, 2, `--redis "` + primary.Addr() + `": it has no "://"; did you mean redis://` + primary.Addr() + `?`},
		{"no scheme, by variable", "localhost", false, 2, `REDIS_URL "localhost": it has no "://"; did you mean redis://localhost?`},
		{"no TLS there", "rediss://" + primary.Addr() + "?dial_timeout=200ms", true, 3, primary.Addr() +
			" takes connections, but does not answer with TLS (the handshake timed out); if it is a plain server, use redis://"},
		{"bad port", "redis://127.0.0.1:99999", false, 2, `REDIS_URL: port "99999" is not valid; want a number from 1 to 65535`},
		{"bad database", "redis://127.0.0.1/x", false, 2, `REDIS_URL: database "x" is not valid; want a number from 0 up`},
		{"password to encode", "redis://:se/cr@et@127.0.0.1", false, 2, "REDIS_URL: " +
			"it cannot be read safely: if the user or the password holds one of @ : / ? # % or a space, percent-encode it (such as %40 for @)"},
		{"no such database", "redis://" + primary.Addr() + "/99", false, 2,
			"invalid: redis at " + primary.Addr() + ": redis connection settings are faulty: the server has no database 99 (its setting `databases`, 16 by default): ERR DB index is out of range"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			run := call{url: c.url, args: []string{"log", "{}"}}
			if c.flag {
				run = call{url: "redis://127.0.0.1:2", args: []string{"log", "{}", "--redis", c.url}}
			}
			help := ""
			if c.code == 2 {
				help = seeHelp
			}
			run.run(t).want(t, c.code, "enqueue: "+c.want+"\n"+help)
			run.args = append([]string{"--file", "-"}, run.args[2:]...)
			run.stdin = strings.NewReader(lines(1, 1))
			run.run(t).want(t, c.code, "enqueue: "+c.want+"\n"+help)
		})
	}
}

func TestWrongTypeKey(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	rdb := redistest.Client(t, srv)
	rdb.Set(t.Context(), "tm:{broken}:jobs", "x", 0)
	const text = `key "tm:{broken}:jobs" holds another type than Tidemill's; rename or delete it, nothing was changed`
	call{url: srv.URL(), args: []string{"log", "--queue", "broken"}}.run(t).want(t, 1, "enqueue: "+text+"\n")
	// That queue alone stops.
	call{url: srv.URL(), args: []string{"--file", "-"}, stdin: strings.NewReader(
		`{"kind":"log","queue":"broken"}` + "\n" + `{"kind":"log"}` + "\n")}.run(t).
		want(t, 1, "line 1: "+text+"\nenqueued 1, duplicates 0, rejected 1\n")
	// A key that all queues need: every line is refused, whichever call of a batch it is in.
	rdb.Set(t.Context(), "all:queues", "x", 0)
	r := call{url: srv.URL(), args: []string{"--file", "-", "--namespace", "all"}, stdin: strings.NewReader(lines(1, 25_000))}.run(t)
	const queues = `key "all:queues" holds another type than Tidemill's; rename or delete it, nothing was changed`
	if r.code != 1 || !strings.HasPrefix(r.stderr, "line 1: "+queues+"\n") || !strings.HasSuffix(r.stderr, "... and 9990 more\n"+
		"enqueued 0, duplicates 0, rejected 10000\nenqueue: "+queues+": 10000 lines in a row were refused; once that is mended, resume with --from-line 1\n") {
		t.Errorf("exit code %d, stderr:\n%s", r.code, r.stderr)
	}
}

func TestFullRedis(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t, redistest.WithConfig("maxmemory 8mb"))
	client, rdb := openQueue(t, srv.URL()), redistest.Client(t, srv)
	const total = 40_000
	var b strings.Builder
	for i := range total {
		fmt.Fprintf(&b, `{"kind":"noop","args":{"n":%d,"fill":"%s"}}`+"\n", i, strings.Repeat("x", 300))
	}
	file, rejects := tempFile(t, "jobs.jsonl", b.String()), tempFile(t, "rejects.jsonl", "of an earlier run\n")
	wait := fullForGood(t, client, rdb)
	start := time.Now()
	r := call{url: srv.URL(), args: []string{"--file", file, "--rejects", rejects}}.run(t)
	wait()
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("a full Redis was waited for: %v", took)
	}
	in := ready(t, client, "default")
	refused := readRejects(t, rejects)
	if in < 1000 || in > total-10_000 || len(refused) < 10_000 {
		t.Fatalf("%d in, %d refused", in, len(refused))
	}
	resume := refused[len(refused)-10_000].Line
	r.want(t, 1, fmt.Sprintf("enqueued %d, duplicates 0, rejected %d\n"+
		"enqueue: redis full: 10000 lines in a row were refused; once that is mended, resume with --from-line %d\n", in, len(refused), resume))
	if resume-1 != in+len(refused)-10_000 {
		t.Errorf("resume at %d after %d + %d lines", resume, in, len(refused)-10_000)
	}
	for i, reject := range refused[len(refused)-10_000:] {
		if reject.Reason != "redis full" || reject.Line != resume+i {
			t.Fatalf("reject %+v, want line %d", reject, resume+i)
		}
	}
	// A small job may find room yet.
	big := strings.NewReader(`"` + strings.Repeat("x", 1<<20-2) + `"`)
	call{url: srv.URL(), args: []string{"log", "-"}, stdin: big}.run(t).want(t, 1, "enqueue: redis full: the job was not enqueued\n")

	rdb.ConfigSet(t.Context(), "maxmemory", "0")
	call{url: srv.URL(), args: []string{"--file", file, "--rejects", rejects, "--from-line", fmt.Sprint(resume)}}.run(t).
		want(t, 0, fmt.Sprintf("enqueued %d, duplicates 0, rejected 0\n", total-resume+1))
	if n := ready(t, client, "default"); n != total-(len(refused)-10_000) {
		t.Errorf("%d of %d are in after the resume", n, total)
	}
	if n := len(readRejects(t, rejects)); n != len(refused) {
		t.Errorf("%d rejects after the resume, %d before", n, len(refused))
	}
}

func TestLostRedis(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := openQueue(t, srv.URL())
	r := call{url: srv.URL(), args: []string{"--file", "-", "--json"}}.start(t)
	r.write(lines(1, 1000) + "\n\n")
	redistest.WaitFor(t, time.Minute, func() bool { return ready(t, client, "default") == 1000 }, "the first 1000 jobs")
	// One more round trip: Redis writes its replies before it looks at further commands, so the program has its answer.
	if err := client.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	srv.Kill()
	r.write(lines(1001, 5000))
	got := r.wait()
	got.want(t, 3, "enqueued 1000, duplicates 0, rejected 0\nenqueue: Redis is lost: nothing answers at "+srv.Addr()+
		" (connection refused); 1000 lines are surely in; resume with --from-line 1003\n")
	if want := `{"enqueued":1000,"duplicates":0,"rejected":0,"resume_at_line":1003,"resume_at_offset":32895,"stopped_because":"Redis is lost: `; !strings.HasPrefix(got.stdout, want) {
		t.Errorf("stdout %s", got.stdout)
	}
}
