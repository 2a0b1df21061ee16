package queue_test

import (
	"bytes"
	"context"
	"os/exec"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// python finds an interpreter that has the library. This is the one test that may be left out: nothing of ours is missing
// where it is.
func python(t testing.TB) string {
	t.Helper()
	for _, path := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(path, "-c", "import redis.asyncio").Run() == nil {
			return path
		}
	}
	t.Skip("not run: no python3 with redis.asyncio; install it: apt-get install -y python3-redis")
	return ""
}

// TestPythonProducer: a program that knows docs/protocol.md and nothing of ours enqueues with one script call, and a real
// worker runs the job with its args intact.
func TestPythonProducer(t *testing.T) {
	interpreter := python(t)
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	long := bytes.Repeat(every, 300) // its length takes three bytes of varint
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		m := redistest.NewMonitor(t, srv)
		produce := func(args []byte) (id string) {
			cmd := exec.Command(interpreter, "testdata/producer.py", srv.URL(), "foreign", "from.python", "../internal/broker/lua")
			var stderr bytes.Buffer
			cmd.Stdin, cmd.Stderr = bytes.NewReader(args), &stderr
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v\n%s", err, stderr.String())
			}
			return strings.TrimSpace(string(out))
		}
		want := map[string][]byte{produce(every): every}
		if calls, texts := m.Count("EVALSHA"), m.Count("EVAL"); calls != 1 || texts != 1 {
			t.Errorf("on a server that has not seen the script: %d EVALSHA, %d EVAL", calls, texts)
		}
		m.Reset()
		want[produce(long)] = long
		if calls, texts := m.Count("EVALSHA"), m.Count("EVAL"); calls != 1 || texts != 0 {
			t.Errorf("after that: %d EVALSHA, %d EVAL", calls, texts)
		}
		c := open(t, srv.URL())
		if names, err := c.Queues(t.Context()); err != nil || len(names) != 1 || names[0] != "foreign" {
			t.Errorf("queues %q, %v", names, err)
		}
		type seen struct {
			info queue.Info
			args []byte
		}
		ran := make(chan seen, 10)
		mux := worker.NewMux()
		mux.HandleKind("from.python", func(_ context.Context, job *queue.Job[queue.Raw]) error {
			ran <- seen{job.Info, bytes.Clone(job.Args.Payload)}
			return nil
		})
		stop := work(t, c, mux, worker.Config{Queues: []worker.Queue{{Name: "foreign"}}})
		redistest.WaitFor(t, soon, func() bool { return counts(t, c, "foreign").Succeeded == 2 }, "both jobs to be done")
		stop()
		if len(ran) != 2 {
			t.Errorf("%d runs", len(ran))
		}
		for range len(ran) {
			job := <-ran
			if !bytes.Equal(job.args, want[job.info.ID.String()]) || job.info.CreatedAt.IsZero() || job.info.Attempt != 1 {
				t.Errorf("%+v with %d bytes of args", job.info, len(job.args))
			}
			delete(want, job.info.ID.String())
		}
		if len(want) != 0 {
			t.Errorf("%d jobs never ran", len(want))
		}
	})
}
