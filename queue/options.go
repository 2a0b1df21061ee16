package queue

import (
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/wire"
)

// DefaultQueue is where jobs go unless an option says otherwise.
const DefaultQueue = "default"

// DefaultMaxAttempts is how often a job is tried unless it or its handler says otherwise.
const DefaultMaxAttempts = 25

// maxAttempts bounds MaxAttempts.
const maxAttempts = 10_000

// maxMeta bounds a job's metadata, keys and values together, in bytes.
const maxMeta = 8 << 10

// Option is a choice for one job.
type Option func(*spec) error

// spec is a job being described.
type spec struct {
	queue    string
	id       string
	due      broker.Due
	notify   bool
	durable  *Durability // nil: the client's
	envelope wire.Envelope
}

// Queue names the queue (default "default"): 1 to 128 of A-Z a-z 0-9 _ - . :
func Queue(name string) Option {
	return func(s *spec) error { s.queue = name; return nil }
}

// In delays the job by d, counted from when Redis takes it; fractions of a ms round up.
func In(d time.Duration) Option {
	return func(s *spec) error {
		if d < 0 {
			return invalid("in", d.String(), "0 or more")
		}
		s.due = broker.Due{In: ceilMS(d)}
		return nil
	}
}

// At delays the job until t; fractions of a ms round up. A time that is past means now.
func At(t time.Time) Option {
	return func(s *spec) error {
		if !storable(t) {
			return invalid("at", t.String(), storableTimes)
		}
		s.due = broker.Due{At: t.Add(time.Millisecond - 1).UnixMilli()}
		return nil
	}
}

// Priority orders the jobs of a queue: 9 is served first, 0 (the default) last.
func Priority(p int) Option {
	return func(s *spec) error {
		if p < 0 || p > wire.MaxPriority {
			return invalid("priority", fmt.Sprint(p), "0 to 9, 9 first")
		}
		s.envelope.Priority = uint8(p)
		return nil
	}
}

// MaxAttempts is how often the job is tried before it is dead (default: its handler's limit, else 25). Snoozes, releases
// and crashes do not count.
func MaxAttempts(n int) Option {
	return func(s *spec) error {
		if n < 1 || n > maxAttempts {
			return invalid("max attempts", fmt.Sprint(n), fmt.Sprintf("1 to %d", maxAttempts))
		}
		s.envelope.MaxAttempts = n
		return nil
	}
}

// Timeout bounds one attempt; its context ends with ErrTimeout (default: its handler's, else the worker's, which is none).
func Timeout(d time.Duration) Option {
	return func(s *spec) error {
		if d <= 0 {
			return invalid("timeout", d.String(), "more than 0")
		}
		s.envelope.Timeout = ceilMS(d)
		return nil
	}
}

// Deadline ends every attempt at t, and no attempt starts after it: the job is dead then.
func Deadline(t time.Time) Option {
	return func(s *spec) error {
		if !storable(t) || t.UnixMilli() == 0 {
			return invalid("deadline", t.String(), storableTimes)
		}
		s.envelope.Deadline = t.UnixMilli()
		return nil
	}
}

// ExpireAt drops the job unless its first attempt started by t.
func ExpireAt(t time.Time) Option {
	return func(s *spec) error {
		if !storable(t) || t.UnixMilli() == 0 {
			return invalid("expiry", t.String(), storableTimes)
		}
		s.envelope.ExpiresAt = t.UnixMilli()
		return nil
	}
}

// ExpireIn drops the job unless its first attempt started within d from now, by this machine's clock.
func ExpireIn(d time.Duration) Option {
	return func(s *spec) error {
		if d <= 0 {
			return invalid("expiry", d.String(), "more than 0")
		}
		s.envelope.ExpiresAt = time.Now().Add(d).UnixMilli()
		return nil
	}
}

// Retain keeps the finished job and its result for d (default: its handler's retention, else it leaves nothing behind).
func Retain(d time.Duration) Option {
	return func(s *spec) error {
		if d < 0 {
			return invalid("retention", d.String(), "0 or more")
		}
		s.envelope.Retention = ceilMS(d)
		return nil
	}
}

// Notify asks for a hint when the job ends, so that this client's Wait need not look each second. It keeps nothing: give
// the job a retention (Retain) too, or Wait finds out only that it is gone.
func Notify() Option {
	return func(s *spec) error { s.notify = true; return nil }
}

// ID gives the job an id of the caller's: a UUID, or any text of up to 256 bytes, which becomes a UUID by hashing
// namespace, queue and text. Enqueueing it again while the job exists is ErrDuplicate. Default: a new UUIDv7.
func ID(id string) Option {
	return func(s *spec) error {
		if id == "" || len(id) > wire.MaxKeyLen {
			return invalid("id", fmt.Sprintf("%d bytes", len(id)), fmt.Sprintf("1 to %d bytes", wire.MaxKeyLen))
		}
		if !utf8.ValidString(id) { // it is shown, and what is shown must find the job
			return invalid("id", fmt.Sprintf("%q", id), "UTF-8 text")
		}
		s.id = id
		return nil
	}
}

// Meta attaches a word of the caller's, for people and middleware: at most 8 KiB a job in all.
func Meta(key, value string) Option {
	return func(s *spec) error {
		if key == "" {
			return invalid("metadata", "an empty key", "a name")
		}
		if !utf8.ValidString(key) || !utf8.ValidString(value) {
			return invalid("metadata", fmt.Sprintf("%.140q", key+"="+value), "UTF-8 text")
		}
		if s.envelope.Meta == nil {
			s.envelope.Meta = make(map[string]string)
		}
		s.envelope.Meta[key] = value
		return nil
	}
}

// ceilMS rounds up; the longest durations must not overflow on the way.
func ceilMS(d time.Duration) int64 {
	ms := int64(d / time.Millisecond)
	if d%time.Millisecond > 0 {
		ms++
	}
	return ms
}

const storableTimes = "a time from 1970 to 9999"

// storable tells whether t in ms fits everywhere on its way: Lua counts in doubles.
func storable(t time.Time) bool { return !t.Before(time.UnixMilli(0)) && t.UTC().Year() <= 9999 }
