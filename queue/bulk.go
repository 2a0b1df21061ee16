package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/loop"
)

// Bulk chooses the jobs of a bulk verb, by the same options as a listing. Limit bounds the jobs that match.
type Bulk struct {
	ListOptions
	// DryRun only counts what matches.
	DryRun bool
	// Progress, if set, is called after each page of at most 100 jobs, from the caller's goroutine.
	Progress func(BulkProgress)
}

// BulkResult is what a bulk verb did. A job that is met twice because it moved meanwhile counts twice.
type BulkResult struct {
	Looked  int64 // jobs looked at
	Matched int64 // of them, those that were asked for
	Done    int64 // of them, those on which the verb was carried out; running ones are marked and end by themselves
	Skipped int64 // of them, those whose state had changed by then and did not allow it any more
	// Cursor is where to go on (ListOptions.Cursor) after the call ended early: by an error, the end of its context, or
	// its Limit. Empty at the end.
	Cursor string
}

// BulkProgress is a BulkResult so far. Of is about how many jobs there are to look at, from the start on: a Cursor begins
// in the middle of them.
type BulkProgress struct {
	BulkResult
	Of int64
}

// bulk is one bulk verb.
type bulk struct {
	name   string
	states []State // it can be carried out on
	// act carries the verb out on a page of jobs and counts those on which it was. Again says that an earlier try of the
	// same page may have been carried out though its answer was lost.
	act func(ctx context.Context, l *lanes, jobs []*Snapshot, again bool) (done int, err error)
	// pause is kept between the first listing and the first page's jobs.
	pause time.Duration
}

// CancelMany cancels the jobs that the options choose, as Cancel does each. State may be "" (all of those that can be
// cancelled), Scheduled, Suspect, Ready or Running.
//
// It works through pages of at most 100 jobs, tens of thousands of jobs a second. When Redis is away it tries a page
// again for some seconds: what is gone by then counts as done. The BulkResult holds with an error too: its Cursor is where
// to go on. Errors: ErrInvalid, ErrUnavailable, or the end of ctx.
func (c *Client) CancelMany(ctx context.Context, queue string, b Bulk) (BulkResult, error) {
	if b.State == "" {
		b.State = cancellable
	}
	return c.many(ctx, queue, b, bulk{"cancel", []State{cancellable, Scheduled, Suspect, Ready, Running}, c.cancelPage, 0})
}

// cancellable is the states whose jobs can be cancelled.
const cancellable State = "not ended"

// DeleteMany deletes the jobs that the options choose, as Delete does each and as CancelMany works. State must be
// Scheduled, Suspect, Ready, DeadState, Finished, Succeeded, Cancelled or Expired.
func (c *Client) DeleteMany(ctx context.Context, queue string, b Bulk) (BulkResult, error) {
	return c.many(ctx, queue, b, bulk{"delete", []State{Scheduled, Suspect, Ready, DeadState, Finished, Succeeded, Cancelled, Expired}, c.deletePage, 0})
}

// RedriveMany makes the dead jobs that the options choose ready again, as Redrive does each and as CancelMany works; one
// that dies again meanwhile is not met again. State may be "" or DeadState.
func (c *Client) RedriveMany(ctx context.Context, queue string, b Bulk) (BulkResult, error) {
	if b.State == "" {
		b.State = DeadState
	}
	return c.many(ctx, queue, b, bulk{"redrive", []State{DeadState}, c.redrivePage, redrivePause})
}

// redrivePause lets the server's clock pass the millisecond of the newest death that a listing began with, its end: a job
// that dies again is behind that end only if it dies in a later one.
const redrivePause = 2 * time.Millisecond

