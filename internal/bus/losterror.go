package bus

import "github.com/tidemill/tidemill/internal/conn"

// lostError is what a connection broke of: unavailability, which its text need not say too, since it becomes a gap's reason.
type lostError struct{ err error }

func (e *lostError) Error() string { return "connection lost: " + e.err.Error() }

func (e *lostError) Unwrap() error { return conn.Classify(e.err) }
