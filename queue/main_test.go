package queue_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// soon bounds the waits for what takes milliseconds on a machine that is not overloaded.
const soon = time.Minute

// TestMain fails the run when a goroutine outlives the tests, and ends the server that the examples share.
func TestMain(m *testing.M) {
	code := m.Run()
	if exampleServer.srv != nil {
		exampleServer.srv.Kill()
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

var exampleServer struct {
	once sync.Once
	srv  *redisserver.Server
}

// exampleURL starts one server for all examples, which have no testing.T to hang one on.
func exampleURL() string {
	exampleServer.once.Do(func() {
		srv, err := redisserver.Start(context.Background(), redisserver.Options{})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		exampleServer.srv = srv
	})
	return exampleServer.srv.URL()
}

// email is the job that most tests enqueue.
type email struct {
	To string `json:"to"`
}

func (email) Kind() string { return "email" }

// open opens a client by URL, closed with the test.
func open(t testing.TB, url string, config ...queue.Config) *queue.Client {
	t.Helper()
	c, err := queue.Open(t.Context(), url, config...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// around makes a client around one that the test has.
func around(t testing.TB, rdb redis.UniversalClient, config ...queue.Config) *queue.Client {
	t.Helper()
	c, err := queue.New(rdb, config...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// behind opens a client that reaches a real server through a proxy.
func behind(t testing.TB, srv *redisserver.Server) (*queue.Client, *redistest.Proxy) {
	t.Helper()
	p := redistest.NewProxy(t, srv.Addr())
	return open(t, "redis://"+p.Addr()), p
}

// withExpress waits until a client has its express connection, which it makes in the background.
func withExpress(t testing.TB, c *queue.Client) {
	t.Helper()
	redistest.WaitFor(t, soon, c.HasExpress, "the express connection")
}

// everywhere runs a test on real servers and on the embedded one under fake time.
func everywhere(t *testing.T, run func(t *testing.T, c *queue.Client)) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) { run(t, open(t, srv.URL())) })
	t.Run("embedded", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { run(t, around(t, redistest.NewBubble(t).Client())) })
	})
}

// enqueue adds a job that must be created.
func enqueue(t testing.TB, c *queue.Client, args queue.Args, options ...queue.Option) string {
	t.Helper()
	id, err := c.Enqueue(t.Context(), args, options...)
	if err != nil {
		t.Fatal(err)
	}
	return id.String()
}

// counts reads a queue's counts.
func counts(t testing.TB, c *queue.Client, name string) queue.Counts {
	t.Helper()
	n, err := c.Counts(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// expectReady checks how many jobs wait, and that no more than these were ever created.
func expectReady(t testing.TB, c *queue.Client, name string, want int64) {
	t.Helper()
	if n := counts(t, c, name); n.Ready != want || n.Enqueued != want {
		t.Errorf("queue %s: %d ready, %d ever created; want %d", name, n.Ready, n.Enqueued, want)
	}
}

// work runs a worker until the answered function is called, or the test ends.
func work(t testing.TB, c *queue.Client, mux *worker.Mux, config worker.Config) (stop func()) {
	t.Helper()
	w, err := worker.New(c, mux, config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("worker: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}
