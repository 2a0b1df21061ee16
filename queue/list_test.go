package queue_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// keysOf lists the jobs that the options choose, by their own ids.
func keysOf(t testing.TB, c *queue.Client, name string, o queue.ListOptions) []string {
	t.Helper()
	var out []string
	for s, err := range c.List(t.Context(), name, o) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, s.Key)
	}
	return out
}

// lists holds what the options choose against want.
func lists(t testing.TB, c *queue.Client, o queue.ListOptions, want ...string) {
	t.Helper()
	if got := keysOf(t, c, "q", o); !slices.Equal(got, want) {
		t.Errorf("%+v: got %q, want %q", o, got, want)
	}
}

func TestListInEachState(t *testing.T) {
	everywhere(t, func(t *testing.T, c *queue.Client) {
		finish := stage(t, c)
		defer finish()
		for _, state := range []queue.State{queue.Ready, queue.Scheduled, queue.Running, queue.DeadState, queue.Succeeded} {
			id := map[queue.State]string{queue.DeadState: "dead", queue.Succeeded: "kept"}[state]
			if id == "" {
				id = string(state)
			}
			n := 0
			for s, err := range c.List(t.Context(), "q", queue.ListOptions{State: state}) {
				if err != nil {
					t.Fatal(err)
				}
				want := *byName(t, c, id)
				want.Result, want.Cursor = nil, s.Cursor
				if got := fmt.Sprintf("%+v", *s); got != fmt.Sprintf("%+v", want) || s.Cursor == "" {
					t.Errorf("%s:\ngot  %s\nwant %+v", state, got, want)
				}
				n++
			}
			if n != 1 {
				t.Errorf("%d jobs are %s", n, state)
			}
		}
		lists(t, c, queue.ListOptions{State: queue.Finished}, "kept")
		lists(t, c, queue.ListOptions{State: queue.Cancelled})
		lists(t, c, queue.ListOptions{State: queue.Suspect})
		lists(t, c, queue.ListOptions{}, "scheduled", "ready", "running", "dead", "kept")
		lists(t, c, queue.ListOptions{Limit: 3}, "scheduled", "ready", "running")
		for s, err := range c.List(t.Context(), "q", queue.ListOptions{Limit: 2}) {
			if err != nil {
				t.Fatal(err)
			}
			if s.Key == "ready" {
				lists(t, c, queue.ListOptions{Cursor: s.Cursor}, "running", "dead", "kept")
				lists(t, c, queue.ListOptions{Cursor: s.Cursor, State: queue.Ready})
			}
		}
		if got := keysOf(t, c, "never.used", queue.ListOptions{}); len(got) != 0 {
			t.Errorf("an unused queue has %q", got)
		}
	})
}

func TestListFilters(t *testing.T) {
	everywhere(t, func(t *testing.T, c *queue.Client) {
		now := time.Now().Truncate(time.Millisecond)
		for i := range 12 {
			kind := []string{"image.resize", "image.crop", "mail"}[i%3]
			enqueue(t, c, queue.Raw{Name: kind}, queue.Queue("q"), queue.ID(fmt.Sprint("r", i)), queue.Priority(i%2),
				queue.Meta("tenant", fmt.Sprint("t", i%2)), queue.Meta("n", fmt.Sprint(i)))
			enqueue(t, c, queue.Raw{Name: kind}, queue.Queue("q"), queue.ID(fmt.Sprint("s", i)), queue.At(now.Add(time.Duration(i+1)*time.Hour)))
		}
		o := queue.ListOptions{State: queue.Ready}
		lists(t, c, o, "r1", "r3", "r5", "r7", "r9", "r11", "r0", "r2", "r4", "r6", "r8", "r10")
		o.Kind = "image.*"
		lists(t, c, o, "r1", "r3", "r7", "r9", "r0", "r4", "r6", "r10")
		o.Meta = map[string]string{"tenant": "t1"}
		lists(t, c, o, "r1", "r3", "r7", "r9")
		o.Meta["n"] = "3"
		lists(t, c, o, "r3")
		o.Meta["none"] = ""
		lists(t, c, o)
		lists(t, c, queue.ListOptions{State: queue.Ready, Kind: "image.crop"}, "r1", "r7", "r4", "r10")
		lists(t, c, queue.ListOptions{State: queue.Ready, Kind: "image"})
		lists(t, c, queue.ListOptions{State: queue.Ready, Kind: "*", Limit: 1}, "r1")
		lists(t, c, queue.ListOptions{State: queue.Ready, Since: time.Now().Add(time.Hour)})
		lists(t, c, queue.ListOptions{State: queue.Ready, Until: now.Add(time.Hour), Limit: 1}, "r1")

		o = queue.ListOptions{State: queue.Scheduled, Since: now.Add(5 * time.Hour), Until: now.Add(8 * time.Hour)}
		lists(t, c, o, "s4", "s5", "s6")
		o.Since = o.Since.Add(time.Nanosecond)
		o.Until = o.Until.Add(time.Nanosecond)
		lists(t, c, o, "s5", "s6", "s7")
		o.Kind = "image.crop"
		lists(t, c, o, "s7")
		o.Until = time.UnixMilli(0)
		o.Since = time.Time{}
		lists(t, c, o)
	})
}

