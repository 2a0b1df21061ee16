package worker

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/internal/backoff"
	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/queue"
)

// Defaults of Config.
const (
	DefaultConcurrency = 20
	DefaultSessionTTL  = 6 * time.Second
	DefaultDrain       = 25 * time.Second
	DefaultCrashLimit  = 3
	DefaultStuckAfter  = 10 * time.Second
	DefaultSettle      = 5 * time.Second
)

// Backoff is a retry policy: exponential with real jitter. Its fields are Base, the wait before the second try (default 1 s);
// Factor, by which it grows from try to try (2; 1 keeps it constant); Cap, the longest wait (6 h); and Jitter, the part of each
// wait that is random, 0 to 1 (0 is none). Base, Factor and Cap mean their defaults where they are 0; the zero value means 1 s
// doubling up to 6 h, a quarter of it random.
type Backoff = backoff.Policy

// Queue is one queue to serve.
type Queue struct {
	Name        string
	Weight      int // share of the claims against the other queues; 0 = 1. Ignored in strict order
	Concurrency int // handlers of this queue at most; 0 = Config.Concurrency
	// Lifecycle publishes what becomes of its jobs here (started, succeeded, failed, retried, dead, cancelled ...), each as a
	// queue.Event on the topic queue.EventTopic names. Off it costs nothing. Producers tell what they create by
	// queue.Config.Lifecycle.
	Lifecycle bool
}

// Config is a worker's settings; the zero value serves "default".
type Config struct {
	// Queues to serve. By weight none starves; with Strict a queue is asked only when those before it had nothing left,
	// and a busy one starves the rest.
	Queues []Queue
	Strict bool
	// Concurrency bounds the handlers running at once; default 20. As Go's garbage collector walks the stack of each that waits, it
	// is made to wait for 32 KB more garbage for each (at GOGC=100), 32 MB in a process at most, by the Concurrency that Run begins
	// with; not where a memory limit is set then (GOMEMLIMIT).
	Concurrency int
	// SessionTTL is how long a worker may be out of touch before its jobs are taken back: what a kill -9 costs. It is one
	// setting a namespace, set by the first worker; another value here is warned about. Default 6 s, at least 2 s.
	SessionTTL time.Duration
	// CrashLimit is how many workers a job may take down before it is dead; default 3.
	CrashLimit int
	// Retry is the policy for kinds that bring none.
	Retry Backoff
	// Timeout bounds an attempt of jobs that bring none and whose handler has none; default: none.
	Timeout time.Duration
	// Drain is how long handlers may go on once Run's context ended; default 25 s. Then their contexts end with
	// queue.ErrDraining, and after up to Settle (default 5 s) more the worker leaves whatever is left behind.
	Drain, Settle time.Duration
	// StuckAfter is when a handler that ignores its ended context is reported; default 10 s.
	StuckAfter time.Duration
	// ExitWhenEmpty makes Run return once nothing is ready, scheduled or running in the queues, here or elsewhere.
	ExitWhenEmpty bool
	// Codecs beside the client's own, for jobs that name another.
	Codecs []queue.Codec
	// SetLogLevel is called when an operator sets the worker's log level (queue.Client.SetWorkerLogLevel); default
	// zerolog.SetGlobalLevel, which bounds every zerolog logger of the process.
	SetLogLevel func(zerolog.Level)
	// Logger replaces the client's.
	Logger *zerolog.Logger
}

// prepare fills in the defaults and answers every fault at once.
func (c *Config) prepare(space keys.Space) error {
	setDefault(&c.Concurrency, DefaultConcurrency)
	setDefault(&c.SessionTTL, DefaultSessionTTL)
	setDefault(&c.CrashLimit, DefaultCrashLimit)
	setDefault(&c.Drain, DefaultDrain)
	setDefault(&c.Settle, DefaultSettle)
	setDefault(&c.StuckAfter, DefaultStuckAfter)
	c.Retry = c.Retry.Filled()
	if len(c.Queues) == 0 {
		c.Queues = []Queue{{Name: queue.DefaultQueue}}
	}
	var faults []error
	bad := func(field string, value any, allowed string) {
		faults = append(faults, fmt.Errorf("%w %s: %v; allowed: %s", queue.ErrInvalid, field, value, allowed))
	}
	if c.Concurrency < 1 || c.Concurrency > 1_000_000 {
		bad("Concurrency", c.Concurrency, "1 to 1000000")
	}
	if c.SessionTTL < 2*time.Second || c.SessionTTL > time.Hour {
		bad("SessionTTL", c.SessionTTL, "2s to 1h")
	}
	if c.CrashLimit < 1 || c.CrashLimit > 100 {
		bad("CrashLimit", c.CrashLimit, "1 to 100")
	}
	if err := c.Retry.Validate(); err != nil {
		bad("Retry", err, "a valid policy")
	}
	for _, f := range []struct {
		name  string
		value time.Duration
	}{{"Timeout", c.Timeout}, {"Drain", c.Drain}, {"Settle", c.Settle}, {"StuckAfter", c.StuckAfter}} {
		if f.value < 0 {
			bad(f.name, f.value, "0 or more")
		}
	}
	c.Queues = slices.Clone(c.Queues) // the caller's stay as they are
	seen := make(map[string]bool)
	for i := range c.Queues {
		q := &c.Queues[i]
		setDefault(&q.Weight, 1)
		if _, err := space.Queue(q.Name); err != nil {
			faults = append(faults, fmt.Errorf("%w %w", queue.ErrInvalid, err))
		}
		if q.Weight < 1 || q.Weight > 1000 {
			bad("weight of queue "+q.Name, q.Weight, "1 to 1000")
		}
		if q.Concurrency < 0 {
			bad("concurrency of queue "+q.Name, q.Concurrency, "0 (no bound of its own) or more")
		}
		if seen[q.Name] {
			bad("Queues", q.Name, "each name once")
		}
		seen[q.Name] = true
	}
	return errors.Join(faults...)
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
