//go:build unix

package main_test

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
)

// listening starts a worker that tells how it is, and answers where.
func listening(t *testing.T, url string, args ...string) (*process, string) {
	t.Helper()
	p := start(t, append(debug, "REDIS_URL="+url), workerPath, append([]string{"run", "--listen", "127.0.0.1:0", "--session-ttl", "2s"}, args...)...)
	return p, p.address()
}

// address is where a worker says that it listens.
func (p *process) address() string {
	p.t.Helper()
	p.says(&p.err, "serves /livez, /readyz and /metrics")
	return regexp.MustCompile(`"listen":"([^"]+)"`).FindStringSubmatch(p.err.String())[1]
}

// health asks a worker until it says what is wanted, "" for nothing but ready, and answers the output.
func health(t *testing.T, addr, want string) string {
	t.Helper()
	said, code := "", 0
	redistest.WaitFor(t, time.Minute, func() bool {
		p := run(t, nil, workerPath, "health", "--listen", addr)
		said, code = p.out.String()+p.err.String(), p.code()
		return want == "" && code == 0 && said == "ready\n" || want != "" && code == 1 && strings.Contains(said, want)
	}, "health: "+want)
	return said
}

// page fetches one of the worker's pages.
func page(t *testing.T, addr, path string) (int, string) {
	t.Helper()
	client := http.Client{Timeout: soon}
	response, err := client.Get("http://" + addr + path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// Redis frozen, black-holed, killed: not ready, and ready again after. The worker stays alive through all of it.
func TestHealthFollowsRedis(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(t *testing.T, srv *redisserver.Server, proxy *redistest.Proxy) (end func()){
		"frozen": func(t *testing.T, srv *redisserver.Server, _ *redistest.Proxy) func() {
			must(t, srv.Freeze())
			return func() { must(t, srv.Thaw()) }
		},
		"black hole": func(_ *testing.T, _ *redisserver.Server, proxy *redistest.Proxy) func() {
			return proxy.HoldRequest(redistest.On())
		},
		"killed": func(t *testing.T, srv *redisserver.Server, _ *redistest.Proxy) func() {
			srv.Kill()
			return func() { must(t, srv.Restart(t.Context())) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := redistest.Server(t)
			proxy := redistest.NewProxy(t, srv.Addr())
			p, addr := listening(t, "redis://"+proxy.Addr())
			health(t, addr, "")
			end := fault(t, srv, proxy)
			said := health(t, addr, "queue default: Redis has answered no heartbeat for")
			if !strings.HasPrefix(said, "not ready\n") {
				t.Errorf("it says %q", said)
			}
			if code, body := page(t, addr, "/livez"); code != 200 || body != "alive\n" {
				t.Errorf("/livez: %d %q", code, body)
			}
			if code, body := page(t, addr, "/metrics"); code != 200 || !strings.Contains(body, "\ntidemill_redis_up 0\n") || !strings.Contains(body, "\ntidemill_worker_ready 0\n") {
				t.Errorf("/metrics: %d %s", code, body)
			}
			end()
			health(t, addr, "")
			p.signal(syscall.SIGTERM)
			p.wantCode(0)
			health(t, addr, "no worker answers at http://"+addr+"/readyz")
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// While it starts, whoever asks is told so; while it drains too, and by what it waits for.
func TestHealthThroughALife(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	proxy := redistest.NewProxy(t, srv.Addr())
	release := proxy.HoldRequest(redistest.On())
	p, addr := listening(t, "redis://"+proxy.Addr())
	if code, body := page(t, addr, "/readyz"); code != 503 || body != "not ready\nstarting: it is not connected to Redis yet\n" {
		t.Errorf("/readyz: %d %q", code, body)
	}
	release()
	health(t, addr, "")
	if live := run(t, []string{"TIDEMILL_LISTEN=" + addr}, workerPath, "health", "--live"); live.code() != 0 || live.out.String() != "alive\n" {
		t.Errorf("--live: %d %q", live.code(), live.out.String())
	}
	enqueue(t, open(t, srv.URL()), "sleep", `{"duration":"1m"}`)
	p.sleeps()
	p.signal(syscall.SIGTERM)
	health(t, addr, "not ready\ndraining: it takes no more jobs, 1 still run\n")
	asked := run(t, nil, workerPath, "health", "--url", "http://"+addr, "--json")
	var report struct {
		Ready   bool
		Phase   string
		Running int
		Queues  []struct{ Name string }
	}
	must(t, json.Unmarshal([]byte(asked.out.String()), &report))
	if asked.code() != 1 || report.Ready || report.Phase != "draining" || report.Running != 1 || len(report.Queues) != 1 || report.Queues[0].Name != "default" {
		t.Errorf("--json: %d %+v", asked.code(), report)
	}
	p.signal(syscall.SIGTERM)
	p.wantCode(143)
}

// A key of the wrong type stops one queue of two, and whoever asks is told which.
func TestHealthNamesTheBrokenQueue(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	_, addr := listening(t, srv.URL(), "--queues", "bad,good")
	health(t, addr, "")
	rdb := redistest.Client(t, srv)
	must(t, rdb.Set(t.Context(), "tm:{bad}:dead", "text", 0).Err())
	said := health(t, addr, `queue bad: stopped, since Redis refuses its calls: `)
	if strings.Contains(said, "good") || !strings.Contains(said, `"tm:{bad}:dead"`) {
		t.Errorf("it says %q", said)
	}
	must(t, rdb.Del(t.Context(), "tm:{bad}:dead").Err())
	health(t, addr, "")
}

// What the jobs came to stands in /metrics, and where the file says nothing else the flag and the environment do.
func TestMetricsOfARun(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	client := open(t, srv.URL())
	file := write(t, t.TempDir(), "listen: 127.0.0.1:0\nhandlers: {\"*\": {builtin: noop}, fail: {builtin: fail, retry: {base: 1ms, cap: 2ms}}}\n")
	p := start(t, []string{"REDIS_URL=" + srv.URL()}, workerPath, "run", "-c", file)
	addr := p.address()
	for range 5 {
		enqueue(t, client, "noop", `{}`)
		enqueue(t, client, "fail", `{"times":2}`)
		enqueue(t, client, "fail", `{"times":-1}`)
	}
	redistest.WaitFor(t, soon, func() bool { n := counts(t, client, "default"); return n.Succeeded == 10 && n.Dead == 5 }, "the jobs")
	var body string
	redistest.WaitFor(t, soon, func() bool { // what Redis says is a second old at most
		_, body = page(t, addr, "/metrics")
		return strings.Contains(body, `tidemill_queue_jobs{queue="default",state="dead"} 5`)
	}, "the metrics")
	for _, want := range []string{
		`tidemill_worker_attempts_total{kind="noop",outcome="succeeded",queue="default"} 5`,
		`tidemill_worker_attempts_total{kind="fail",outcome="succeeded",queue="default"} 5`,
		`tidemill_worker_attempts_total{kind="fail",outcome="retried",queue="default"} 10`,
		`tidemill_worker_attempts_total{kind="fail",outcome="died",queue="default"} 5`,
		`tidemill_worker_wait_seconds_count{kind="fail",queue="default"} 20`,
		`tidemill_worker_end_to_end_seconds_count{kind="fail",queue="default"} 5`,
		`tidemill_queue_succeeded_jobs_total{queue="default"} 10`,
		`tidemill_queue_sessions{queue="default"} 1`, `tidemill_redis_up 1`, `tidemill_worker_ready 1`, `go_goroutines `, `process_resident_memory_bytes `,
	} {
		if !strings.Contains(body, "\n"+want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	if code, body := page(t, addr, "/health"); code != 404 || !strings.Contains(body, "/readyz") {
		t.Errorf("another path: %d %q", code, body)
	}
}

// Two workers cannot listen at one place; the second says so and works not at all.
func TestListenTaken(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	_, addr := listening(t, srv.URL())
	p := run(t, []string{"REDIS_URL=" + srv.URL(), "TIDEMILL_LISTEN=" + addr}, workerPath, "run")
	p.wantCode(1)
	if !strings.Contains(p.err.String(), "worker: TIDEMILL_LISTEN: "+addr+" is taken: another program listens there") {
		t.Errorf("it says %q", p.err.String())
	}
}

// Where to ask: the flag, the environment, the file.
func TestHealthAsksWhereItIsTold(t *testing.T) {
	t.Parallel()
	free := closed(t)
	_, port, _ := strings.Cut(free, ":")
	file := write(t, t.TempDir(), "listen: \""+free+"\"\nhandlers: {x: {builtin: log}}\n")
	for name, c := range map[string]struct {
		env  []string
		args []string
		want string
	}{
		"flag":        {[]string{"TIDEMILL_LISTEN=:1"}, []string{"--listen", ":" + port}, "http://127.0.0.1:" + port + "/readyz"},
		"environment": {[]string{"TIDEMILL_LISTEN=0.0.0.0:" + port}, []string{"-c", file, "--live"}, "http://127.0.0.1:" + port + "/livez"},
		"file":        {nil, []string{"-c", file}, "http://" + free + "/readyz"},
		"url":         {nil, []string{"--url", "http://" + free + "/"}, "http://" + free + "/readyz"},
	} {
		p := run(t, c.env, workerPath, append([]string{"health"}, c.args...)...)
		if p.code() != 1 || !strings.Contains(p.err.String(), "worker: no worker answers at "+c.want+": ") {
			t.Errorf("%s: %d %q", name, p.code(), p.err.String())
		}
	}
}

// The worker to try things out with tells too.
func TestDevListens(t *testing.T) {
	t.Parallel()
	p := start(t, nil, workerPath, "dev", "--embedded", "127.0.0.1:0", "--listen", "127.0.0.1:0", "--log-format", "json")
	addr := p.address()
	health(t, addr, "")
	if code, body := page(t, addr, "/metrics"); code != 200 || !strings.Contains(body, `tidemill_worker_queue_ready{queue="critical"} 1`) {
		t.Errorf("/metrics: %d %.300s", code, body)
	}
}
