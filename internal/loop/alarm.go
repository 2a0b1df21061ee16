package loop

import "time"

// Alarm is a timer for what must happen on time. A time.Timer of a process that has nothing else to do fires up to a
// millisecond late on Linux, where the runtime sleeps in whole milliseconds; an Alarm a few hundredths of one. It is not
// safe for concurrent use, but for C.
type Alarm struct {
	c     chan struct{}
	exact *exact      // nil = there is none here
	timer *time.Timer // in its place
}

// NewAlarm returns an Alarm that is not set. Close it after use.
func NewAlarm() *Alarm {
	a := &Alarm{c: make(chan struct{}, 1)}
	if a.exact = newExact(a.ring); a.exact == nil {
		a.timer = time.AfterFunc(time.Hour, a.ring)
		a.timer.Stop()
	}
	return a
}

// Set makes it ring once after d, at once for a d of 0 or less, in place of what it was set to before.
func (a *Alarm) Set(d time.Duration) {
	if a.exact != nil {
		a.exact.set(max(d, 1))
	} else {
		a.timer.Reset(d)
	}
}

// C returns the channel on which it rings. A ring of a time that it was set to before may still come.
func (a *Alarm) C() <-chan struct{} { return a.c }

// Close ends it.
func (a *Alarm) Close() {
	if a.exact != nil {
		a.exact.close()
	} else {
		a.timer.Stop()
	}
}

func (a *Alarm) ring() {
	select {
	case a.c <- struct{}{}:
	default:
	}
}
