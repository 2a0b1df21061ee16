package loop

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tidemill/tidemill/internal/backoff"
)

// permanent marks an error that no further try can mend.
type permanent struct{ err error }

func (p permanent) Error() string { return p.err.Error() }
func (p permanent) Unwrap() error { return p.err }

// Permanent makes Retry give up at once and return err. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanent{err}
}

// Retry calls op until it returns nil, returns an error made by Permanent, or
// ctx ends. Between two tries it waits as p says, with real jitter.
//
// onErr, if not nil, is told of each failure that will be followed by another
// try: the error, the number of the failed attempt (from 1) and the wait before
// the next. An op that ran for longer than p.Cap before it failed had worked
// for a while, so counting starts again at 1: a connection that breaks once a
// day is not punished for yesterday.
//
// Retry returns nil after a success, the bare error after Permanent, the fault
// of a policy that is not valid, and otherwise the cause of ctx's end joined
// with the last error. op and onErr are called from the caller's goroutine.
func Retry(ctx context.Context, p backoff.Policy, op func(context.Context) error, onErr func(err error, attempt int, next time.Duration)) error {
	if err := p.Validate(); err != nil {
		return fmt.Errorf("loop: retry: %w", err)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for attempt := 1; ; attempt++ {
		start := time.Now()
		err := op(ctx)
		if err == nil {
			return nil
		}
		var fatal permanent
		if errors.As(err, &fatal) {
			return fatal.err
		}
		if ctx.Err() != nil {
			return ended(ctx, err)
		}
		if time.Since(start) > p.Cap {
			attempt = 1
		}
		next := p.Delay(attempt, nil)
		if onErr != nil {
			onErr(err, attempt, next)
		}
		if Sleep(ctx, next) != nil {
			return ended(ctx, err)
		}
	}
}

// ended joins why ctx ended with the last failure, so that errors.Is finds both.
func ended(ctx context.Context, last error) error {
	cause := context.Cause(ctx)
	if errors.Is(last, cause) {
		return last
	}
	return fmt.Errorf("%w (last failure: %w)", cause, last)
}
