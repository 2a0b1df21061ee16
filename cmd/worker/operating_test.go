package main_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// scene is what the recipes of docs/operating.md meet: the jobs they name, a queue nobody needs, and a worker, which has no
// handler for mail.
func scene(t *testing.T, url string) (client *queue.Client, serving *process) {
	t.Helper()
	client = open(t, url)
	mux := worker.NewMux()
	mux.HandleKind("mail.send", func(_ context.Context, job *queue.Job[queue.Raw]) error { return errors.New(string(job.Args.Payload)) })
	w, err := worker.New(client, mux, worker.Config{ExitWhenEmpty: true})
	if err != nil {
		t.Fatal(err)
	}
	enqueue(t, client, "mail.send", `dial 10.0.0.7: connection refused`, queue.ID("mail-17"), queue.MaxAttempts(1))
	enqueue(t, client, "mail.send", `dial 10.0.0.8: connection refused`, queue.ID("mail-18"), queue.MaxAttempts(1))
	enqueue(t, client, "mail.send", `mailbox full`, queue.ID("mail-19"), queue.MaxAttempts(1))
	if err := w.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	enqueue(t, client, "noop", `{}`, queue.ID("report-2027-01-30"), queue.Retain(time.Hour))
	serving = start(t, nil, workerPath, "run", "--redis", url)
	redistest.WaitFor(t, soon, func() bool { return counts(t, client, queue.DefaultQueue).Finished == 1 }, "a report")
	enqueue(t, client, "noop", `{"month":"2026-12"}`, queue.ID("report-2027-01-31"), queue.In(24*time.Hour))
	for i := range 3 {
		enqueue(t, client, "mail.newsletter", `{}`, queue.ID(fmt.Sprint("news-", i)), queue.Meta("tenant", "acme"), queue.In(time.Hour))
	}
	enqueue(t, client, "noop", `{}`, queue.Queue("old-reports"))
	enqueue(t, client, "noop", `{}`, queue.Queue("old-reports"), queue.In(time.Hour))
	return client, serving
}

// The commands of the operator's guide work, in their order, each with exit code 0.
func TestOperatingGuide(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "operating.md"))
	if err != nil {
		t.Fatal(err)
	}
	srv := redistest.Server(t)
	client, serving := scene(t, srv.URL())
	env := environment(t, "REDIS_URL="+srv.URL())
	env[0] = "PATH=" + filepath.Dir(workerPath) + string(filepath.ListSeparator) + os.Getenv("PATH")
	redistest.WaitFor(t, soon, func() bool { return len(workers(t, client)) == 1 }, "the worker is listed")
	instance := workers(t, client)[0].Instance
	ran := 0
	for _, block := range strings.Split(string(text), "```sh\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		for command := range strings.Lines(block) {
			// The guide's worker is another one.
			cmd := exec.Command("sh", "-c", strings.ReplaceAll(command, "0197c1f0", instance[:8]))
			cmd.Env = env
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s%v\n%s", command, err, out)
			}
			ran++
		}
	}
	if ran < 30 {
		t.Errorf("only %d commands found", ran)
	}
	serving.wantCode(0) // the guide has stopped it
	all, err := client.Queues(t.Context())
	if err != nil || strings.Join(all, " ") != "default" {
		t.Errorf("queues: %v, %v; the guide has deleted old-reports", all, err)
	}
	n := counts(t, client, queue.DefaultQueue)
	if n.Dead != 0 || n.Cancelled != 3 || n.Paused {
		t.Errorf("%+v; want no dead and the newsletters cancelled", n)
	}
	if _, err := client.Get(t.Context(), queue.DefaultQueue, "mail-19"); !errors.Is(err, queue.ErrUnknownJob) {
		t.Errorf("mail-19: %v; want it deleted", err)
	}
	if s := get(t, client, "mail-18"); s.State == queue.DeadState {
		t.Error("mail-18 was not redriven")
	}
}
