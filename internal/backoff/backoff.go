// Package backoff computes how long to wait before the next try. It is pure:
// no clock, no sleeping, and randomness is passed in.
package backoff

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// Policy describes waits that grow exponentially up to a cap, each shortened
// by a random part so that many callers who failed together do not come back
// together. A Policy is a value and safe for concurrent use.
type Policy struct {
	// Base is the wait before the second try, before jitter. Must be above 0.
	Base time.Duration
	// Cap is the longest wait ever returned. Must be at least Base.
	Cap time.Duration
	// Factor multiplies the wait from one attempt to the next. Must be at
	// least 1; 1 keeps the wait constant.
	Factor float64
	// Jitter is the share of each wait that is random, from 0 (none) to 1
	// (anything between nothing and the full wait). It only shortens a wait,
	// so Cap holds and waits at the cap still differ.
	Jitter float64
}

// Default is the policy for job retries: 1 s doubling up to 6 h (reached at
// attempt 16), a quarter of it random. 25 attempts span about two and a half days.
var Default = Policy{Base: time.Second, Cap: 6 * time.Hour, Factor: 2, Jitter: 0.25}

// Filled returns the policy with what is 0 as Default has it: no policy at all is Default, and of one Jitter stays, as 0 is
// none. A Base above Default's Cap is its own.
func (p Policy) Filled() Policy {
	if p == (Policy{}) {
		return Default
	}
	p.Base = cmp.Or(p.Base, Default.Base)
	p.Factor = cmp.Or(p.Factor, Default.Factor)
	p.Cap = cmp.Or(p.Cap, max(Default.Cap, p.Base))
	return p
}

// Delay returns the wait after the given failed attempt. Attempts count from 1,
// and anything lower counts as 1. rnd returns numbers in [0,1); nil means
// math/rand/v2. The result lies in [d*(1-Jitter), d] for
// d = min(Cap, Base*Factor^(attempt-1)); it never overflows and is never
// negative, even for a policy that Validate rejects.
func (p Policy) Delay(attempt int, rnd func() float64) time.Duration {
	if rnd == nil {
		rnd = rand.Float64
	}
	d := p.ceiling(attempt)
	d -= d * unit(p.Jitter) * unit(rnd())
	return min(time.Duration(d), max(p.Cap, 0)) // a float64 near Cap may have been rounded up
}

// ceiling returns the wait before jitter in nanoseconds, in [0, Cap].
func (p Policy) ceiling(attempt int) float64 {
	if p.Base <= 0 || p.Cap <= 0 {
		return 0
	}
	d := float64(p.Base) * math.Pow(p.Factor, float64(max(attempt, 1)-1))
	// float64 rounds the largest durations up past MaxInt64, hence Nextafter.
	limit := math.Min(float64(p.Cap), math.Nextafter(math.MaxInt64, 0))
	if math.IsNaN(d) || d > limit {
		return limit
	}
	return math.Max(d, 0)
}

// unit limits v to [0,1]; NaN becomes 0.
func unit(v float64) float64 {
	if !(v > 0) {
		return 0
	}
	return math.Min(v, 1)
}

// Validate returns every fault of the policy joined into one error, or nil.
func (p Policy) Validate() error {
	var faults []error
	if p.Base <= 0 {
		faults = append(faults, fmt.Errorf("backoff: base is %v, must be above 0", p.Base))
	}
	if p.Cap < p.Base || p.Cap <= 0 {
		faults = append(faults, fmt.Errorf("backoff: cap is %v, must be above 0 and at least the base (%v)", p.Cap, p.Base))
	}
	if !(p.Factor >= 1) || math.IsInf(p.Factor, 0) {
		faults = append(faults, fmt.Errorf("backoff: factor is %v, must be a finite number of at least 1", p.Factor))
	}
	if !(p.Jitter >= 0 && p.Jitter <= 1) {
		faults = append(faults, fmt.Errorf("backoff: jitter is %v, must be between 0 and 1", p.Jitter))
	}
	return errors.Join(faults...)
}