// many carries a bulk verb out page by page. The listing is the primary's: a replica may not know yet what changed.
func (c *Client) many(ctx context.Context, queue string, b Bulk, v bulk) (BulkResult, error) {
	var r BulkResult
	if !slices.Contains(v.states, b.State) {
		states := slices.DeleteFunc(slices.Clone(v.states), func(s State) bool { return s == cancellable })
		return r, invalid("state", fmt.Sprintf("%q", string(b.State)), "to "+v.name+" "+join(states...))
	}
	p, err := c.pager(queue, &b.ListOptions, c.broker)
	if err != nil {
		return r, err
	}
	l, err := c.queue(queue)
	if err != nil {
		return r, err
	}
	of := int64(0)
	if b.Progress != nil {
		of = c.about(ctx, l, p.states)
	}
	for r.Cursor = p.cursor(); !p.done; {
		jobs, err := p.next(ctx)
		if err != nil {
			return r, err
		}
		full := b.Limit > 0 && r.Matched+int64(len(jobs)) >= int64(b.Limit)
		if full {
			jobs = jobs[:int64(b.Limit)-r.Matched]
		}
		done := 0
		if !b.DryRun && len(jobs) > 0 {
			if err := loop.Sleep(ctx, v.pause); err != nil {
				return r, err
			}
			v.pause = 0
			if done, err = c.page(ctx, l, jobs, v); err != nil {
				return r, err
			}
			r.Done += int64(done)
			r.Skipped += int64(len(jobs) - done)
		}
		r.Matched += int64(len(jobs))
		r.Looked, r.Cursor = p.looked, p.cursor()
		if full {
			r.Cursor = jobs[len(jobs)-1].Cursor
		}
		if b.Progress != nil {
			b.Progress(BulkProgress{r, of})
		}
		if full {
			return r, nil
		}
	}
	return r, nil
}

// page carries a verb out on one page's jobs, again where its answer was lost.
func (c *Client) page(ctx context.Context, l *lanes, jobs []*Snapshot, v bulk) (done int, err error) {
	again := false
	err = patiently(ctx, bulkAgain, func(ctx context.Context) error {
		var err error
		if done, err = v.act(ctx, l, jobs, again); err == nil {
			return nil
		}
		err = outward(err)
		again = again || errors.Is(err, ErrUnavailable) && (c.retries || !refused(err))
		return err
	})
	return done, err
}

// bulkAgain bounds how long a page of a bulk verb is tried while Redis is away: an operator waits.
const bulkAgain = 10 * time.Second

func idsOf(jobs []*Snapshot) []uuid.UUID {
	ids := make([]uuid.UUID, len(jobs))
	for i, s := range jobs {
		ids[i] = s.ID
	}
	return ids
}

func (c *Client) cancelPage(ctx context.Context, l *lanes, jobs []*Snapshot, again bool) (done int, err error) {
	states, err := c.broker.Cancel(ctx, l.keys, idsOf(jobs))
	marked := false
	for _, s := range states {
		marked = marked || s == broker.StateRunning
		if s == broker.StateCancelled || s == broker.StateRunning || again && (s == broker.StateUnknown || s == broker.StateFinished) {
			done++
		}
	}
	l.tellPage(EventCancelled, jobs[:len(states)], func(i int) bool { return states[i] == broker.StateCancelled })
	if marked {
		c.hint(ctx, l.keys) // one for the page: the workers' next heartbeats name the claims that are marked
	}
	return done, err
}

func (c *Client) deletePage(ctx context.Context, l *lanes, jobs []*Snapshot, again bool) (done int, err error) {
	states, err := c.broker.Delete(ctx, l.keys, idsOf(jobs))
	for _, s := range states {
		if s == broker.StateDeleted || again && s == broker.StateUnknown {
			done++
		}
	}
	return done, err
}

func (c *Client) redrivePage(ctx context.Context, l *lanes, jobs []*Snapshot, again bool) (done int, err error) {
	outcomes, err := c.broker.Redrive(ctx, l.keys, idsOf(jobs))
	for _, o := range outcomes {
		if o == broker.RedriveDone || again {
			done++
		}
	}
	l.tellPage(EventRedriven, jobs[:len(outcomes)], func(i int) bool { return outcomes[i] == broker.RedriveDone })
	return done, err
}

// about is how many jobs there are in the states; 0 where that cannot be told now.
func (c *Client) about(ctx context.Context, l *lanes, states []broker.State) int64 {
	n, err := c.broker.Counts(ctx, l.keys)
	if err != nil {
		return 0
	}
	sum := int64(0)
	for _, s := range states {
		sum += map[broker.State]int64{broker.StateReady: n.Ready - n.Suspects, broker.StateSuspect: n.Suspects, broker.StateScheduled: n.Scheduled,
			broker.StateRunning: n.Running, broker.StateDead: n.Dead, broker.StateFinished: n.Finished}[s]
	}
	return sum
}
