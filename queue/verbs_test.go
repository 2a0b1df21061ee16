package queue_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// stage is a queue with a job in each state, under own text ids that name it.
func stage(t *testing.T, c *queue.Client) (finish func()) {
	t.Helper()
	mux, block := worker.NewMux(), make(chan struct{})
	mux.HandleKind("die", func(context.Context, *queue.Job[queue.Raw]) error { return queue.Dead(errors.New("beyond repair")) })
	mux.HandleKind("keep", func(_ context.Context, job *queue.Job[queue.Raw]) error { return job.SetResult([]byte("\x00done")) })
	mux.HandleKind("block", func(ctx context.Context, _ *queue.Job[queue.Raw]) error {
		select {
		case <-block:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	stop := work(t, c, mux, worker.Config{Queues: []worker.Queue{{Name: "q"}}, Concurrency: 2})
	enqueue(t, c, queue.Raw{Name: "die"}, queue.Queue("q"), queue.ID("dead"))
	enqueue(t, c, queue.Raw{Name: "keep"}, queue.Queue("q"), queue.ID("kept"), queue.Retain(time.Hour))
	enqueue(t, c, queue.Raw{Name: "block"}, queue.Queue("q"), queue.ID("running"), queue.Retain(time.Hour))
	redistest.WaitFor(t, soon, func() bool {
		n := counts(t, c, "q")
		return n.Dead == 1 && n.Finished == 1 && n.Running == 1
	}, "a job in each state")
	if _, err := c.Pause(t.Context(), "q"); err != nil {
		t.Fatal(err)
	}
	enqueue(t, c, queue.Raw{Name: "keep"}, queue.Queue("q"), queue.ID("ready"))
	enqueue(t, c, queue.Raw{Name: "keep"}, queue.Queue("q"), queue.ID("scheduled"), queue.In(time.Hour))
	return func() { close(block); stop() }
}

// byName looks for a job in the staged queue.
func byName(t testing.TB, c *queue.Client, id string) *queue.Snapshot {
	t.Helper()
	s, err := c.Get(t.Context(), "q", id)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestGetInEachState(t *testing.T) {
	everywhere(t, func(t *testing.T, c *queue.Client) {
		finish := stage(t, c)
		defer finish()
		for id, want := range map[string]queue.State{"ready": queue.Ready, "scheduled": queue.Scheduled, "running": queue.Running,
			"dead": queue.DeadState, "kept": queue.Succeeded} {
			s := byName(t, c, id)
			if s.State != want || s.Key != id || s.Queue != "q" || s.Corrupt != nil {
				t.Errorf("%s: %+v", id, s)
			}
			if again := byName(t, c, s.ID.String()); again.State != want {
				t.Errorf("%s by its UUID is %s", id, again.State)
			}
		}
		if s := byName(t, c, "dead"); s.Reason != "beyond repair" || s.Attempts != 1 || len(s.Errors) != 1 || s.EndedAt.IsZero() {
			t.Errorf("dead: %+v", s)
		}
		if s := byName(t, c, "kept"); string(s.Result) != "\x00done" || s.StartedAt.IsZero() || s.EndedAt.Before(s.StartedAt) || s.KeptUntil.Sub(s.EndedAt) < time.Hour {
			t.Errorf("kept: %+v", s)
		}
		if s := byName(t, c, "running"); time.Since(s.StartedAt) > time.Minute || s.Cancelling {
			t.Errorf("running: %+v", s)
		}
		n := counts(t, c, "q")
		want := queue.Counts{Queue: "q", Ready: 1, Scheduled: 1, Running: 1, Dead: 1, Finished: 1, Paused: true, Enqueued: 5, Succeeded: 1, Failed: n.Failed}
		if n != want {
			t.Errorf("\ngot  %+v\nwant %+v", n, want)
		}
		for _, id := range []string{"none", uuid.NewString()} {
			_, err := c.Get(t.Context(), "q", id)
			if !errors.Is(err, queue.ErrUnknownJob) || err.Error() != fmt.Sprintf(`unknown job: %s in queue "q"`, id) {
				t.Error(err)
			}
		}
		if _, err := c.Get(t.Context(), "q", ""); !errors.Is(err, queue.ErrInvalid) {
			t.Error(err)
		}
	})
}

func TestCancel(t *testing.T) {
	everywhere(t, func(t *testing.T, c *queue.Client) {
		ctx := t.Context()
		finish := stage(t, c)
		defer finish()
		for id, want := range map[string]error{"dead": queue.ErrWrongState, "kept": queue.ErrWrongState, "none": queue.ErrUnknownJob, "": queue.ErrInvalid} {
			if state, err := c.Cancel(ctx, "q", id); !errors.Is(err, want) || state != "" {
				t.Errorf("cancel %q: %s, %v", id, state, err)
			}
		}
		if _, err := c.Cancel(ctx, "q", "dead"); err == nil || err.Error() != `cancel dead in queue "q": the job's state does not allow it: it is dead` {
			t.Error(err)
		}
		for _, id := range []string{"ready", "scheduled"} {
			if state, err := c.Cancel(ctx, "q", id); err != nil || state != queue.Cancelled {
				t.Errorf("cancel %s: %s, %v", id, state, err)
			}
			if _, err := c.Cancel(ctx, "q", id); !errors.Is(err, queue.ErrUnknownJob) {
				t.Errorf("again: %v", err)
			}
		}
		if n := counts(t, c, "q"); n.Ready != 0 || n.Scheduled != 0 || n.Cancelled != 2 {
			t.Errorf("%+v", n)
		}
		if state, err := c.Cancel(ctx, "q", "running"); err != nil || state != queue.Running {
			t.Errorf("%s, %v", state, err)
		}
		redistest.WaitFor(t, soon, func() bool { return byName(t, c, "running").State != queue.Running }, "the handler to be told")
		if s := byName(t, c, "running"); s.State != queue.Cancelled || s.Attempts != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestDelete(t *testing.T) {
	everywhere(t, func(t *testing.T, c *queue.Client) {
		ctx := t.Context()
		finish := stage(t, c)
		defer finish()
		err := c.Delete(ctx, "q", "running")
		if !errors.Is(err, queue.ErrWrongState) || err.Error() != `delete running in queue "q": the job's state does not allow it: it is running` {
			t.Error(err)
		}
		for _, id := range []string{"ready", "scheduled", "dead", "kept"} {
			if err := c.Delete(ctx, "q", id); err != nil {
				t.Errorf("%s: %v", id, err)
			}
			if err := c.Delete(ctx, "q", id); !errors.Is(err, queue.ErrUnknownJob) {
				t.Errorf("%s again: %v", id, err)
			}
		}
		if n := counts(t, c, "q"); n.Ready+n.Scheduled+n.Dead+n.Finished != 0 || n.Running != 1 {
			t.Errorf("%+v", n)
		}
		if n := c.Redis().HLen(ctx, "tm:{q}:results").Val(); n != 0 {
			t.Errorf("%d results are left", n)
		}
	})
}

func TestRedrive(t *testing.T) {
	everywhere(t, func(t *testing.T, c *queue.Client) {
		ctx := t.Context()
		finish := stage(t, c)
		defer finish()
		for id, want := range map[string]error{"ready": queue.ErrWrongState, "running": queue.ErrWrongState, "scheduled": queue.ErrWrongState,
			"kept": queue.ErrWrongState, "none": queue.ErrUnknownJob} {
			if err := c.Redrive(ctx, "q", id); !errors.Is(err, want) {
				t.Errorf("redrive %s: %v", id, err)
			}
		}
		if err := c.Redrive(ctx, "q", "ready"); err == nil || err.Error() != `redrive ready in queue "q": the job's state does not allow it: it is not dead` {
			t.Error(err)
		}
		if err := c.Redrive(ctx, "q", "dead"); err != nil {
			t.Fatal(err)
		}
		if s := byName(t, c, "dead"); s.State != queue.Ready || s.Attempts != 0 || len(s.Errors) != 1 {
			t.Errorf("%+v", s)
		}
		if _, err := c.Resume(ctx, "q"); err != nil {
			t.Fatal(err)
		}
		redistest.WaitFor(t, soon, func() bool { return byName(t, c, "dead").State == queue.DeadState }, "it to be run and dead again")
		if s := byName(t, c, "dead"); s.Attempts != 1 || len(s.Errors) != 2 {
			t.Errorf("%+v", s)
		}
	})
}

func TestPauseAndResume(t *testing.T) {
	everywhere(t, func(t *testing.T, c *queue.Client) {
		ctx := t.Context()
		verbs := []func(context.Context, string) (bool, error){c.Pause, c.Pause, c.Resume, c.Resume, c.Pause}
		for i, want := range []bool{true, false, true, false, true} {
			changed, err := verbs[i](ctx, "q")
			if err != nil || changed != want {
				t.Errorf("step %d: %v, %v", i, changed, err)
			}
			if paused := counts(t, c, "q").Paused; paused != (i < 2 || i == 4) {
				t.Errorf("step %d: paused is %v", i, paused)
			}
		}
		enqueue(t, c, email{"x"}, queue.Queue("q"))
		if jobs := claim(t, c, "q", 1); len(jobs) != 0 {
			t.Error("a paused queue gave a job")
		}
		for _, verb := range []func() error{
			func() error { _, err := c.Pause(ctx, "a b"); return err },
			func() error { _, err := c.Counts(ctx, ""); return err },
			func() error { _, err := c.Cancel(ctx, "a b", "x"); return err },
			func() error { return c.Delete(ctx, "{x}", "x") },
			func() error { return c.Redrive(ctx, "", "x") },
		} {
			if err := verb(); !errors.Is(err, queue.ErrInvalid) {
				t.Error(err)
			}
		}
	})
}

// TestVerbLostReply: it may have been carried out, and is not sent again.
func TestVerbLostReply(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		c, p := behind(t, srv)
		ctx := t.Context()
		for i := range 3 {
			enqueue(t, c, email{"x"}, queue.ID(fmt.Sprint("job", i)))
		}
		for name, verb := range map[string]func() error{
			"cancel": func() error { _, err := c.Cancel(ctx, "default", "job0"); return err },
			"delete": func() error { return c.Delete(ctx, "default", "job1") },
			"pause":  func() error { _, err := c.Pause(ctx, "default"); return err },
		} {
			p.DropReply(redistest.On("EVALSHA", "EVAL"))
			if err := verb(); !errors.Is(err, queue.ErrOutcomeUnknown) || !errors.Is(err, queue.ErrUnavailable) {
				t.Errorf("%s: %v", name, err)
			}
			p.DropReply(nil)
		}
	})
}

// TestVerbArrivesLate: one that is held up for more than 5 s does nothing, so that it cannot undo a later one.
func TestVerbArrivesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := redistest.NewBubble(t)
		slow, c := around(t, b.Client()), around(t, b.Client())
		release := b.HoldRequest(redistest.Once(scripts))
		done := make(chan error, 1)
		go func() { _, err := slow.Pause(context.WithoutCancel(t.Context()), "q"); done <- err }()
		time.Sleep(6 * time.Second)
		release()
		if err := <-done; !errors.Is(err, queue.ErrUnavailable) {
			t.Error(err)
		}
		if counts(t, c, "q").Paused {
			t.Error("the late pause was carried out")
		}
	})
}
