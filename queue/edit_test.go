package queue_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

func in(d time.Duration) *time.Duration { return &d }

func TestEdit(t *testing.T) {
	everywhere(t, func(t *testing.T, c *queue.Client) {
		ctx := t.Context()
		finish := stage(t, c)
		defer finish()
		enqueue(t, c, queue.Raw{Name: "keep", Payload: []byte("old")}, queue.Queue("q"), queue.ID("rich"), queue.Priority(3), queue.Timeout(time.Minute),
			queue.Meta("tenant", "acme"), queue.Retain(time.Hour), queue.ExpireIn(time.Hour))
		before := *byName(t, c, "rich")
		nine := 9
		if err := c.Edit(ctx, "q", "rich", queue.Edit{Payload: []byte("\x00new"), Priority: &nine}); err != nil {
			t.Fatal(err)
		}
		after := *byName(t, c, "rich")
		before.Priority, before.Payload = 9, []byte("\x00new")
		if got, want := fmt.Sprintf("%+v", after), fmt.Sprintf("%+v", before); got != want {
			t.Errorf("\ngot  %s\nwant %s", got, want)
		}
		lists(t, c, queue.ListOptions{State: queue.Ready}, "rich", "ready")

		at := time.Now().Add(2 * time.Hour).Truncate(time.Millisecond)
		for _, id := range []string{"rich", "scheduled"} {
			if err := c.Edit(ctx, "q", id, queue.Edit{RunAt: &at}); err != nil {
				t.Fatal(err)
			}
			if s := byName(t, c, id); s.State != queue.Scheduled || !s.DueAt.Equal(at) {
				t.Errorf("%s: %+v", id, s)
			}
			if err := c.Edit(ctx, "q", id, queue.Edit{RunIn: in(time.Minute), Payload: []byte{}}); err != nil {
				t.Fatal(err)
			}
			if s := byName(t, c, id); s.State != queue.Scheduled || s.DueAt.After(at) || len(s.Payload) != 0 {
				t.Errorf("%s: %+v", id, s)
			}
			for range 2 { // again: it is ready, and there is nothing to do
				if err := c.RunNow(ctx, "q", id); err != nil {
					t.Fatal(err)
				}
				if s := byName(t, c, id); s.State != queue.Ready {
					t.Errorf("%s: %+v", id, s)
				}
			}
		}
		if err := c.Edit(ctx, "q", "dead", queue.Edit{Payload: []byte("mended")}); err != nil {
			t.Fatal(err)
		}
		if s := byName(t, c, "dead"); s.State != queue.DeadState || string(s.Payload) != "mended" || s.Reason != "beyond repair" {
			t.Errorf("%+v", s)
		}
		past := time.Unix(0, 0)
		if err := c.Edit(ctx, "q", "ready", queue.Edit{RunAt: &past}); err != nil || byName(t, c, "ready").State != queue.Ready {
			t.Error(err)
		}
	})
}

