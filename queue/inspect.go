package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/wire"
)

// State is where a job is.
type State string

// States of a job. Suspect is ready too: it crashed its worker before and is tried alone.
const (
	Ready     State = "ready"
	Suspect   State = "suspect"
	Scheduled State = "scheduled"
	Running   State = "running"
	DeadState State = "dead"
	Succeeded State = "succeeded"
	Cancelled State = "cancelled"
	Expired   State = "expired"
	Finished  State = "finished" // any of the last three: what a listing may ask for
)

// Failure is one failed attempt.
type Failure struct {
	Attempt int
	At      time.Time
	Error   string
	Stack   string // of the newest, where it panicked
	Output  string // of the newest: the end of what it printed (WithOutput)
}

// Snapshot is a job as it stands in Redis.
type Snapshot struct {
	Info
	State      State
	Payload    []byte
	DueAt      time.Time // scheduled
	StartedAt  time.Time // running, or the last start of a finished job
	EndedAt    time.Time // dead or finished
	KeptUntil  time.Time // finished
	Cancelling bool      // running, and marked to be cancelled
	Attempts   int       // used so far
	Errors     []Failure // the last few, oldest first
	Reason     string    // why it is dead
	Result     []byte
	Corrupt    error  // the envelope cannot be read: what else is here may be empty
	Cursor     string // where a listing goes on behind this job (List only)
	// UnknownSince is when a worker of its queue first had no handler for the kind of this job, which waits for one that
	// has; zero = it is known, or no worker came by. Such a job is looked at again after 30 s rising to 10 min.
	UnknownSince time.Time
}

// Get reads a job by its id: a UUID, or the caller's own text. Errors: ErrUnknownJob, ErrInvalid, ErrUnavailable.
func (c *Client) Get(ctx context.Context, queue, id string) (*Snapshot, error) {
	return c.get(ctx, c.reads(), queue, id)
}

// get reads a job over one broker or another: what follows upon an enqueue must not ask a replica.
func (c *Client) get(ctx context.Context, b *broker.Broker, queue, id string) (*Snapshot, error) {
	q, uid, err := c.find(queue, id)
	if err != nil {
		return nil, err
	}
	found, err := b.Get(ctx, q, uid)
	if err != nil {
		return nil, outward(err)
	}
	if found.State == broker.StateUnknown {
		return nil, fmt.Errorf("%w: %s in queue %q", ErrUnknownJob, id, queue)
	}
	return snapshot(queue, uid, &found), nil
}

// find resolves a queue's name and a job's id.
func (c *Client) find(queue, id string) (*keys.Queue, uuid.UUID, error) {
	l, err := c.queue(queue)
	if err != nil {
		return nil, uuid.Nil, err
	}
	uid, _, err := wire.KeyID(c.space.Name(), queue, id)
	if err != nil {
		return nil, uuid.Nil, fmt.Errorf("%w %w", ErrInvalid, err)
	}
	return l.keys, uid, nil
}

func snapshot(queue string, id uuid.UUID, f *broker.Found) *Snapshot {
	var e wire.Envelope
	var r wire.State
	s := &Snapshot{Result: f.Result, Cancelling: f.Cancel != 0 && f.Cancel == f.Score}
	s.Corrupt = errors.Join(e.Decode(f.Envelope), r.Decode(f.Record))
	s.Info = NewInfo(queue, id, &e, &r)
	s.Payload, s.Attempts = e.Args, int(r.Attempts)
	s.StartedAt, s.EndedAt = timeMS(r.StartedAt), timeMS(r.FinishedAt)
	for _, x := range r.Errors {
		s.Errors = append(s.Errors, Failure{Attempt: x.Attempt, At: timeMS(x.At), Error: x.Error, Stack: x.Stack, Output: x.Output})
	}
	switch f.State {
	case broker.StateScheduled:
		s.State, s.DueAt, s.UnknownSince = Scheduled, timeMS(f.Score), timeMS(r.UnknownAt)
	case broker.StateRunning:
		s.State, s.StartedAt = Running, time.UnixMicro(f.Score)
	case broker.StateDead:
		s.State, s.EndedAt, s.Reason = DeadState, timeMS(f.Score), reason(&r)
	case broker.StateFinished:
		s.State, s.KeptUntil = Succeeded, timeMS(f.Score)
		if s.EndedAt.IsZero() {
			s.EndedAt = timeMS(f.Score - e.Retention)
		}
		if r.Flags&wire.Cancelled != 0 {
			s.State = Cancelled
		} else if r.Flags&wire.Expired != 0 {
			s.State = Expired
		}
	default:
		if s.State, s.UnknownSince = Ready, timeMS(r.UnknownAt); r.Flags&wire.Suspect != 0 {
			s.State = Suspect
		}
	}
	return s
}

