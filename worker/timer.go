package worker

import (
	"context"
	"sync"
	"time"

	"github.com/tidemill/tidemill/internal/loop"
)

const (
	timerStretch = 10 * time.Second // the longest sleep without looking again
	timerReread  = time.Second      // a longer one ends this early, to read the server's time again
	backupAfter  = time.Second      // how long the holder has, before others promote in its place
)

// timer makes delayed jobs ready when they are due. Whoever takes a due token holds a queue's timer and sleeps to the
// due time; others only back it up. Promotion is atomic, so two holders are harmless.
type timer struct {
	w    *Worker
	look *loop.Trigger

	mu     sync.Mutex
	queues map[*consumer]*alarm
}

// alarm is one queue's timer in this process.
type alarm struct {
	at     time.Time // when to promote next; zero = not set
	target int64     // the due time (server ms) that promote answered for at; 0 = at is for another reason
	holder bool
	server serverClock // of the queue's server
}

func newTimer(w *Worker) *timer {
	t := &timer{w: w, look: loop.NewTrigger(), queues: make(map[*consumer]*alarm)}
	for _, c := range w.consumers {
		t.queues[c] = new(alarm)
	}
	return t
}

// arm makes this process the holder of a queue's timer: its scheduled set has a new head.
func (t *timer) arm(c *consumer) {
	t.mu.Lock()
	a := t.queues[c]
	a.holder, a.at, a.target = true, time.Now(), 0
	t.mu.Unlock()
	t.look.Set()
}

// heard backs up the holder by what a heartbeat answered: due (server ms), 0 for none.
func (t *timer) heard(c *consumer, due int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.queues[c]
	if due == 0 {
		if !a.holder {
			a.at = time.Time{}
		}
		return
	}
	at := t.local(due)
	if !a.holder {
		at = at.Add(backupAfter + jitter(200*time.Millisecond))
	} else {
		at = reread(at)
	}
	if a.at.IsZero() || at.Before(a.at) || !a.holder {
		a.at, a.target = at, 0
		t.look.Set()
	}
}

// local is this machine's time at a server time (ms).
func (t *timer) local(ms int64) time.Time {
	now := time.Now()
	server := now.UnixMicro() + t.w.offset.Load()
	return now.Add(time.Duration(soonEnough(ms, server)*1000-server) * time.Microsecond)
}

// soonEnough is a due time (server ms), or a nearer one by which it will have been looked at again: a time.Duration holds 292
// years, and a job may be due in 9999.
func soonEnough(ms, nowUS int64) int64 { return min(ms, nowUS/1000+time.Hour.Milliseconds()) }

// reread ends a long sleep early enough to read the server's time again.
func reread(at time.Time) time.Time {
	left := time.Until(at)
	switch {
	case left > timerStretch:
		return time.Now().Add(timerStretch)
	case left > timerReread:
		return at.Add(-timerReread / 2)
	}
	return at
}

// Run promotes until ctx ends.
func (t *timer) Run(ctx context.Context) error {
	clock := loop.NewAlarm()
	defer clock.Close()
	for ctx.Err() == nil {
		c, wait := t.next()
		if c != nil {
			t.promote(ctx, c)
			continue
		}
		clock.Set(wait)
		select {
		case <-ctx.Done():
		case <-clock.C():
		case <-t.look.C():
		}
	}
	return nil
}

// next answers a queue whose time has come, or how long until one's has.
func (t *timer) next() (*consumer, time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	wait := time.Hour
	for c, a := range t.queues {
		if a.at.IsZero() {
			continue
		}
		left := time.Until(a.at)
		if left <= 0 {
			a.at = time.Time{}
			return c, 0
		}
		wait = min(wait, left)
	}
	return nil, wait
}

// promote makes ready what is due and sets the alarm anew by the server's answer. A holder that finds its work done by
// another leaves the timer to that one.
func (t *timer) promote(ctx context.Context, c *consumer) {
	sent := time.Now()
	p, err := t.w.broker.Promote(ctx, c.keys)
	came := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.queues[c]
	if err != nil {
		if ctx.Err() == nil {
			t.w.outage.Event(t.w.log.Warn()).Err(err).Str("queue", c.name).Msg("making delayed jobs ready failed; trying again")
		}
		a.at = time.Now().Add(200*time.Millisecond + jitter(200*time.Millisecond))
		return
	}
	t.w.sync(p.NowUS)
	a.server.read(sent, came, p.NowUS)
	if p.Moved > 0 {
		a.holder = true
	} else if a.target > 0 && p.NowUS/1000 >= a.target && (p.Next == 0 || p.Next > a.target) {
		a.holder = false
	}
	if p.Next == 0 {
		return
	}
	at := a.server.reach(soonEnough(p.Next, p.NowUS))
	switch {
	case p.Next*1000 <= p.NowUS:
	case a.holder:
		at = reread(at)
	default:
		at = at.Add(backupAfter + jitter(200*time.Millisecond))
	}
	// An alarm that was set while Redis was asked stands: the answer may not know of the job that it is for.
	if a.at.IsZero() || at.Before(a.at) {
		a.at, a.target = at, p.Next
	}
}
