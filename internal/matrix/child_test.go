package matrix

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// childEnv tells the test binary to be a worker process instead: it holds a spec.
const childEnv = "TIDEMILL_TEST_MATRIX"

// full asks for the faults at full size; the package comment says which.
var full = flag.Bool("full", false, "the faults at full size: outages of 60 s and 30 s at the default TTL")

// spec is what a worker process is told.
type spec struct {
	URL                            string
	Concurrency                    int
	TTL, Drain, Settle, StuckAfter time.Duration
	Tell                           int    // say so once this many "wait" handlers run; single starts of them are not told
	Group                          string // not a worker, but a consumer of the durable topic "notes"
}

func TestMain(m *testing.M) {
	redistest.ChildMain(childEnv, beChild)
	flag.Parse()
	// They wait, for minutes in all, and compute little: as many at once as there are processors would be too few.
	if err := flag.Set("test.parallel", "10"); err != nil {
		panic(err)
	}
	go watchStandstills()
	os.Exit(m.Run())
}

// beChild is a worker's main: it tells on stdout what its handlers do and what it logs.
func beChild(ctx context.Context, s spec) error {
	if s.Group != "" {
		return consume(ctx, s)
	}
	client, err := queue.Open(ctx, s.URL, queue.Config{Logger: zerolog.New(os.Stdout).Level(zerolog.InfoLevel)})
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	w, err := worker.New(client, childMux(s), worker.Config{Concurrency: s.Concurrency, SessionTTL: s.TTL, Drain: s.Drain, Settle: s.Settle,
		StuckAfter: s.StuckAfter})
	if err != nil {
		return err
	}
	fmt.Println("up", rss())
	return w.Run(ctx)
}

// rss is the most memory that this process had resident so far, KiB on Linux.
func rss() int64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return int64(u.Maxrss)
}

// nap is a job that sleeps, whatever its context says: for a time, or until a moment, whenever it starts.
type nap struct {
	MS    int
	Until time.Time
}

func (nap) Kind() string { return "nap" }

func napUntil(at time.Time) nap { return nap{Until: at} }

func (n nap) sleep() {
	if !n.Until.IsZero() {
		<-time.After(time.Until(n.Until))
	}
	<-time.After(time.Duration(n.MS) * time.Millisecond)
}

// kind is a job without args.
func kind(name string) queue.Raw { return queue.Raw{Name: name, Payload: []byte("{}")} }

func childMux(s spec) *worker.Mux {
	mux := worker.NewMux()
	mux.Use(func(next worker.Handler) worker.Handler {
		return func(ctx context.Context, job *queue.Job[queue.Raw]) error {
			if job.Args.Name != "wait" {
				fmt.Println("start", job.ID, job.Attempt, job.Crashes, time.Now().UnixNano())
			}
			return next(ctx, job)
		}
	})
	mux.HandleKind("block", func(ctx context.Context, job *queue.Job[queue.Raw]) error {
		<-ctx.Done()
		fmt.Println("cause", job.ID, context.Cause(ctx))
		return ctx.Err()
	})
	mux.HandleKind("flaky", func(_ context.Context, job *queue.Job[queue.Raw]) error {
		if job.Attempt == 1 {
			return queue.RetryAfter(errors.New("once more"), 10*time.Millisecond)
		}
		return nil
	})
	mux.HandleKind("poison", func(context.Context, *queue.Job[queue.Raw]) error {
		return syscall.Kill(os.Getpid(), syscall.SIGKILL)
	})
	var waiting atomic.Int64
	mux.HandleKind("wait", func(ctx context.Context, _ *queue.Job[queue.Raw]) error {
		if waiting.Add(1) == int64(s.Tell) {
			fmt.Println("waiting", rss())
		}
		<-ctx.Done()
		return ctx.Err()
	})
	worker.Handle(mux, func(_ context.Context, job *queue.Job[nap]) error {
		job.Args.sleep()
		fmt.Println("end", job.ID)
		return nil
	})
	misbehave(mux)
	return mux
}

// misbehave serves handlers that do what none should.
func misbehave(mux *worker.Mux) {
	mux.HandleKind("panic", func(_ context.Context, job *queue.Job[queue.Raw]) error {
		panic("at the disco")
	})
	mux.HandleKind("goexit", func(context.Context, *queue.Job[queue.Raw]) error {
		runtime.Goexit()
		return nil
	})
	mux.HandleKind("forever", func(context.Context, *queue.Job[queue.Raw]) error { select {} })
	mux.HandleKind("deaf", func(ctx context.Context, job *queue.Job[queue.Raw]) error { // ignores its timeout
		<-time.After(3 * time.Second)
		fmt.Println("end", job.ID)
		return ctx.Err()
	})
	var together atomic.Int64
	mux.HandleKind("meet", func(ctx context.Context, job *queue.Job[queue.Raw]) error { // ends once three run at once
		defer together.Add(-1)
		for most := together.Add(1); ; most = max(most, together.Load()) {
			if most >= 3 {
				fmt.Println("met", job.ID, most)
				<-time.After(200 * time.Millisecond) // the others are to see it too
				return nil
			}
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
}
