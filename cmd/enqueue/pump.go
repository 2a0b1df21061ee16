package main

import (
	"context"
	"time"
)

// tellAfter is how long a signal's consequences may take before the one who sent it is told.
const tellAfter = 200 * time.Millisecond

// pump reads a stream and sends its batches until both are done. soft ends the reading, hard the waiting for what is under
// way; tell is for people.
func pump[T any](soft, hard context.Context, s *stream[T], send func(batches <-chan *batch[T], free chan<- *batch[T]) error,
	tell func(format string, args ...any),
) error {
	reading, giveUp := context.WithCancelCause(soft)
	defer giveUp(nil)
	sent := make(chan error, 1)
	go func() {
		err := send(s.batches, s.free)
		if err != nil {
			giveUp(err)
		}
		sent <- err
	}()
	read := s.run(reading)
	fault := awaitSent(soft, hard, sent, tell)
	switch {
	case hard.Err() != nil:
		return &abandonedError{context.Cause(hard)}
	case fault != nil:
		return fault
	}
	return read
}

// awaitSent waits for what is under way, or for hard.
func awaitSent(soft, hard context.Context, sent <-chan error, tell func(format string, args ...any)) error {
	var late <-chan time.Time
	interrupted := soft.Done()
	for {
		select {
		case err := <-sent:
			return err
		case <-hard.Done():
			return nil
		case <-interrupted:
			interrupted, late = nil, time.After(tellAfter)
		case <-late:
			tell("%v: waiting for the lines that are under way; once more abandons them\n", context.Cause(soft))
		}
	}
}

// abandonedError ends a stream whose last lines were not waited for.
type abandonedError struct{ err error }

func (e *abandonedError) Error() string { return e.err.Error() }
func (e *abandonedError) Unwrap() error { return e.err }