func reason(r *wire.State) string {
	if r.Flags&wire.Crashed != 0 {
		return fmt.Sprintf("crashed its worker %d times", r.Crashes)
	}
	if n := len(r.Errors); n > 0 {
		return r.Errors[n-1].Error
	}
	return ""
}

// NewInfo describes a job by its stored forms, for package worker; Attempt is the one to come.
func NewInfo(queue string, id uuid.UUID, e *wire.Envelope, r *wire.State) Info {
	return Info{ID: id, Key: e.Key, Kind: e.Kind, Queue: queue, Priority: int(e.Priority), Attempt: int(r.Attempts) + 1,
		MaxAttempts: e.MaxAttempts, Crashes: int(r.Crashes), CreatedAt: timeMS(e.CreatedAt),
		Timeout: time.Duration(e.Timeout) * time.Millisecond, Deadline: timeMS(e.Deadline), ExpiresAt: timeMS(e.ExpiresAt),
		Retention: time.Duration(e.Retention) * time.Millisecond, Encoding: e.Encoding, Meta: e.Meta}
}

func timeMS(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// Counts is how many jobs a queue has in each state, and what became of the others since it was first used.
type Counts struct {
	Queue                                           string
	Ready, Scheduled, Running, Dead, Finished       int64
	Suspect                                         int64 // of the ready ones
	Paused                                          bool
	Enqueued, Succeeded, Failed, Cancelled, Expired int64 // Failed counts attempts
	Recovered, Refused                              int64 // taken back from lost sessions; late writes of lost claims
}

// Counts counts a queue's jobs, truthfully also while cancelled ones leave it. It costs the same at any depth.
func (c *Client) Counts(ctx context.Context, queue string) (Counts, error) {
	l, err := c.queue(queue)
	if err != nil {
		return Counts{}, err
	}
	n, err := c.reads().Counts(ctx, l.keys)
	if err != nil {
		return Counts{}, outward(err)
	}
	t := n.Totals
	return Counts{Queue: queue, Ready: n.Ready, Scheduled: n.Scheduled, Running: n.Running, Dead: n.Dead, Finished: n.Finished,
		Suspect: n.Suspects, Paused: n.Paused, Enqueued: t["enqueued"], Succeeded: t["succeeded"], Failed: t["failed"],
		Cancelled: t["cancelled"], Expired: t["expired"], Recovered: t["recovered"], Refused: t["refused"]}, nil
}

// Heads is what stands at the head of a queue.
type Heads struct {
	Queue string
	// Oldest is since when the longest waiting of the first ready jobs waits: when it was due, or created where it was not
	// delayed. Looked at are the first of each priority and of the suspects; zero = none is there, or (redriven) none says.
	Oldest time.Time
	// NextDue is when the next scheduled job is due; one that is past was not made ready yet. Zero = nothing is scheduled.
	NextDue  time.Time
	Sessions int       // worker processes that serve the queue
	Now      time.Time // by the server's clock
}

// Heads looks at the head of a queue, for how long work waits there. It costs the same at any depth. Errors: ErrInvalid,
// ErrUnavailable, a KeyTypeError.
func (c *Client) Heads(ctx context.Context, queue string) (Heads, error) {
	l, err := c.queue(queue)
	if err != nil {
		return Heads{}, err
	}
	p, err := c.reads().Peek(ctx, l.keys)
	if err != nil {
		return Heads{}, outward(err)
	}
	return Heads{Queue: queue, Oldest: timeMS(p.Since), NextDue: timeMS(p.NextDue), Sessions: p.Sessions, Now: time.UnixMicro(p.NowUS)}, nil
}

// Queues lists the queues of the namespace by name.
func (c *Client) Queues(ctx context.Context) ([]string, error) {
	if err := c.closed(); err != nil {
		return nil, err
	}
	names, err := c.reads().Queues(ctx)
	slices.Sort(names)
	return names, outward(err)
}
