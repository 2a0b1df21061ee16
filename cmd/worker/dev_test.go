package main_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// usual is where a server is started unless that is taken.
const usual = "127.0.0.1:6379"

// take keeps the usual port taken while the test runs, by whoever has it.
func take(t *testing.T) {
	t.Helper()
	holder.Lock()
	defer holder.Unlock()
	if holder.users++; holder.users == 1 {
		// An error means that another process has it.
		if l, err := net.Listen("tcp", usual); err == nil {
			holder.listener = l
			go refuse(l)
		}
	}
	t.Cleanup(func() {
		holder.Lock()
		defer holder.Unlock()
		if holder.users--; holder.users == 0 && holder.listener != nil {
			_ = holder.listener.Close()
			holder.listener = nil
		}
	})
}

// holder is what the tests that run at the same time share.
var holder struct {
	sync.Mutex
	users    int
	listener net.Listener
}

func refuse(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_ = c.Close()
	}
}

var (
	printedCommand = regexp.MustCompile(`(?m)^    (?:\S*/)?enqueue( --redis (redis://\S+))? log '(.*)'$`)
	printedSummary = regexp.MustCompile(`(?m)^20 jobs in \d+\.\d\d s \(\d+\.\d jobs/s\), 3 retries$`)
)

// ready waits for the printed command and answers the URL in it.
func ready(p *process) string {
	p.t.Helper()
	p.says(&p.out, "enqueued 20 sample jobs")
	m := printedCommand.FindStringSubmatch(p.out.String())
	if m == nil {
		p.t.Fatalf("no command is printed:\n%s", p.out.String())
	}
	if m[2] == "" {
		return queue.DefaultURL
	}
	return m[2]
}

func wantSummary(p *process) {
	p.t.Helper()
	p.wantCode(0)
	if !printedSummary.MatchString(p.out.String()) {
		p.t.Errorf("no counts and rates:\n%s", p.out.String())
	}
	for _, want := range []string{"mail to ada@example.com", "photo-6.jpg", "weekly report", "order 1001 is paid", "the bank did not answer", "tea is ready"} {
		if !strings.Contains(p.err.String(), want) {
			p.t.Errorf("the log lacks %q", want)
		}
	}
}

// holds tells whether this process has the usual port.
func holds() bool {
	holder.Lock()
	defer holder.Unlock()
	return holder.listener != nil
}

// It is not parallel, for the usual port may be free and must be used then.
func TestDevOnce(t *testing.T) {
	free := false
	if l, err := net.Listen("tcp", usual); err == nil {
		free = l.Close() == nil
	}
	p := start(t, nil, workerPath, "dev", "--once")
	url := ready(p)
	if free != (url == queue.DefaultURL) {
		t.Errorf("the usual port is free: %v; it uses %s", free, url)
	}
	wantSummary(p)
	if out := p.out.String(); !strings.Contains(out, "keeps its data in ") || strings.Contains(out, "NOTHING IS KEPT") {
		t.Errorf("it does not say that the data is kept:\n%s", out)
	}
}

func TestDevEmbedded(t *testing.T) {
	t.Parallel()
	p := run(t, []string{"REDIS_URL=redis://127.0.0.1:1"}, workerPath, "dev", "--embedded", "127.0.0.1:0", "--once")
	wantSummary(p)
	if !strings.Contains(p.out.String(), "NOTHING IS KEPT") || !strings.Contains(p.err.String(), "every job that was left") {
		t.Error("it does not say loudly that nothing is kept")
	}
}

func TestDevWithoutAServerProgram(t *testing.T) {
	t.Parallel()
	take(t)
	p := start(t, []string{"PATH=" + t.TempDir()}, workerPath, "dev", "--once")
	if url := ready(p); url == queue.DefaultURL && holds() { // else another process had it, and may have let go of it
		t.Error("it used a port that is taken")
	}
	wantSummary(p)
	if !strings.Contains(p.out.String(), "NOTHING IS KEPT") {
		t.Error("it does not say loudly that nothing is kept")
	}
}

func TestDevTold(t *testing.T) {
	t.Parallel()
	srv := redistest.Server(t)
	p := start(t, nil, workerPath, "dev", "--once", "--redis", srv.URL(), "--queues", "only")
	if url := ready(p); url != srv.URL() {
		t.Errorf("the printed command uses %s, not %s", url, srv.URL())
	}
	wantSummary(p)
	client := open(t, srv.URL())
	if n := counts(t, client, "only"); n.Succeeded != 20 || n.Failed != 3 || n.Ready+n.Scheduled+n.Running+n.Dead != 0 {
		t.Errorf("%+v", n)
	}
}

// alive tells whether a process exists.
func alive(pid string) bool {
	return exec.Command("kill", "-0", pid).Run() == nil
}

