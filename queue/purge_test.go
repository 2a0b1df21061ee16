package queue_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

func TestPurge(t *testing.T) {
	everywhere(t, func(t *testing.T, c *queue.Client) {
		ctx := t.Context()
		finish := stage(t, c)
		defer finish()
		fill(t, c, 600)
		var told []int64
		gone, err := c.Purge(ctx, "q", queue.Ready, func(n int64) { told = append(told, n) })
		if err != nil || gone != 601 || len(told) != 3 || told[2] != 601 {
			t.Errorf("%d, %v, %v", gone, told, err)
		}
		for _, state := range []queue.State{queue.Ready, queue.Scheduled, queue.DeadState, queue.Finished} {
			want := int64(1)
			if state == queue.Ready {
				want = 0
			}
			if gone, err := c.Purge(ctx, "q", state, nil); err != nil || gone != want {
				t.Errorf("%s: %d, %v", state, gone, err)
			}
		}
		for _, state := range []queue.State{"", queue.Running, queue.Succeeded, "old"} {
			if _, err := c.Purge(ctx, "q", state, nil); !errors.Is(err, queue.ErrInvalid) {
				t.Errorf("%s: %v", state, err)
			}
		}
		if n := counts(t, c, "q"); n.Running != 1 || n.Ready+n.Scheduled+n.Dead+n.Finished != 0 {
			t.Errorf("%+v", n)
		}
	})
}

// TestPurgeWithNewcomers: retries and delayed jobs come to stand before those that are purged, which go all the same; a
// producer that is as quick as the purge does not keep it up for ever.
func TestPurgeWithNewcomers(t *testing.T) {
	everywhere(t, func(t *testing.T, c *queue.Client) {
		fill := func(n int, in time.Duration) {
			if _, err := c.EnqueueMany(t.Context(), queue.Items(make([]email, n)), queue.Queue("q"), queue.In(in)); err != nil {
				t.Fatal(err)
			}
		}
		fill(600, time.Hour)
		calls := 0
		gone, err := c.Purge(t.Context(), "q", queue.Scheduled, func(int64) {
			if calls++; calls <= 2 {
				fill(250, time.Minute)
			}
		})
		if n := counts(t, c, "q"); err != nil || gone != 1100 || n.Scheduled != 0 {
			t.Errorf("%d are gone, %d are there, %v", gone, n.Scheduled, err)
		}
		fill(300, time.Hour)
		gone, err = c.Purge(t.Context(), "q", queue.Scheduled, func(int64) { fill(250, time.Minute) })
		if err != nil || gone != 10_750 {
			t.Errorf("%d are gone, %v", gone, err)
		}
	})
}

func TestDeleteQueue(t *testing.T) {
	everywhere(t, func(t *testing.T, c *queue.Client) {
		ctx := t.Context()
		finish := stage(t, c)
		err := c.DeleteQueue(ctx, "q")
		if want := `delete queue "q": it is in use: jobs: 1 ready, 1 scheduled, 1 running, 1 dead, 1 finished; workers that serve it: 1`; !errors.Is(err, queue.ErrWrongState) || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		for _, state := range []queue.State{queue.Ready, queue.Scheduled, queue.DeadState} {
			if _, err := c.Purge(ctx, "q", state, nil); err != nil {
				t.Fatal(err)
			}
		}
		finish()
		if err := c.DeleteQueue(ctx, "q"); !errors.Is(err, queue.ErrWrongState) || err.Error() != `delete queue "q": it is in use: jobs: 2 finished` {
			t.Error(err)
		}
		if _, err := c.Purge(ctx, "q", queue.Finished, nil); err != nil {
			t.Fatal(err)
		}
		for range 2 { // gone already is no error
			if err := c.DeleteQueue(ctx, "q"); err != nil {
				t.Fatal(err)
			}
			if keys := c.Redis().Keys(ctx, "tm:*").Val(); len(keys) != 1 || keys[0] != "tm:settings" {
				t.Errorf("left are %q", keys)
			}
		}
		enqueue(t, c, email{"x"}, queue.Queue("q"))
		if names, err := c.Queues(ctx); err != nil || len(names) != 1 || counts(t, c, "q").Paused {
			t.Errorf("%q, %v", names, err)
		}
		if err := c.DeleteQueue(ctx, "a b"); !errors.Is(err, queue.ErrInvalid) {
			t.Error(err)
		}
	})
}

// TestDeletedQueueIsListedAgain: a producer that goes on after its queue was deleted writes its name anew, within a minute.
func TestDeletedQueueIsListedAgain(t *testing.T) {
	inBubbleWith(t, func(t *testing.T, c, other *queue.Client) {
		enqueue(t, c, email{"x"}, queue.Queue("q"), queue.ID("a"))
		if err := c.Delete(t.Context(), "q", "a"); err != nil {
			t.Fatal(err)
		}
		if err := other.DeleteQueue(t.Context(), "q"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(61 * time.Second)
		enqueue(t, c, email{"x"}, queue.Queue("q"))
		if names, err := other.Queues(t.Context()); err != nil || len(names) != 1 {
			t.Errorf("%q, %v", names, err)
		}
	})
}

// inBubbleWith runs a test under fake time with two clients, as two processes have.
func inBubbleWith(t *testing.T, run func(t *testing.T, c, other *queue.Client)) {
	synctest.Test(t, func(t *testing.T) {
		b := redistest.NewBubble(t)
		run(t, around(t, b.Client()), around(t, b.Client()))
	})
}
