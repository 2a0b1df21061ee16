package queue

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
)

// DefaultConfirmTimeout is how long an enqueue waits for its Durability unless that says otherwise.
const DefaultConfirmTimeout = time.Second

// Bounds of a Durability.
const (
	MaxReplicas       = 1000
	MaxConfirmTimeout = time.Minute
)

// Durability is what an enqueue waits for before it answers: copies of the job beyond the primary's memory. The zero value
// waits for nothing. It makes loss by a failover unlikely and not impossible: docs/topologies.md says what it gives.
//
// A job that is in the queue though its Durability could not be confirmed in time is ErrNotConfirmed. The wait is a command
// behind the job's own, in one round trip; what waits takes a connection of the shared pool meanwhile, at most two for
// each queue and Durability of single enqueues.
type Durability struct {
	// Replicas that have the job (WAIT); 0 = none, at most 1000.
	Replicas int
	// Fsync waits until the primary's append-only file is synced (WAITAOF: Redis 7.2, Valkey), and with Replicas those of
	// so many replicas, which must have theirs switched on too. With appendfsync everysec that takes a second or two: give
	// it the Timeout. A server that cannot is ErrUnsupported, and nothing is sent.
	Fsync bool
	// Timeout bounds the waiting; 0 = 1 s, at most 1 minute; fractions of a ms round up.
	Timeout time.Duration
}

// Durable is the Durability of one job, instead of the client's (Config). Durable(Durability{}) waits for nothing. It is
// refused in a transaction (EnqueueTx).
func Durable(d Durability) Option {
	err := d.check("durability")
	return func(s *spec) error { s.durable = &d; return err }
}

// check finds what is not allowed and fills in what is left out.
func (d *Durability) check(field string) error {
	var faults []error
	if d.Replicas < 0 || d.Replicas > MaxReplicas {
		faults = append(faults, invalid(field+" replicas", fmt.Sprint(d.Replicas), fmt.Sprintf("0 to %d", MaxReplicas)))
	}
	switch {
	case d.Timeout < 0 || d.Timeout > MaxConfirmTimeout:
		faults = append(faults, invalid(field+" timeout", d.Timeout.String(), "up to 1m0s; 0 = 1s"))
	case d.Timeout > 0 && d.none():
		faults = append(faults, invalid(field+" timeout", d.Timeout.String(), "only with replicas or fsync to wait for"))
	case d.Timeout == 0 && !d.none():
		d.Timeout = DefaultConfirmTimeout
	}
	d.Timeout = time.Duration(ceilMS(d.Timeout)) * time.Millisecond
	return errors.Join(faults...)
}

// none tells that nothing is waited for.
func (d Durability) none() bool { return d.Replicas == 0 && !d.Fsync }

// add makes a wait also one for d.
func (d Durability) add(to *broker.Confirm) {
	if d.Fsync {
		to.Synced, to.SyncedReplicas = true, max(to.SyncedReplicas, d.Replicas)
	} else {
		to.Replicas = max(to.Replicas, d.Replicas)
	}
	to.Timeout = max(to.Timeout, d.Timeout)
}

// wait is the one for d alone.
func (d Durability) wait() (w broker.Confirm) {
	d.add(&w)
	return w
}

// replicas is how many of those that d asks for were told.
func (d Durability) replicas(got broker.Confirmed) int {
	if d.Fsync {
		return got.SyncedReplicas
	}
	return got.Replicas
}

// met tells whether d was confirmed.
func (d Durability) met(got broker.Confirmed) bool {
	return d.none() || d.replicas(got) >= d.Replicas && (!d.Fsync || got.Synced)
}

// NotConfirmedError says of a job in the queue what is missing of its Durability. It does not unwrap to Err: that would read as
// if nothing had been stored.
type NotConfirmedError struct {
	ID       uuid.UUID
	Wanted   Durability
	Replicas int   // that confirmed in time; of their synced files where Wanted.Fsync
	Fsynced  bool  // the primary's append-only file is synced
	Err      error // why it was not waited for, or not for so long; nil = it was, and this is what was told
}

func (e *NotConfirmedError) Error() string {
	text := fmt.Sprintf("%v: job %s after %v:", ErrNotConfirmed, e.ID, e.Wanted.Timeout)
	if e.Wanted.Replicas > 0 {
		text += fmt.Sprintf(" %d of %d replicas", e.Replicas, e.Wanted.Replicas)
	}
	if e.Wanted.Fsync {
		text += fmt.Sprintf(" append-only file synced: %v", e.Fsynced)
	}
	if e.Err != nil {
		text += fmt.Sprintf(" (%v)", e.Err)
	}
	return text
}

// Is makes errors.Is(err, ErrNotConfirmed) hold.
func (e *NotConfirmedError) Is(target error) bool { return target == ErrNotConfirmed }

// confirmed is outcome for a job that has a Durability: a duplicate that is not confirmed is both errors.
func (d Durability) confirmed(o broker.Outcome, id uuid.UUID, got broker.Confirmed) error {
	err := outcome(o, id)
	if d.met(got) || o != broker.Created && o != broker.Duplicate {
		return err
	}
	missing := &NotConfirmedError{ID: id, Wanted: d, Replicas: d.replicas(got), Fsynced: got.Synced, Err: outward(got.Err)}
	if err != nil {
		return fmt.Errorf("%w; %w", err, missing)
	}
	return missing
}
