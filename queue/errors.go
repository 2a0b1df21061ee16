package queue

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/conn"
)

// Errors that callers tell apart by errors.Is. They are wrapped with what they are about.
var (
	// ErrInvalid: an argument or option is not allowed; nothing was sent. The text names field, value and what is.
	ErrInvalid = errors.New("invalid")
	// ErrDuplicate: a job of this id exists; nothing was added. errors.As a *DuplicateError for the id.
	ErrDuplicate = errors.New("duplicate job")
	// ErrNotConfirmed: the job is in the queue, but its Durability was not confirmed in time. It will run; enqueueing it again
	// makes a second one, unless under its id: that waits anew, and is ErrDuplicate alone once it is confirmed. errors.As a
	// *NotConfirmedError for what is missing.
	ErrNotConfirmed = errors.New("stored, replication not confirmed")
	// ErrAlreadyIn: an earlier run of the Input has enqueued the job; nothing was added.
	ErrAlreadyIn = errors.New("enqueued by an earlier run")
	// ErrRedisFull: Redis is at maxmemory and took nothing, unless the error is ErrOutcomeUnknown too: a try before may have been carried out.
	ErrRedisFull = broker.ErrFull
	// ErrPayloadTooLarge: the marshalled args exceed the client's MaxPayload; nothing was sent.
	ErrPayloadTooLarge = errors.New("payload too large")
	// ErrUnknownJob: there is no job of this id in the queue (any more).
	ErrUnknownJob = errors.New("unknown job")
	// ErrOutcomeUnknown: the call may or may not have been carried out; enqueueing again under the same id is safe: by this Client
	// (which waits for up to a second first, where it must), or by others a second later.
	ErrOutcomeUnknown = errors.New("outcome unknown")
	// ErrUnavailable: Redis does not serve. Nothing was done, unless the error is ErrOutcomeUnknown too.
	ErrUnavailable = conn.ErrUnavailable
	// ErrWrongState: the job is in a state in which this cannot be done; nothing changed.
	ErrWrongState = errors.New("the job's state does not allow it")
	// ErrConflict: what was to be changed changed meanwhile; nothing was done.
	ErrConflict = errors.New("conflict")
	// ErrAuth: Redis refused the credentials.
	ErrAuth = conn.ErrAuth
	// ErrReadOnly: Redis is a read-only replica; connect to the primary.
	ErrReadOnly = conn.ErrReadOnly
	// ErrUnsupported: the server would lose jobs (too old, or set up to evict data), or lacks what a Durability needs.
	ErrUnsupported = conn.ErrUnsupported
	// ErrClosed: the client is closed.
	ErrClosed = errors.New("client is closed")
)

// Why a handler's context ended, found with context.Cause.
var (
	// ErrTimeout: the attempt ran longer than its timeout, or the job's deadline passed.
	ErrTimeout = fmt.Errorf("job timed out: %w", context.DeadlineExceeded)
	// ErrCancelled: an operator cancelled the job. It ends as cancelled, whatever error the handler returns.
	ErrCancelled = errors.New("job cancelled")
	// ErrDraining: the worker stops and the time to finish is over. The job goes back to the front, no attempt used.
	ErrDraining = errors.New("worker is stopping")
	// ErrSessionLost: the worker was out of touch for longer than the session TTL; another worker may run the job by now,
	// and what this attempt returns is ignored.
	ErrSessionLost = errors.New("session lost")
	// ErrJobLost: this claim of the job is gone from Redis; what this attempt returns is ignored.
	ErrJobLost = errors.New("job lost")
)

// KeyTypeError names a key that holds another type than Tidemill's. Nothing was changed; the queue cannot be used until
// the key is renamed or deleted.
type KeyTypeError = broker.KeyTypeError

// DuplicateError carries the id of the job that was there first.
type DuplicateError struct {
	ID uuid.UUID
	// Cancelled: that job was cancelled or deleted, and its place in the list is not yet passed; its id is free again
	// once a worker came by.
	Cancelled bool
}

func (e *DuplicateError) Error() string {
	if e.Cancelled {
		return fmt.Sprintf("duplicate job %s (cancelled)", e.ID)
	}
	return fmt.Sprintf("duplicate job %s", e.ID)
}

// Is makes errors.Is(err, ErrDuplicate) hold.
func (e *DuplicateError) Is(target error) bool { return target == ErrDuplicate }

// invalid is an ErrInvalid that names what was given and what is allowed.
func invalid(field, value, allowed string) error {
	return fmt.Errorf("%w %s: %s; allowed: %s", ErrInvalid, field, value, allowed)
}
