package queue_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemill/tidemill/internal/redisserver"
	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
)

// fill enqueues n jobs, every third of them of kind "other", under the ids 0 to n-1.
func fill(t testing.TB, c *queue.Client, n int, options ...queue.Option) {
	t.Helper()
	var batch []queue.Item
	for i := range n {
		kind := "some"
		if i%3 == 0 {
			kind = "other"
		}
		batch = append(batch, queue.Item{Args: queue.Raw{Name: kind}, Options: append([]queue.Option{queue.Queue("q"), queue.ID(fmt.Sprint(i))}, options...)})
	}
	if _, err := c.EnqueueMany(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
}

// counted holds what a bulk verb did against want, in jobs looked at, matched, done and skipped.
func counted(t testing.TB, r queue.BulkResult, err error, want ...int64) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if got := []int64{r.Looked, r.Matched, r.Done, r.Skipped}; fmt.Sprint(got) != fmt.Sprint(want) || r.Cursor != "" {
		t.Errorf("looked at, matched, done, skipped %v, want %v; cursor %q", got, want, r.Cursor)
	}
}

func TestCancelMany(t *testing.T) {
	everywhere(t, func(t *testing.T, c *queue.Client) {
		ctx := t.Context()
		finish := stage(t, c)
		defer finish()
		fill(t, c, 250)
		enqueue(t, c, queue.Raw{Name: "other"}, queue.Queue("q"), queue.In(time.Hour))
		before := counts(t, c, "q")
		pages := 0
		b := queue.Bulk{ListOptions: queue.ListOptions{Kind: "oth*"}, DryRun: true, Progress: func(p queue.BulkProgress) {
			if pages++; p.Of != 254 || p.Looked > p.Of {
				t.Errorf("%+v", p)
			}
		}}
		r, err := c.CancelMany(ctx, "q", b)
		counted(t, r, err, 254, 85, 0, 0)
		if n := counts(t, c, "q"); n != before || pages < 4 {
			t.Errorf("a dry run in %d pages: %+v", pages, n)
		}
		b.DryRun, b.Progress = false, nil
		r, err = c.CancelMany(ctx, "q", b)
		counted(t, r, err, 254, 85, 85, 0)
		r, err = c.CancelMany(ctx, "q", b)
		counted(t, r, err, 169, 0, 0, 0)
		if n := counts(t, c, "q"); n.Ready != 167 || n.Scheduled != 1 || n.Cancelled != 85 {
			t.Errorf("%+v", n)
		}
		r, err = c.CancelMany(ctx, "q", queue.Bulk{ListOptions: queue.ListOptions{Kind: "block"}})
		counted(t, r, err, 169, 1, 1, 0)
		redistest.WaitFor(t, soon, func() bool { return byName(t, c, "running").State == queue.Cancelled }, "the handler to be told")
		r, err = c.CancelMany(ctx, "q", queue.Bulk{ListOptions: queue.ListOptions{State: queue.Ready}})
		counted(t, r, err, 167, 167, 167, 0)
		if n := counts(t, c, "q"); n.Ready != 0 || n.Scheduled != 1 {
			t.Errorf("%+v", n)
		}
	})
}

func TestDeleteMany(t *testing.T) {
	everywhere(t, func(t *testing.T, c *queue.Client) {
		ctx := t.Context()
		finish := stage(t, c)
		defer finish()
		for _, state := range []queue.State{queue.Ready, queue.Scheduled, queue.DeadState, queue.Succeeded} {
			r, err := c.DeleteMany(ctx, "q", queue.Bulk{ListOptions: queue.ListOptions{State: state}})
			counted(t, r, err, 1, 1, 1, 0)
		}
		if n := counts(t, c, "q"); n.Ready+n.Scheduled+n.Dead+n.Finished != 0 || n.Running != 1 {
			t.Errorf("%+v", n)
		}
		for text, call := range map[string]func() (queue.BulkResult, error){
			`invalid state: ""; allowed: to delete scheduled, suspect, ready, dead, finished, succeeded, cancelled, expired`: func() (queue.BulkResult, error) {
				return c.DeleteMany(ctx, "q", queue.Bulk{})
			},
			`invalid state: "dead"; allowed: to cancel scheduled, suspect, ready, running`: func() (queue.BulkResult, error) {
				return c.CancelMany(ctx, "q", queue.Bulk{ListOptions: queue.ListOptions{State: queue.DeadState}})
			},
			`invalid state: "ready"; allowed: to redrive dead`: func() (queue.BulkResult, error) {
				return c.RedriveMany(ctx, "q", queue.Bulk{ListOptions: queue.ListOptions{State: queue.Ready}})
			},
			`invalid limit: -1; allowed: 0 (all) or more`: func() (queue.BulkResult, error) {
				return c.RedriveMany(ctx, "q", queue.Bulk{ListOptions: queue.ListOptions{Limit: -1}})
			},
		} {
			if r, err := call(); !errors.Is(err, queue.ErrInvalid) || err.Error() != text || r != (queue.BulkResult{}) {
				t.Errorf("got %v, want %s", err, text)
			}
		}
	})
}

// TestRedriveMany: those that die again while it goes on are not met again.
func TestRedriveMany(t *testing.T) {
	everywhere(t, func(t *testing.T, c *queue.Client) {
		ctx := t.Context()
		finish := stage(t, c)
		defer finish()
		if _, err := c.Resume(ctx, "q"); err != nil {
			t.Fatal(err)
		}
		for i := range 320 {
			enqueue(t, c, queue.Raw{Name: "die"}, queue.Queue("q"), queue.ID(fmt.Sprint(i)))
		}
		redistest.WaitFor(t, soon, func() bool { return counts(t, c, "q").Dead == 321 }, "all to be dead")
		failed := counts(t, c, "q").Failed
		r, err := c.RedriveMany(ctx, "q", queue.Bulk{ListOptions: queue.ListOptions{Error: "beyond repair"}, Progress: func(p queue.BulkProgress) {
			redistest.WaitFor(t, soon, func() bool { return counts(t, c, "q").Failed == failed+p.Done }, "those redriven to be dead again")
		}})
		counted(t, r, err, 321, 321, 321, 0)
		if n := counts(t, c, "q"); n.Dead != 321 || n.Failed != failed+321 {
			t.Errorf("%+v", n)
		}
	})
}

