package pitfalls

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
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
	redistest.ChildMain(childEnv, beChild)
	flag.Parse()
	// Most tests wait most of the time: for sessions to expire, above all.
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// beChild is a worker's main: it tells on stdout what its handlers do.
func beChild(ctx context.Context, spec childSpec) error {
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
	*redistest.Child
	t *testing.T
}

// launch starts a worker process and does not wait for it.
func (x *world) launch(spec childSpec) *child {
	x.Helper()
	return &child{redistest.StartChild(x, childEnv, spec, spec.env...), x.T}
}

// start is launch for a worker that is to be at work.
func (x *world) start(spec childSpec) *child {
	x.Helper()
	had := len(x.sessions())
	c := x.launch(spec)
	x.wait("a worker process", func() bool { return len(c.Lines("up")) == 1 && len(x.sessions()) > had })
	return c
}

// term is SIGTERM; it answers when the process has noticed.
func (c *child) term() {
	c.t.Helper()
	c.Signal(c.t, syscall.SIGTERM)
	redistest.WaitFor(c.t, slow, func() bool { return len(c.Lines("told")) == 1 }, "the process to be told")
}

// runs are the attempts it told of: "start" or "end".
func (c *child) runs(word string) []run {
	c.t.Helper()
	var out []run
	for _, line := range c.Lines(word) {
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