func TestEditRefused(t *testing.T) {
	everywhere(t, func(t *testing.T, c *queue.Client) {
		ctx := t.Context()
		finish := stage(t, c)
		defer finish()
		payload := queue.Edit{Payload: []byte("x")}
		ten, now := 10, time.Now()
		c.Redis().HSet(ctx, "tm:{q}:jobs", "0123456789abcdef", "broken envelope")
		c.Redis().RPush(ctx, "tm:{q}:ready:0", "0123456789abcdef")
		for _, x := range []struct {
			id   string
			edit queue.Edit
			want error
			text string
		}{
			{"running", payload, queue.ErrWrongState, `edit running in queue "q": the job's state does not allow it: it is running`},
			{"kept", payload, queue.ErrWrongState, `edit kept in queue "q": the job's state does not allow it: it is finished`},
			{"none", payload, queue.ErrUnknownJob, `edit: unknown job: none in queue "q"`},
			{"dead", queue.Edit{RunIn: in(0)}, queue.ErrWrongState,
				`edit dead in queue "q": the job's state does not allow it: it is dead and has no time to run; redrive it`},
			{"ready", queue.Edit{}, queue.ErrInvalid, "invalid edit: nothing to change; allowed: a payload, a time or a priority"},
			{"ready", queue.Edit{RunAt: &now, RunIn: in(1)}, queue.ErrInvalid, "invalid edit: RunAt and RunIn; allowed: one of them"},
			{"ready", queue.Edit{RunIn: in(-1)}, queue.ErrInvalid, "invalid in: -1ns; allowed: 0 or more"},
			{"ready", queue.Edit{Priority: &ten}, queue.ErrInvalid, "invalid priority: 10; allowed: 0 to 9, 9 first"},
			{"ready", queue.Edit{Payload: make([]byte, 1<<20+1)}, queue.ErrPayloadTooLarge,
				"payload too large: 1048577 bytes; allowed: 1048576 (Config.MaxPayload)"},
			{"", payload, queue.ErrInvalid, ""},
			{"30313233-3435-3637-3839-616263646566", payload, queue.ErrWrongState, ""},
		} {
			err := c.Edit(ctx, "q", x.id, x.edit)
			if !errors.Is(err, x.want) || x.text != "" && err.Error() != x.text {
				t.Errorf("%s: %v, want %v %s", x.id, err, x.want, x.text)
			}
		}
		for _, id := range []string{"running", "dead", "kept"} {
			if err := c.RunNow(ctx, "q", id); !errors.Is(err, queue.ErrWrongState) {
				t.Errorf("run %s now: %v", id, err)
			}
		}
		if s := byName(t, c, "dead"); !s.DueAt.IsZero() {
			t.Errorf("%+v", s)
		}
	})
}

// TestEditConflict: what changed between reading the job and writing it is not overwritten.
func TestEditConflict(t *testing.T) {
	everywhere(t, func(t *testing.T, c *queue.Client) {
		ctx := t.Context()
		enqueue(t, c, email{"x"}, queue.Queue("q"), queue.ID("a"))
		done := make(chan error, 8)
		for i := range 8 {
			go func() {
				done <- c.Edit(context.WithoutCancel(ctx), "q", "a", queue.Edit{Payload: fmt.Appendf(nil, `{"to":"%d"}`, i)})
			}()
		}
		for range 8 {
			if err := <-done; err != nil && !errors.Is(err, queue.ErrConflict) {
				t.Error(err)
			}
		}
		if s := byName(t, c, "a"); s.State != queue.Ready || len(s.Payload) != len(`{"to":"0"}`) {
			t.Errorf("%+v", s)
		}
	})
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		c, p := behind(t, srv)
		other := open(t, srv.URL())
		enqueue(t, c, email{"x"}, queue.Queue("q"), queue.ID("a"))
		enqueue(t, c, email{"x"}, queue.Queue("q"), queue.ID("b"))
		if err := c.Edit(t.Context(), "q", "b", queue.Edit{Payload: []byte("1")}); err != nil { // the server knows the scripts
			t.Fatal(err)
		}
		calls := 0
		release := p.HoldRequest(func(cmd string, _ []string) bool {
			if cmd == "EVALSHA" {
				calls++
			}
			return cmd == "EVALSHA" && calls == 2 // the first one reads
		})
		done := make(chan error, 1)
		go func() {
			done <- c.Edit(context.WithoutCancel(t.Context()), "q", "a", queue.Edit{Payload: []byte("mine")})
		}()
		redistest.WaitFor(t, soon, func() bool { return p.Held() > 0 }, "the edit to be on its way")
		if err := other.Edit(t.Context(), "q", "a", queue.Edit{Payload: []byte("theirs")}); err != nil {
			t.Fatal(err)
		}
		release()
		if err := <-done; !errors.Is(err, queue.ErrConflict) || err.Error() != `edit a in queue "q": conflict: it changed meanwhile` {
			t.Error(err)
		}
		if s := byName(t, c, "a"); string(s.Payload) != "theirs" {
			t.Errorf("%+v", s)
		}
	})
}