func TestListByError(t *testing.T) {
	everywhere(t, func(t *testing.T, c *queue.Client) {
		finish := stage(t, c)
		defer finish()
		before := time.Now().Add(-time.Hour)
		for text, want := range map[string][]string{"beyond": {"dead"}, "REPAIR": {"dead"}, "disk full": nil} {
			lists(t, c, queue.ListOptions{State: queue.DeadState, Error: text}, want...)
			lists(t, c, queue.ListOptions{Error: text}, want...)
		}
		lists(t, c, queue.ListOptions{State: queue.DeadState, Since: before}, "dead")
		lists(t, c, queue.ListOptions{State: queue.DeadState, Until: before})
		lists(t, c, queue.ListOptions{State: queue.Finished, Since: before}, "kept")
		lists(t, c, queue.ListOptions{State: queue.Finished, Until: before})
		lists(t, c, queue.ListOptions{State: queue.Running, Since: before}, "running")
		lists(t, c, queue.ListOptions{State: queue.Running, Until: before})
	})
}

func TestListInvalid(t *testing.T) {
	everywhere(t, func(t *testing.T, c *queue.Client) {
		enqueue(t, c, email{"x"}, queue.Queue("q"))
		cursor := ""
		for s := range c.List(t.Context(), "q", queue.ListOptions{State: queue.Ready}) {
			cursor = s.Cursor
		}
		for want, o := range map[string]queue.ListOptions{
			`invalid state: "done"; allowed: ready, suspect, scheduled, running, dead, finished, succeeded, cancelled, expired`: {State: "done"},
			`invalid kind: "*.resize"; allowed: a kind, or a prefix of kinds with one * at its end`:                             {Kind: "*.resize"},
			`invalid limit: -1; allowed: 0 (all) or more`:                                                                       {Limit: -1},
			`invalid cursor: "x"; allowed: what an earlier listing gave`:                                                        {Cursor: "x"},
			`invalid cursor: "` + cursor + `"; allowed: one of a listing of the same state`:                                     {Cursor: cursor, State: queue.DeadState},
			`invalid until: 2030-01-01T00:00:00Z; allowed: a time after since`: {Since: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC),
				Until: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)},
		} {
			n := 0
			for s, err := range c.List(t.Context(), "q", o) {
				if n++; s != nil || !errors.Is(err, queue.ErrInvalid) || err.Error() != want {
					t.Errorf("got %v, want %s", err, want)
				}
			}
			if n != 1 {
				t.Errorf("%s: %d answers", want, n)
			}
		}
		for _, bad := range []string{"", ".", strings.Repeat(".", 5), strings.Replace(cursor, ".0.", ".x.", 1), cursor + ".", "2" + cursor[1:],
			strings.Replace(cursor, ".0.", ".99.", 1)} {
			if bad == "" {
				continue
			}
			for s, err := range c.List(t.Context(), "q", queue.ListOptions{Cursor: bad}) {
				if s != nil || !errors.Is(err, queue.ErrInvalid) {
					t.Errorf("%q: %v, %v", bad, s, err)
				}
			}
		}
		for _, err := range c.List(t.Context(), "other", queue.ListOptions{Cursor: cursor}) {
			if !errors.Is(err, queue.ErrInvalid) {
				t.Error(err)
			}
		}
		for _, err := range c.List(t.Context(), "a b", queue.ListOptions{}) {
			if !errors.Is(err, queue.ErrInvalid) {
				t.Error(err)
			}
		}
	})
}

// TestListStops: with the loop, with its context, and with Redis gone, which it waits for a little.
func TestListStops(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		c, p := behind(t, srv)
		for i := range 250 {
			enqueue(t, c, email{"x"}, queue.Queue("q"), queue.ID(fmt.Sprint(i)))
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		n := 0
		for s, err := range c.List(ctx, "q", queue.ListOptions{}) {
			if n++; n == 3 {
				cancel()
			}
			if n == 4 && (s != nil || !errors.Is(err, context.Canceled)) || n > 4 {
				t.Errorf("answer %d: %v, %v", n, s, err)
			}
		}
		n = 0
		for _, err := range c.List(t.Context(), "q", queue.ListOptions{}) {
			if err != nil {
				t.Fatal(err)
			}
			if n++; n == 50 { // the next page's answer is lost
				p.DropReply(redistest.Once(redistest.On("EVALSHA")))
			}
		}
		if n != 250 {
			t.Errorf("%d jobs", n)
		}
	})
}
