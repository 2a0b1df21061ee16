package pitfalls

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// childEnv tells the test binary to be a worker process instead: it holds a childSpec.
const childEnv = "TIDEMILL_TEST_PITFALL_WORKER"

// spinFor is how long a job of the kind "spin" keeps a processor busy.
const spinFor = 600 * time.Millisecond

// childSpec is how a worker process is set up. It serves "default" under the namespace "tm".
type childSpec struct {
	Addr                        string // of the server, or of a proxy before it
	Concurrency, MaxConnections int
	Drain, Settle, TTL          time.Duration
	env                         []string
}

func TestMain(m *testing.M) {
	if text := os.Getenv(childEnv); text != "" {
		if err := beChild(text); err != nil {
			fmt.Println("failed", err)
			os.Exit(1)
		}
		return
	}
	flag.Parse()
	// Most tests wait most of the time: for sessions to expire, above all.
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// beChild is a worker's main: it tells on stdout what its handlers do, and ends with its parent.
func beChild(text string) error {
	var spec childSpec
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(3)
	}()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	client, err := queue.Open(ctx, "redis://"+spec.Addr, queue.Config{MaxConnections: spec.MaxConnections})
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	w, err := worker.New(client, childMux(), worker.Config{Concurrency: spec.Concurrency, SessionTTL: cmp.Or(spec.TTL, ttl), Drain: spec.Drain, Settle: spec.Settle})
	if err != nil {
		return err
	}
	fmt.Println("up")
	defer context.AfterFunc(ctx, func() { fmt.Println("told") })()
	return w.Run(ctx)
}

func childMux() *worker.Mux {
	mux := worker.NewMux()
	mux.Use(func(next worker.Handler) worker.Handler {
		return func(ctx context.Context, job *queue.Job[queue.Raw]) error {
			fmt.Println("start", job.ID, job.Token(), job.Attempt, job.Crashes)
			err := next(ctx, job)
			if err == nil {
				fmt.Println("end", job.ID, job.Token(), job.Attempt, job.Crashes)
			}
			return err
		}
	})
	mux.HandleKind("block", func(ctx context.Context, _ *queue.Job[queue.Raw]) error {
		<-ctx.Done()
		return ctx.Err()
	})
	mux.HandleKind("spin", func(context.Context, *queue.Job[queue.Raw]) error {
		for began := time.Now(); time.Since(began) < spinFor; { // busy is the point
		}
		return nil
	})
	worker.Handle(mux, takeNap)
	return mux
}

// child is a worker process.
type child struct {
	*exec.Cmd
	t    *testing.T
	mu   sync.Mutex
	said []string
	done chan struct{} // closed when it has ended
}

// launch starts a worker process and does not wait for it.
func (x *world) launch(spec childSpec) *child {
	x.Helper()
	text, err := json.Marshal(spec)
	x.must(err)
	c := &child{Cmd: exec.Command(os.Args[0]), t: x.T, done: make(chan struct{})}
	c.Env = append(append(os.Environ(), childEnv+"="+string(text)), spec.env...)
	c.Stderr = os.Stderr
	stdin, err := c.StdinPipe() // held open: its end tells the child that we are gone
	x.must(err)
	stdout, err := c.StdoutPipe()
	x.must(err)
	x.must(c.Start())
	go func() {
		defer close(c.done)
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			c.mu.Lock()
			c.said = append(c.said, lines.Text())
			c.mu.Unlock()
		}
		_ = c.Wait()
		stdin.Close()
	}()
	x.Cleanup(func() {
		c.kill()
		if x.Failed() {
			x.Logf("process %d said:\n%.3000s", c.Process.Pid, strings.Join(c.said, "\n"))
		}
	})
	return c
}

// start is launch for a worker that is to be at work.
func (x *world) start(spec childSpec) *child {
	x.Helper()
	had := len(x.sessions())
	c := x.launch(spec)
	x.wait("a worker process", func() bool { return len(c.lines("up")) == 1 && len(x.sessions()) > had })
	return c
}

// kill is kill -9, by the process's handle: it may have ended.
func (c *child) kill() {
	_ = c.Process.Kill()
	<-c.done
}

// term is SIGTERM; it answers when the process has noticed.
func (c *child) term() {
	c.t.Helper()
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		c.t.Fatal(err)
	}
	redistest.WaitFor(c.t, slow, func() bool { return len(c.lines("told")) == 1 }, "the process to be told")
}

// lines answers what the child said that begins with a word, without it.
func (c *child) lines(word string) (rest []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, line := range c.said {
		if first, after, _ := strings.Cut(line, " "); first == word {
			rest = append(rest, after)
		}
	}
	return rest
}

// runs are the attempts it told of: "start" or "end".
func (c *child) runs(word string) []run {
	c.t.Helper()
	var out []run
	for _, line := range c.lines(word) {
		var text string
		var r run
		if _, err := fmt.Sscan(line, &text, &r.token, &r.attempt, &r.crashes); err != nil {
			c.t.Fatalf("%q: %v", line, err)
		}
		r.id = uuid.MustParse(text)
		out = append(out, r)
	}
	return out
}
