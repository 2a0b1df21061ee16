package worker

import (
	"bufio"
	"context"
	"encoding/json"
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
)

// childEnv tells the test binary to be a worker process instead: it holds a childSpec.
const childEnv = "TIDEMILL_TEST_WORKER"

type childSpec struct {
	URL         string
	Concurrency int
	TTL, Drain  time.Duration
}

func TestMain(m *testing.M) {
	if text := os.Getenv(childEnv); text != "" {
		if err := beChild(text); err != nil {
			fmt.Println("failed", err)
			os.Exit(1)
		}
		return
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
	client, err := queue.Open(ctx, spec.URL)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	w, err := New(client, childMux(), Config{Concurrency: spec.Concurrency, SessionTTL: spec.TTL, Drain: spec.Drain})
	if err != nil {
		return err
	}
	fmt.Println("up")
	return w.Run(ctx)
}

// nap is a job that sleeps, whatever its context says.
type nap struct{ MS int }

func (nap) Kind() string { return "nap" }

func childMux() *Mux {
	mux := NewMux()
	mux.Use(func(next Handler) Handler {
		return func(ctx context.Context, job *queue.Job[queue.Raw]) error {
			fmt.Println("start", job.ID, job.Attempt, job.Crashes)
			return next(ctx, job)
		}
	})
	mux.HandleKind("block", func(ctx context.Context, job *queue.Job[queue.Raw]) error {
		<-ctx.Done()
		fmt.Println("cause", job.ID, context.Cause(ctx))
		return ctx.Err()
	})
	mux.HandleKind("poison", func(context.Context, *queue.Job[queue.Raw]) error {
		return syscall.Kill(os.Getpid(), syscall.SIGKILL)
	})
	Handle(mux, func(_ context.Context, job *queue.Job[nap]) error {
		<-time.After(time.Duration(job.Args.MS) * time.Millisecond)
		fmt.Println("end", job.ID)
		return nil
	})
	return mux
}

// child is a worker process.
type child struct {
	t    *testing.T
	cmd  *exec.Cmd
	mu   sync.Mutex
	said []string
	done chan struct{} // closed when it has ended
}

func startChild(t *testing.T, spec childSpec) *child {
	t.Helper()
	text, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	c := &child{t: t, cmd: exec.Command(os.Args[0]), done: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	c.cmd.Stderr = os.Stderr
	stdin, err := c.cmd.StdinPipe() // held open: its end tells the child that we are gone
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.done)
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			c.mu.Lock()
			c.said = append(c.said, lines.Text())
			c.mu.Unlock()
		}
		_ = c.cmd.Wait()
		stdin.Close()
	}()
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill() // by its handle; it may have ended
		<-c.done
	})
	redistest.WaitFor(t, 20*time.Second, func() bool { return len(c.lines("up")) == 1 }, "a worker process")
	return c
}

func (c *child) signal(s syscall.Signal) {
	c.t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil {
		c.t.Fatal(err)
	}
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

// childStart is one line "start".
type childStart struct {
	id               uuid.UUID
	attempt, crashes int
}

func (c *child) starts() []childStart {
	c.t.Helper()
	var out []childStart
	for _, line := range c.lines("start") {
		var text string
		var s childStart
		if _, err := fmt.Sscan(line, &text, &s.attempt, &s.crashes); err != nil {
			c.t.Fatalf("%q: %v", line, err)
		}
		s.id = uuid.MustParse(text)
		out = append(out, s)
	}
	return out
}
