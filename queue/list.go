package queue

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"time"

	"github.com/tidemill/tidemill/internal/backoff"
	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/loop"
)

// ListOptions choose jobs of a queue; the zero value is all of them. Every condition that is set must hold.
type ListOptions struct {
	// State: "" is every state, one after the other; Finished is Succeeded, Cancelled and Expired together. Ready is
	// without Suspect here.
	State State
	// Kind is a kind, or with a "*" at its end a prefix of kinds. Several are separated by spaces: a job of any of them
	// fits.
	Kind string
	// Error is a piece of the newest error's text, or of the reason why a job is dead; upper and lower case are the same.
	Error string
	// Since (inclusive) and Until (exclusive) bound the time that belongs to the job's state: when a scheduled one is
	// due, a running one was started, a dead or finished one ended, and when one that is ready was created.
	Since, Until time.Time
	// Meta are words that must be among the job's metadata.
	Meta map[string]string
	// Limit is how many jobs to list at most; 0 = all.
	Limit int
	// Cursor goes on behind the job whose Snapshot.Cursor it is, with the other options as they were.
	Cursor string
}

// List iterates over the jobs of a queue that the options choose, in the order in which they are claimed (ready: the
// urgent ones first), due, started, dead or forgotten. It reads a page of at most 100 jobs and 256 KiB a call as the
// loop asks for more, so that neither Redis is held up nor memory grows, whatever there is to list. Snapshots are
// without results; Get has them.
//
// It is no snapshot of the queue: a job that moves from state to state while the listing goes on may be missed, or met
// twice; every other one is met once. Jobs that come to a sorted state later than the listing may be left out.
//
// An error ends the iteration, with a nil Snapshot: ErrInvalid, ErrUnavailable when Redis has been away for a few
// seconds, a KeyTypeError, or the end of ctx. Each use of the iterator lists anew.
func (c *Client) List(ctx context.Context, queue string, o ListOptions) iter.Seq2[*Snapshot, error] {
	return func(yield func(*Snapshot, error) bool) {
		p, err := c.pager(queue, &o, c.reads())
		if err != nil {
			yield(nil, err)
			return
		}
		left := o.Limit
		for !p.done {
			jobs, err := p.next(ctx)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, s := range jobs {
				if ctx.Err() != nil {
					yield(nil, context.Cause(ctx))
					return
				}
				if !yield(s, nil) {
					return
				}
				if left--; left == 0 {
					return
				}
			}
		}
	}
}

// reads is the engine for inspection: over replicas where the URL says so (read_from=replica).
func (c *Client) reads() *broker.Broker {
	if !c.conn.FromReplicas() {
		return c.broker
	}
	return c.broker.Reader(c.conn.Reader())
}

// pager reads a listing page by page.
type pager struct {
	broker *broker.Broker
	keys   *keys.Queue
	filter filter
	states []broker.State // still to be listed
	place  broker.Place
	done   bool
	looked int64 // jobs met so far
}

func (c *Client) pager(queue string, o *ListOptions, b *broker.Broker) (*pager, error) {
	l, err := c.queue(queue)
	if err != nil {
		return nil, err
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	p := &pager{broker: b, keys: l.keys, filter: newFilter(o), states: listed[o.State]}
	if o.Cursor == "" {
		p.begin()
		return p, nil
	}
	at, err := parseCursor(o.Cursor, queue, p.states)
	if err != nil {
		return nil, err
	}
	for p.states[0] != at.state {
		p.states = p.states[1:]
	}
	p.place = at.place
	return p, nil
}

// begin goes to the start of the first of the states that are left, if it can have jobs that are asked for.
func (p *pager) begin() {
	for ; len(p.states) > 0; p.states = p.states[1:] {
		some := false
		if p.place, some = p.filter.start(p.states[0]); some {
			return
		}
	}
	p.done = true
}

// cursor is where the next page begins.
func (p *pager) cursor() string {
	if p.done {
		return ""
	}
	return cursor{p.states[0], p.place}.text(p.keys.Name())
}

// readAgain bounds the reading of a page while Redis is away.
const readAgain = 5 * time.Second

// readPolicy is how quickly a page is asked for again.
var readPolicy = backoff.Policy{Base: 50 * time.Millisecond, Cap: time.Second, Factor: 2, Jitter: 0.5}

// next reads a page and answers the jobs on it that are asked for, maybe none.
func (p *pager) next(ctx context.Context) ([]*Snapshot, error) {
	state := p.states[0]
	var page broker.Page
	err := patiently(ctx, readAgain, func(ctx context.Context) (err error) {
		page, err = p.broker.List(ctx, p.keys, state, broker.MaxPage, p.place)
		return outward(err)
	})
	if err != nil {
		return nil, err
	}
	var out []*Snapshot
	for i := range page.Jobs {
		s := snapshot(p.keys.Name(), page.Jobs[i].ID, &page.Jobs[i].Found)
		if !p.filter.wants(s) {
			continue
		}
		s.Payload = bytes.Clone(s.Payload) // or one job that is kept would keep the page
		s.Cursor = cursor{state, page.Jobs[i].Place}.text(p.keys.Name())
		out = append(out, s)
	}
	p.looked += int64(len(page.Jobs))
	p.place = page.Next
	if page.Done {
		p.states = p.states[1:]
		p.begin()
	}
	return out, nil
}

// patiently makes a call that may be made again without harm until it is answered, for a while where Redis is away.
func patiently(ctx context.Context, within time.Duration, call func(context.Context) error) error {
	start := time.Now()
	return loop.Retry(ctx, readPolicy, func(ctx context.Context) error {
		err := call(ctx)
		if !errors.Is(err, ErrUnavailable) || time.Since(start) > within {
			return loop.Permanent(err)
		}
		return err
	}, nil)
}