// The whole way of a newcomer: start, enqueue by the printed command, Ctrl-C, nothing is left but the data.
func TestDevFromAnotherTerminal(t *testing.T) {
	t.Parallel()
	take(t)
	state := t.TempDir()
	env := []string{"XDG_STATE_HOME=" + state}
	p := start(t, env, workerPath, "dev")
	url := ready(p)
	client := open(t, url)
	info, err := client.Redis().InfoMap(t.Context(), "server").Result()
	if err != nil {
		t.Fatal(err)
	}
	pid := info["Server"]["process_id"]
	if !alive(pid) {
		t.Fatalf("no server of its own: %q", pid)
	}
	printed := printedCommand.FindString(p.out.String())
	shell := exec.Command("sh", "-c", printed)
	shell.Env = environment(t, "PATH="+filepath.Dir(enqueuePath)+":"+os.Getenv("PATH"))
	if out, err := shell.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", printed, err, out)
	}
	p.says(&p.err, `"args":{"hello":"world"}`)
	run(t, nil, enqueuePath, "--redis", url, "noop", "--in", "1h", "--id", "later").wantCode(0)
	p.signal(os.Interrupt)
	p.wantCode(0)
	if alive(pid) {
		t.Error("its server is still there")
	}

	again := start(t, env, workerPath, "dev")
	if _, err := open(t, ready(again)).Get(t.Context(), "default", "later"); err != nil {
		t.Errorf("the job of last time is gone: %v", err)
	}
	beside := start(t, env, workerPath, "dev")
	ready(beside)
	if !strings.Contains(beside.out.String(), filepath.Join(state, "tidemill", "dev")+" is in use by another worker dev, so it was left alone") {
		t.Errorf("two use one folder, or it does not say so:\n%s", beside.out.String())
	}
	for _, p := range []*process{again, beside} {
		p.signal(syscall.SIGTERM)
		p.wantCode(0)
	}
}

// A second Ctrl-C ends what runs, and still the server goes cleanly.
func TestDevForced(t *testing.T) {
	t.Parallel()
	take(t)
	p := start(t, debug, workerPath, "dev")
	client := open(t, ready(p))
	enqueue(t, client, "sleep", `{"duration":"1m"}`)
	p.sleeps()
	p.signal(os.Interrupt)
	p.says(&p.err, "worker stops")
	p.signal(os.Interrupt)
	p.wantCode(130)
	if !strings.Contains(p.err.String(), "its own Redis ended; the data is kept") {
		t.Error("the server did not end cleanly")
	}
}

func TestDevInterruptedOnce(t *testing.T) {
	t.Parallel()
	p := start(t, nil, workerPath, "dev", "--once", "--embedded", "127.0.0.1:0")
	ready(p)
	p.signal(os.Interrupt)
	p.wantCode(130)
}

// Its own server ends by itself: it says so and fails.
func TestDevLosesItsServer(t *testing.T) {
	t.Parallel()
	take(t)
	p := start(t, nil, workerPath, "dev")
	client := open(t, ready(p))
	p.says(&p.out, "waiting for more jobs")
	_ = client.Redis().ShutdownNoSave(t.Context()).Err() // the connection breaks
	p.wantCode(1)
	if !strings.Contains(p.err.String(), "its own Redis ended unasked; its log ends") {
		t.Error("it does not say why")
	}
}

// A file instead of the samples: its own Redis, whatever the file says of one, and the command to enqueue is printed.
func TestDevFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "worker.yaml")
	text := "redis: redis://127.0.0.1:1\nqueues: {mail: {}}\nhandlers:\n  \"say.*\": {exec: {command: [cat]}}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, nil, workerPath, "dev", "-c", file, "--embedded", "127.0.0.1:0")
	p.says(&p.err, "worker started")
	p.says(&p.out, "--wait\n") // the other pipe: it may come later
	m := regexp.MustCompile(`(?m)^    \S*/enqueue --redis (redis://\S+) --queue mail say.example '(.*)' --wait$`).FindStringSubmatch(p.out.String())
	if m == nil {
		t.Fatalf("no command is printed:\n%s", p.out.String())
	}
	got := run(t, nil, enqueuePath, "--redis", m[1], "--queue", "mail", "say.example", m[2], "--wait")
	got.wantCode(0)
	if out := strings.TrimSpace(got.out.String()); out != m[2] {
		t.Errorf("the result is %q", out)
	}
	p.signal(syscall.SIGTERM)
	p.wantCode(0)

	both := run(t, nil, workerPath, "dev", "-c", file, "--once")
	both.wantCode(2)
	if !strings.Contains(both.err.String(), "--once is for the samples") {
		t.Error(both.err.String())
	}
}
