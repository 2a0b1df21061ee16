package queue

import (
	"errors"
	"fmt"
	"time"
)

// Dead wraps a handler's error: no further attempt would help, the job goes to the dead at once.
func Dead(err error) error {
	if err == nil {
		err = errors.New("the handler gave up")
	}
	return &DeadError{Err: err}
}

// DeadError is what Dead returns.
type DeadError struct{ Err error }

func (e *DeadError) Error() string { return e.Err.Error() }

// Unwrap answers the cause.
func (e *DeadError) Unwrap() error { return e.Err }

// RetryAfter wraps a handler's error: the next attempt, if any is left, comes after d instead of the policy's delay.
func RetryAfter(err error, d time.Duration) error {
	if err == nil {
		err = errors.New("the handler asked for a retry")
	}
	return &RetryAfterError{Err: err, After: max(d, 0)}
}

// RetryAfterError is what RetryAfter returns.
type RetryAfterError struct {
	Err   error
	After time.Duration
}

func (e *RetryAfterError) Error() string { return e.Err.Error() }

// Unwrap answers the cause.
func (e *RetryAfterError) Unwrap() error { return e.Err }

// Snooze is returned by a handler that wants to be called again after d: no attempt is used and nothing failed.
func Snooze(d time.Duration) error { return &SnoozeError{After: max(d, 0)} }

// SnoozeError is what Snooze returns.
type SnoozeError struct{ After time.Duration }

func (e *SnoozeError) Error() string { return fmt.Sprintf("snoozed for %v", e.After) }

// WithOutput attaches to a handler's error the end of what the attempt printed, such as the stderr of a command: its last
// 4 KiB are kept as Failure.Output beside the error's text. It may wrap, or be wrapped in, Dead and RetryAfter; the
// outermost output counts. A nil err stays nil.
func WithOutput(err error, output string) error {
	if err == nil {
		return nil
	}
	return &OutputError{Err: err, Output: output}
}

// OutputError is what WithOutput returns. Its text is that of the error alone.
type OutputError struct {
	Err    error
	Output string
}

func (e *OutputError) Error() string { return e.Err.Error() }

// Unwrap answers the cause.
func (e *OutputError) Unwrap() error { return e.Err }
