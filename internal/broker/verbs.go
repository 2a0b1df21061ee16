package broker

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/keys"
)

// voidAfter is how long an operator's call stays valid: one that was held up must not undo a later one.
const voidAfter = 5 * time.Second

// deadline answers the server time (ms) after which a call made now is void.
func (b *Broker) deadline(ctx context.Context) (int64, error) {
	now, err := b.rdb.Time(ctx).Result()
	if err != nil {
		return 0, err
	}
	return now.Add(voidAfter).UnixMilli(), nil
}

// sessionTries bounds the rereading of a queue's sessions while they change.
const sessionTries = 20

// withSessions calls a script that must know every place where a job can run: it reads the sessions, declares them, and
// does so again when they changed meanwhile. It answers the server time (us) and word, with the rest still to be read.
func (b *Broker) withSessions(ctx context.Context, s *script, q *keys.Queue, args ...any) (r *reply, nowUS int64, word string, err error) {
	for range sessionTries {
		sessions, err := b.rdb.ZRange(ctx, q.Key(keys.Sessions), 0, -1).Result()
		if err != nil {
			return nil, 0, "", typedKey(err, q.Key(keys.Sessions))
		}
		running := make([]string, len(sessions))
		for i, session := range sessions {
			running[i] = q.Running(session)
		}
		c := newCall(s, q, len(args)+len(sessions), running...)
		c.arg(args...)
		for _, session := range sessions {
			c.arg(session)
		}
		r, err := b.do(ctx, c)
		if err != nil {
			return nil, 0, "", err
		}
		r.array()
		nowUS := r.number()
		if word := r.text(); word != "CHANGED" {
			return r, nowUS, word, r.err
		}
	}
	return nil, 0, "", fmt.Errorf("queue %q: its sessions changed %d times while they were read; try again", q.Name(), sessionTries)
}

// typedKey gives the errors of a plain command on one key their types.
func typedKey(err error, key string) error {
	switch {
	case err == nil:
		return nil
	case strings.HasPrefix(err.Error(), "WRONGTYPE"):
		return &KeyTypeError{Key: key}
	case strings.HasPrefix(err.Error(), "OOM "):
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}

// State is where a job is.
type State string

// States, and what verbs answer beside them.
const (
	StateReady     State = "READY"
	StateScheduled State = "SCHEDULED"
	StateRunning   State = "RUNNING"
	StateDead      State = "DEAD"
	StateFinished  State = "FINISHED"
	StateUnknown   State = "UNKNOWN"   // there is no such job
	StateCancelled State = "CANCELLED" // cancel: done
	StateDeleted   State = "DELETED"   // delete: done
	StateEdited    State = "EDITED"    // edit: done
	StateConflict  State = "CONFLICT"  // edit: it is not what the caller read
)

// Cancel ends a ready or scheduled job and marks a running one (StateRunning; session runs it). Other answers changed
// nothing.
func (b *Broker) Cancel(ctx context.Context, q *keys.Queue, id uuid.UUID) (State, string, error) {
	return b.verb(ctx, cancelScript, q, id)
}

// Delete forgets a job that does not run.
func (b *Broker) Delete(ctx context.Context, q *keys.Queue, id uuid.UUID) (State, string, error) {
	return b.verb(ctx, deleteScript, q, id)
}

func (b *Broker) verb(ctx context.Context, s *script, q *keys.Queue, id uuid.UUID) (State, string, error) {
	until, err := b.deadline(ctx)
	if err != nil {
		return "", "", err
	}
	r, _, word, err := b.withSessions(ctx, s, q, id[:], until)
	if err != nil {
		return "", "", err
	}
	session := r.text()
	return State(word), session, r.err
}

// Edit gives a job that does not run another envelope (nil = as it is) or time (nil = as it is). Old is the envelope
// as the caller read it.
func (b *Broker) Edit(ctx context.Context, q *keys.Queue, id uuid.UUID, old, envelope []byte, due *Due) (State, error) {
	until, err := b.deadline(ctx)
	if err != nil {
		return "", err
	}
	var when []byte
	if due != nil {
		when = due.append(nil)
	}
	_, _, word, err := b.withSessions(ctx, editScript, q, id[:], until, envelope, when, old)
	return State(word), err
}

// Redriven is what became of one id of a redrive.
type Redriven byte

// Outcomes of redrive.
const (
	RedriveDone    Redriven = 'o'
	RedriveNotDead Redriven = 'n'
	RedriveUnknown Redriven = 'u'
)

// Redrive makes dead jobs ready again with all their attempts, at most 250 a call.
func (b *Broker) Redrive(ctx context.Context, q *keys.Queue, ids []uuid.UUID) ([]Redriven, error) {
	until, err := b.deadline(ctx)
	if err != nil {
		return nil, err
	}
	c := newCall(redriveScript, q, 1+len(ids))
	c.arg(until)
	for i := range ids {
		c.arg(ids[i][:])
	}
	r, err := b.do(ctx, c)
	if err != nil {
		return nil, err
	}
	r.array()
	r.number()
	return []Redriven(r.text()), r.err
}

// Pause stops or resumes claiming from a queue. Changed is false when it was so already.
func (b *Broker) Pause(ctx context.Context, q *keys.Queue, pause bool) (changed bool, err error) {
	until, err := b.deadline(ctx)
	if err != nil {
		return false, err
	}
	c := newCall(pauseScript, q, 2)
	to := "0"
	if pause {
		to = "1"
	}
	c.arg(until, to)
	r, err := b.do(ctx, c)
	if err != nil {
		return false, err
	}
	r.array()
	r.number()
	changed = r.flag()
	return changed, r.err
}

// Purge forgets the jobs of one state (ready, scheduled, dead, finished), a bite a call.
func (b *Broker) Purge(ctx context.Context, q *keys.Queue, state string) (gone int, more bool, err error) {
	until, err := b.deadline(ctx)
	if err != nil {
		return 0, false, err
	}
	c := newCall(purgeScript, q, 2)
	c.arg(until, state)
	r, err := b.do(ctx, c)
	if err != nil {
		return 0, false, err
	}
	r.array()
	r.number()
	gone, more = int(r.number()), r.flag()
	return gone, more, r.err
}