// TestRedriveManyWithinAMillisecond: also those that die again at once are not met again. In a bubble time stands still
// while there is work to do: all of it falls into one millisecond, that of the newest death.
func TestRedriveManyWithinAMillisecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := around(t, redistest.NewBubble(t).Client())
		finish := stage(t, c)
		defer finish()
		if _, err := c.Resume(t.Context(), "q"); err != nil {
			t.Fatal(err)
		}
		die := func(n int) {
			t.Helper()
			dead := counts(t, c, "q").Dead + int64(n)
			for range n {
				enqueue(t, c, queue.Raw{Name: "die"}, queue.Queue("q"))
			}
			for counts(t, c, "q").Dead < dead {
				time.Sleep(time.Microsecond)
			}
		}
		die(99)
		time.Sleep(time.Second)
		die(1) // on the listing's second page, where its end is
		failed := counts(t, c, "q").Failed
		r, err := c.RedriveMany(t.Context(), "q", queue.Bulk{Progress: func(p queue.BulkProgress) {
			for counts(t, c, "q").Failed < failed+p.Done {
				time.Sleep(time.Microsecond)
			}
		}})
		counted(t, r, err, 101, 101, 101, 0)
	})
}

// TestBulkResumes: ended early, it says where to go on, and then nothing is left undone or done twice.
func TestBulkResumes(t *testing.T) {
	everywhere(t, func(t *testing.T, c *queue.Client) {
		fill(t, c, 450)
		some := queue.Bulk{ListOptions: queue.ListOptions{Kind: "some"}}
		ctx, interrupt := context.WithCancel(t.Context())
		defer interrupt()
		some.Progress = func(p queue.BulkProgress) {
			if p.Looked == 200 {
				interrupt()
			}
		}
		first, err := c.CancelMany(ctx, "q", some)
		if !errors.Is(err, context.Canceled) || first.Looked != 200 || first.Done != first.Matched || first.Cursor == "" {
			t.Fatalf("%+v, %v", first, err)
		}
		some.Progress, some.Cursor, some.Limit = nil, first.Cursor, 70
		second, err := c.CancelMany(t.Context(), "q", some)
		if err != nil || second.Matched != 70 || second.Done != 70 || second.Cursor == "" {
			t.Fatalf("%+v, %v", second, err)
		}
		some.Cursor, some.Limit = second.Cursor, 0
		third, err := c.CancelMany(t.Context(), "q", some)
		if err != nil || first.Done+second.Done+third.Done != 300 || third.Cursor != "" {
			t.Errorf("%+v, %+v, %+v, %v", first, second, third, err)
		}
		if n := counts(t, c, "q"); n.Ready != 150 || n.Cancelled != 300 {
			t.Errorf("%+v", n)
		}
	})
}

// TestBulkLostReplies: whatever answer is lost, all is done in the end, and counted as done.
func TestBulkLostReplies(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		c, p := behind(t, srv)
		ctx := t.Context()
		for name, verb := range map[string]func(context.Context, string, queue.Bulk) (queue.BulkResult, error){"cancel": c.CancelMany, "delete": c.DeleteMany} {
			fill(t, c, 400, queue.In(time.Hour))
			calls := 0
			p.DropReply(func(cmd string, _ []string) bool {
				if cmd != "EVALSHA" {
					return false
				}
				calls++
				return calls%3 == 0
			})
			r, err := verb(ctx, "q", queue.Bulk{ListOptions: queue.ListOptions{State: queue.Scheduled}})
			p.DropReply(nil)
			counted(t, r, err, 400, 400, 400, 0)
			if n := counts(t, c, "q"); n.Scheduled != 0 || p.Dropped() == 0 {
				t.Errorf("%s: %+v", name, n)
			}
		}
	})
}

// TestBulkSkips: a job whose state changes between being met and the verb is skipped, and counted so.
func TestBulkSkips(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, srv *redisserver.Server) {
		c, p := behind(t, srv)
		other := open(t, srv.URL())
		fill(t, c, 10)
		enqueue(t, c, email{"x"}, queue.Queue("q"), queue.ID("a"))
		if err := c.Delete(t.Context(), "q", "a"); err != nil { // from here on the server knows the script
			t.Fatal(err)
		}
		calls := 0
		release := p.HoldRequest(func(cmd string, _ []string) bool {
			if cmd == "EVALSHA" {
				calls++
			}
			return cmd == "EVALSHA" && calls == 2 // the first one lists
		})
		type answer struct {
			r   queue.BulkResult
			err error
		}
		done := make(chan answer, 1)
		go func() {
			r, err := c.DeleteMany(context.WithoutCancel(t.Context()), "q", queue.Bulk{ListOptions: queue.ListOptions{State: queue.Ready}})
			done <- answer{r, err}
		}()
		redistest.WaitFor(t, soon, func() bool { return p.Held() > 0 }, "the verb to be on its way")
		for _, id := range []string{"3", "7"} {
			if err := other.Delete(t.Context(), "q", id); err != nil {
				t.Fatal(err)
			}
		}
		release()
		a := <-done
		counted(t, a.r, a.err, 10, 10, 8, 2)
	})
}
