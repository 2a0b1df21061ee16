package broker

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/keys"
)

// voidAfter is how long an operator's call stays valid: one that was held up must not undo a later one.
const voidAfter = 5 * time.Second

// deadline answers the server time (ms) after which a call made now is void: by the clock of the server that holds the
// key, since in a Cluster each has its own.
func (b *Broker) deadline(ctx context.Context, key string) (int64, error) {
	var clock redis.Cmdable = b.rdb
	if b.cluster != nil {
		if node, err := b.cluster.MasterForKey(ctx, key); err == nil {
			clock = node
		}
	}
	now, err := clock.Time(ctx).Result()
	if err != nil && b.cluster != nil { // which tries again, where one connection was broken
		now, err = b.rdb.Time(ctx).Result()
	}
	if err != nil {
		return 0, err
	}
	return now.Add(voidAfter).UnixMilli(), nil
}

// sessionTries bounds the rereading of a queue's sessions while they change.
const sessionTries = 20

// withSessions calls a script that must know every place where a job can run: it reads the sessions, declares them, and
// does so again when they changed meanwhile. It answers the server time (us) and word, with the rest still to be read.
func (b *Broker) withSessions(ctx context.Context, s *transition, q *keys.Queue, args ...any) (r *reply, nowUS int64, word string, err error) {
	return b.withKeys(ctx, s, q, func(session string) []string { return []string{q.Running(session)} }, args...)
}

// withKeys is withSessions for a script that declares the keys that of answers for each session.
func (b *Broker) withKeys(ctx context.Context, s *transition, q *keys.Queue, of func(session string) []string, args ...any) (r *reply, nowUS int64, word string, err error) {
	for range sessionTries {
		sessions, err := b.rdb.ZRange(ctx, q.Key(keys.Sessions), 0, -1).Result()
		if err != nil {
			return nil, 0, "", typedKey(err, q.Key(keys.Sessions))
		}
		more := make([]string, 0, len(sessions))
		for _, session := range sessions {
			more = append(more, of(session)...)
		}
		c := newCall(s, q, len(args)+len(sessions), more...)
		c.arg(args...)
		for _, session := range sessions {
			c.arg(session)
		}
		r, err := b.do(ctx, c)
		if err != nil {
			return nil, 0, "", err
		}
		r.Array()
		nowUS := r.Number()
		if word := r.Text(); word != "CHANGED" {
			return r, nowUS, word, r.Err
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
	StateSuspect   State = "SUSPECT" // list only: elsewhere it is READY
	StateScheduled State = "SCHEDULED"
	StateRunning   State = "RUNNING"
	StateDead      State = "DEAD"
	StateFinished  State = "FINISHED"
	StateUnknown   State = "UNKNOWN"   // there is no such job
	StateCancelled State = "CANCELLED" // cancel: done
	StateDeleted   State = "DELETED"   // delete: done
	StateEdited    State = "EDITED"    // edit: done
	StateConflict  State = "CONFLICT"  // edit: it is not what the caller read
	StateMoved     State = "MOVED"     // edit: moved too often while it waited, it must run first
)

// outcomes are the letters of cancel and delete.
var outcomes = map[byte]State{'c': StateCancelled, 'x': StateDeleted, 'r': StateRunning, 'd': StateDead, 'f': StateFinished,
	'u': StateUnknown}

// MaxVerb is how many jobs one call of Cancel, Delete or Redrive may name.
const MaxVerb = 250

// Cancel ends ready and scheduled jobs and marks running ones (StateRunning). Other answers changed nothing.
func (b *Broker) Cancel(ctx context.Context, q *keys.Queue, ids []uuid.UUID) ([]State, error) {
	return b.verb(ctx, cancelScript, q, ids)
}

// Delete forgets jobs that do not run.
func (b *Broker) Delete(ctx context.Context, q *keys.Queue, ids []uuid.UUID) ([]State, error) {
	return b.verb(ctx, deleteScript, q, ids)
}

func (b *Broker) verb(ctx context.Context, s *transition, q *keys.Queue, ids []uuid.UUID) ([]State, error) {
	until, err := b.deadline(ctx, q.Key(keys.Meta))
	if err != nil {
		return nil, err
	}
	packed := make([]byte, 0, 16*len(ids))
	for i := range ids {
		packed = append(packed, ids[i][:]...)
	}
	r, _, _, err := b.withSessions(ctx, s, q, packed, until)
	if err != nil {
		return nil, err
	}
	letters := r.Bytes()
	if r.Err == nil && len(letters) != len(ids) {
		r.Fail("outcomes and jobs differ in number")
	}
	out := make([]State, len(ids))
	for i := range letters[:min(len(letters), len(ids))] {
		out[i] = outcomes[letters[i]]
	}
	return out, r.Err
}

// Edit gives a job that does not run another envelope (nil = as it is) or time (nil = as it is). Old is the envelope
// as the caller read it. Answers other than StateEdited changed nothing.
func (b *Broker) Edit(ctx context.Context, q *keys.Queue, id uuid.UUID, old, envelope []byte, due *Due) (State, error) {
	until, err := b.deadline(ctx, q.Key(keys.Meta))
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

// Redrive makes dead jobs ready again with all their attempts.
func (b *Broker) Redrive(ctx context.Context, q *keys.Queue, ids []uuid.UUID) ([]Redriven, error) {
	until, err := b.deadline(ctx, q.Key(keys.Meta))
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
	r.Array()
	r.Number()
	return []Redriven(r.Text()), r.Err
}

// Pause stops or resumes claiming from a queue. Changed is false when it was so already.
func (b *Broker) Pause(ctx context.Context, q *keys.Queue, pause bool) (changed bool, err error) {
	until, err := b.deadline(ctx, q.Key(keys.Meta))
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
	r.Array()
	r.Number()
	changed = r.Flag()
	return changed, r.Err
}

// Purge forgets the jobs of one state (ready, scheduled, dead, finished), a bite a call.
func (b *Broker) Purge(ctx context.Context, q *keys.Queue, state string) (gone int, more bool, err error) {
	until, err := b.deadline(ctx, q.Key(keys.Meta))
	if err != nil {
		return 0, false, err
	}
	c := newCall(purgeScript, q, 2)
	c.arg(until, state)
	r, err := b.do(ctx, c)
	if err != nil {
		return 0, false, err
	}
	r.Array()
	r.Number()
	gone, more = int(r.Number()), r.Flag()
	return gone, more, r.Err
}
