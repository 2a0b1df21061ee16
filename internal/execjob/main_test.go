package execjob

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/internal/supervise"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

func TestMain(m *testing.M) {
	if supervise.Main() {
		return
	}
	if spec := os.Getenv(workerEnv); spec != "" {
		if err := beWorker(spec); err != nil {
			fmt.Println("failed", err)
			os.Exit(1)
		}
		return
	}
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0") // of supervisors under the race detector: else each takes a second to end
	os.Exit(m.Run())
}

// rig runs commands as handlers.
type rig struct {
	testing.TB
	sup *supervise.Supervisor
	log journal
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{TB: t}
	sup, err := supervise.Start(context.Background(), zerolog.New(&r.log))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sup.Close)
	r.sup = sup
	return r
}

// attempt is one call of a handler.
type attempt struct {
	rig    *rig
	cfg    Config
	info   queue.Info
	args   string
	ctx    context.Context
	result []byte
	output string // kept of stderr
}

// shell is an attempt at a job whose command is a script.
func (r *rig) shell(script string) *attempt {
	return &attempt{
		rig: r, cfg: Config{Command: []string{"/bin/sh", "-c", script}}, ctx: context.Background(), args: "{}",
		info: queue.Info{ID: uuid.New(), Kind: "k", Queue: "q", Attempt: 1},
	}
}

func (a *attempt) handler() worker.Handler {
	a.rig.Helper()
	h, err := New(a.cfg, a.rig.sup)
	if err != nil {
		a.rig.Fatal(err)
	}
	return h
}

// run answers the handler's error.
func (a *attempt) run() error {
	a.rig.Helper()
	return a.by(a.handler())
}

func (a *attempt) by(h worker.Handler) error {
	log := zerolog.New(&a.rig.log).With().Stringer("job_id", a.info.ID).Logger()
	job := queue.NewJob(a.info, queue.Raw{Name: a.info.Kind, Payload: []byte(a.args)}, 1)
	err := h(log.WithContext(a.ctx), job)
	a.result = job.Result()
	var kept *queue.OutputError
	if errors.As(err, &kept) {
		a.output = kept.Output
	}
	return err
}

// journal is a log to look into. Safe for concurrent use.
type journal struct {
	mu    sync.Mutex
	lines []map[string]any
}

func (j *journal) Write(b []byte) (int, error) {
	line := make(map[string]any)
	if err := json.Unmarshal(b, &line); err != nil {
		return 0, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
	return len(b), nil
}

// with lists the lines whose message begins with a text.
func (j *journal) with(text string) (found []map[string]any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, line := range j.lines {
		if message, _ := line["message"].(string); strings.HasPrefix(message, text) {
			found = append(found, line)
		}
	}
	return found
}

// within fails the test when fn takes longer; it is no measurement.
func (r *rig) within(d time.Duration, fn func()) {
	r.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn()
	}()
	select {
	case <-done:
	case <-time.After(d):
		r.Fatalf("it took longer than %v", d)
	}
}

// workerEnv makes this test binary a worker process: it holds a workerSpec.
const workerEnv = "TIDEMILL_TEST_EXEC_WORKER"

type workerSpec struct {
	URL    string
	Config Config
}

// beWorker is a worker's main. It runs the kind "job" by a command and ends with its parent.
func beWorker(text string) error {
	var spec workerSpec
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(3)
	}()
	sup, err := supervise.Start(ctx, zerolog.Nop())
	if err != nil {
		return err
	}
	defer sup.Close()
	h, err := New(spec.Config, sup)
	if err != nil {
		return err
	}
	client, err := queue.Open(ctx, spec.URL)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	mux := worker.NewMux()
	mux.HandleKind("job", h, worker.RetainResult(time.Hour))
	w, err := worker.New(client, mux, worker.Config{Concurrency: 16, SessionTTL: 2 * time.Second, Drain: 10 * time.Second})
	if err != nil {
		return err
	}
	return w.Run(ctx)
}
