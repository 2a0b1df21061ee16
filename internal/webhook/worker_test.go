package webhook

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// TestInWorker: what becomes of jobs that a real worker posts, on a real server.
func TestInWorker(t *testing.T) {
	arrived, left := make(chan struct{}), make(chan struct{})
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch string(body) {
		case `"done"`:
			fmt.Fprint(w, "thanks")
		case `"dead"`:
			http.Error(w, "no such order", http.StatusNotFound)
		case `"later"`:
			w.Header().Set("Retry-After", "3600")
			http.Error(w, "busy", http.StatusServiceUnavailable)
		case `"hangs"`:
			close(arrived)
			<-r.Context().Done()
			close(left)
		}
	})
	ctx, stop := context.WithCancel(t.Context())
	client, err := queue.Open(ctx, redistest.Server(t).URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	mux := worker.NewMux()
	mux.HandleKind("hook", newTest(t, Config{URL: srv.URL}).Handle)
	w, err := worker.New(client, mux, worker.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	enqueue := func(args string) uuid.UUID {
		id, err := client.Enqueue(ctx, queue.Raw{Name: "hook", Payload: []byte(args)}, queue.Retain(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	reaches := func(id uuid.UUID, state queue.State) (s *queue.Snapshot) {
		redistest.WaitFor(t, time.Minute, func() bool {
			var err error
			s, err = client.Get(ctx, queue.DefaultQueue, id.String())
			return err == nil && s.State == state && (state != queue.Scheduled || s.Attempts > 0)
		}, "the job to be "+string(state))
		return s
	}

	if s := reaches(enqueue(`"done"`), queue.Succeeded); string(s.Result) != "thanks" {
		t.Errorf("result %q", s.Result)
	}
	failed := func(s *queue.Snapshot) queue.Failure {
		if len(s.Errors) != 1 {
			t.Fatalf("errors %+v", s.Errors)
		}
		return s.Errors[0]
	}
	s := reaches(enqueue(`"dead"`), queue.DeadState)
	if f := failed(s); f.Error != srv.URL+" answered 404 Not Found" || f.Output != "no such order\n" {
		t.Errorf("dead: %+v", f)
	}
	s = reaches(enqueue(`"later"`), queue.Scheduled)
	if f := failed(s); !strings.HasSuffix(f.Error, "503 Service Unavailable") || f.Output != "busy\n" {
		t.Errorf("later: %+v", f)
	}
	if wait := s.DueAt.Sub(s.Errors[0].At); wait < 3590*time.Second || wait > 3610*time.Second {
		t.Errorf("due %v after the attempt, want the hour that was asked for", wait)
	}
	id := enqueue(`"hangs"`)
	<-arrived
	if _, err := client.Cancel(ctx, queue.DefaultQueue, id.String()); err != nil {
		t.Fatal(err)
	}
	<-left
	reaches(id, queue.Cancelled)
}
