package execjob

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// script notes that it ran, leaves processes behind that leave its group, and prints its args.
const script = `
(env -i setsid sleep NAP &)
(trap '' TERM; setsid sh -c 'sleep NAP; sleep NAP' &)
echo "$TIDEMILL_ATTEMPT" >>"OUT/$TIDEMILL_JOB_ID"
cat`

// farm is worker processes that run one script.
type farm struct {
	*testing.T
	ctx    context.Context
	client *queue.Client
	spec   string
	dir    string // where the script notes each run by the job's id
	nap    string // in the command line of what it leaves behind
	ids    []uuid.UUID
}

func newFarm(t *testing.T) *farm {
	t.Helper()
	srv := redistest.Server(t)
	f := &farm{T: t, ctx: context.Background(), dir: t.TempDir(), nap: fmt.Sprintf("3600.%09d", os.Getpid())}
	client, err := queue.Open(f.ctx, srv.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	f.client = client
	text := strings.NewReplacer("NAP", f.nap, "OUT", f.dir).Replace(script)
	spec, err := json.Marshal(workerSpec{URL: srv.URL(), Config: Config{Command: []string{"/bin/sh", "-c", text}}})
	if err != nil {
		t.Fatal(err)
	}
	f.spec = string(spec)
	return f
}

// add enqueues n jobs.
func (f *farm) add(n int) {
	f.Helper()
	items := make([]queue.Item, n)
	for i := range items {
		items[i].Args = queue.Raw{Name: "job", Payload: fmt.Appendf(nil, `{"n":%d}`, i)}
	}
	results, err := f.client.EnqueueMany(f.ctx, items)
	if err != nil {
		f.Fatal(err)
	}
	for _, r := range results {
		f.ids = append(f.ids, r.ID)
	}
}

// worker starts a worker process; it ends with this one.
func (f *farm) worker() *exec.Cmd {
	f.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), workerEnv+"="+f.spec)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if _, err := cmd.StdinPipe(); err != nil { // held open
		f.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

func (f *farm) succeeded() int {
	f.Helper()
	n, err := f.client.Counts(f.ctx, queue.DefaultQueue)
	if err != nil {
		f.Fatal(err)
	}
	return int(n.Succeeded)
}

func (f *farm) await(n int) {
	f.Helper()
	redistest.WaitFor(f, 60*time.Second, func() bool { return f.succeeded() >= n }, fmt.Sprintf("%d jobs", n))
}

// check holds that every job has left its result and the note of its run, and answers how many ran more than once.
func (f *farm) check() (twice int) {
	f.Helper()
	for _, id := range f.ids {
		s, err := f.client.Get(f.ctx, queue.DefaultQueue, id.String())
		if err != nil {
			f.Fatal(err)
		}
		if s.State != queue.Succeeded || !bytes.Equal(s.Result, s.Payload) {
			f.Errorf("job %s is %s with result %q", id, s.State, s.Result)
		}
		note, err := os.ReadFile(filepath.Join(f.dir, id.String()))
		if err != nil {
			f.Fatal(err)
		}
		if strings.TrimRight(string(note), "1\n") != "" { // a crash costs no attempt
			f.Errorf("job %s ran as attempts %q", id, note)
		}
		if len(note) > 2 {
			twice++
		}
	}
	return twice
}

// left counts the processes that a script left behind.
func (f *farm) left() (n int) {
	f.Helper()
	list, err := os.ReadDir("/proc")
	if err != nil {
		f.Fatal(err)
	}
	for _, entry := range list {
		if _, err := strconv.Atoi(entry.Name()); err != nil {
			continue
		}
		line, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline"))
		if err == nil && bytes.Contains(line, []byte("sleep\x00"+f.nap)) {
			n++
		}
	}
	return n
}

// TestThroughRedis runs jobs whose commands leave processes behind: each once; then more with two kill -9 on the way, after
// which each job's output is there, and of the commands nothing.
func TestThroughRedis(t *testing.T) {
	f := newFarm(t)
	f.add(100)
	w := f.worker()
	f.await(100)
	if twice := f.check(); twice != 0 {
		t.Errorf("%d jobs ran more than once without a crash", twice)
	}
	f.add(200)
	for _, done := range []int{150, 220} {
		f.await(done)
		if err := w.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = w.Wait()
		redistest.WaitFor(t, time.Minute, func() bool { return f.left() == 0 }, "the end of what the killed worker had started")
		w = f.worker()
	}
	f.await(300)
	if twice := f.check(); twice > 2*16 {
		t.Errorf("%d jobs ran more than once, of 16 at a time in two crashes", twice)
	}
	if err := w.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := w.Wait(); err != nil {
		t.Errorf("the worker ended with %v", err)
	}
	if n := f.left(); n != 0 {
		t.Errorf("%d processes are left", n)
	}
}
