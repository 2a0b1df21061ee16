package queue

import (
	"fmt"
	"time"

	"github.com/google/uuid"
)

// MaxResult is the largest result of a job, in bytes.
const MaxResult = 64 << 10

// Info is what a handler and an inspection know of a job beside its args.
type Info struct {
	ID          uuid.UUID
	Key         string // the caller's own id, where it was text
	Kind        string
	Queue       string
	Priority    int
	Attempt     int // this attempt, from 1; snoozes and crashes do not count
	MaxAttempts int // in a Snapshot 0: it brings none, its handler's limit holds, else DefaultMaxAttempts
	Crashes     int // sessions lost while this job ran
	CreatedAt   time.Time
	Timeout     time.Duration // of one attempt; 0 = none
	Deadline    time.Time     // zero = none
	ExpiresAt   time.Time     // zero = never
	Retention   time.Duration // how long the finished job is kept; 0 = not
	Encoding    string        // the codec's name
	Meta        map[string]string
}

// Job is one attempt at a job, as its handler gets it. A handler's test may make one with just its Args.
type Job[A any] struct {
	Info
	Args A

	token  int64
	result []byte
}

// NewJob makes an attempt as a worker does: under a claim token.
func NewJob[A any](info Info, args A, token int64) *Job[A] {
	return &Job[A]{Info: info, Args: args, token: token}
}

// Token is the claim token: a number that grows with every claim in the queue, about the server's time in us. A handler
// passes it along with writes elsewhere, so that the other side can refuse the late writes of a claim that was lost.
func (j *Job[A]) Token() int64 { return j.token }

// SetResult sets what the job leaves behind, at most MaxResult bytes, opaque. It is stored when the handler returns
// nil and is kept as long as the job is (Retain); the last call counts. Not for concurrent use.
func (j *Job[A]) SetResult(result []byte) error {
	if len(result) > MaxResult {
		return fmt.Errorf("%w: result of %d bytes; allowed: %d", ErrPayloadTooLarge, len(result), MaxResult)
	}
	j.result = append([]byte{}, result...)
	return nil
}

// Result is what SetResult was last given.
func (j *Job[A]) Result() []byte { return j.result }
