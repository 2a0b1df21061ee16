package queue_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// How long work waits at the head of a queue: since it was due, or created.
func TestHeads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := redistest.NewBubble(t)
		t.Cleanup(func() { time.Sleep(3 * time.Second) }) // go-redis's own goroutines
		c, err := queue.New(b.Client())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		began := time.Now()
		look := func(oldest, due time.Duration) {
			t.Helper()
			h, err := c.Heads(context.Background(), "default")
			if err != nil || h.Queue != "default" || time.Until(h.Now).Abs() > 10*time.Millisecond || h.Sessions != 0 {
				t.Fatalf("%+v, %v", h, err)
			}
			for what, at := range map[string][2]time.Time{"oldest": {h.Oldest, began.Add(oldest)}, "next due": {h.NextDue, began.Add(due)}} {
				none := what == "oldest" && oldest < 0 || what == "next due" && due < 0
				if none != at[0].IsZero() || !none && at[0].Sub(at[1]).Abs() > 10*time.Millisecond {
					t.Errorf("%s: %v, want %v", what, at[0], at[1])
				}
			}
		}
		look(-1, -1)
		enqueue(t, c, queue.Raw{Name: "k"}, queue.At(began.Add(-time.Hour)), queue.Priority(2)) // past: now
		time.Sleep(time.Minute)
		enqueue(t, c, queue.Raw{Name: "k"}, queue.Priority(9))
		enqueue(t, c, queue.Raw{Name: "k"}, queue.In(time.Hour))
		look(0, time.Hour+time.Minute)
		time.Sleep(2 * time.Hour) // nobody makes it ready
		look(0, time.Hour+time.Minute)
		if _, err := c.Purge(context.Background(), "default", queue.Ready, nil); err != nil {
			t.Fatal(err)
		}
		look(-1, time.Hour+time.Minute)
		if _, err := c.Heads(context.Background(), "no such name"); !errors.Is(err, queue.ErrInvalid) {
			t.Error(err)
		}
	})
}
