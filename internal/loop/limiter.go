package loop

import (
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// DefaultLimit is the interval of a Limiter that was given none.
const DefaultLimit = 10 * time.Second

// Limiter keeps a repeating event from flooding the log: the first goes out at
// once, then at most one each interval, which says how many were held back.
// The zero value works with DefaultLimit. Safe for concurrent use; do not copy
// after first use.
type Limiter struct {
	interval time.Duration

	mu         sync.Mutex
	next       time.Time
	suppressed int
}

// NewLimiter returns a Limiter that lets one event through each interval;
// 0 or less means DefaultLimit.
func NewLimiter(interval time.Duration) *Limiter {
	return &Limiter{interval: interval}
}

// Allow reports whether an event may go out now and, if so, how many were held
// back since the last that did.
func (l *Limiter) Allow() (suppressed int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if now.Before(l.next) {
		l.suppressed++
		return 0, false
	}
	interval := l.interval
	if interval <= 0 {
		interval = DefaultLimit
	}
	l.next = now.Add(interval)
	suppressed, l.suppressed = l.suppressed, 0
	return suppressed, true
}

// Event passes e through when an event may go out, with the field "suppressed"
// if some were held back, and returns nil otherwise. zerolog ignores everything
// done to a nil event, so the call reads
// limiter.Event(log.Warn()).Err(err).Msg("...").
func (l *Limiter) Event(e *zerolog.Event) *zerolog.Event {
	if e == nil { // the level is off: nothing goes out, so nothing is counted
		return nil
	}
	suppressed, ok := l.Allow()
	if !ok {
		return nil
	}
	if suppressed > 0 {
		e = e.Int("suppressed", suppressed)
	}
	return e
}
