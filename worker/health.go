package worker

import (
	"fmt"
	"time"
)

// Health is whether a worker works: not that Redis answers something, but that its own loop of taking jobs and telling
// what they came to goes on.
type Health struct {
	// Ready: it takes jobs from all its queues, or would if there were any. Not while it starts, drains or is quiet.
	Ready   bool
	Phase   string   // starting, working, quiet (told to take nothing), draining or stopped
	Reasons []string // in words why it is not ready; empty where it is
	// Heartbeat is when Redis last answered one, of any queue; zero = it has not yet.
	Heartbeat                             time.Time
	Running, Buffered, Stuck, Concurrency int // handlers; jobs fetched ahead; handlers that ignore their ended context; slots
	Queues                                []QueueHealth
}

// Phases of a worker.
const (
	starting = "starting"
	working  = "working"
	quiet    = "quiet"
	draining = "draining"
	stopped  = "stopped"
)

// QueueHealth is one queue of a worker.
type QueueHealth struct {
	Name              string
	Ready             bool
	Reason            string // in words why it is not
	Session           bool   // it is registered with Redis
	Paused            bool   // by an operator, which is no fault
	Running, Buffered int
	Tally             Tally
}

// Tally counts a worker's mishaps with a queue since it was made.
type Tally struct {
	Recovered    uint64 // jobs that it took back from lost workers
	Refused      uint64 // its writes that came too late: the claim was lost
	SessionsLost uint64 // its own sessions
	ClaimsLost   uint64 // jobs that Redis did not hold for it any more while they ran
}

// Health looks whether the worker works. It asks nobody, is quick, and safe for concurrent use at any time.
func (w *Worker) Health() Health {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	h := Health{Phase: w.phaseLocked(), Running: w.running, Buffered: len(w.buffer), Stuck: w.stuck, Concurrency: w.config.Concurrency}
	if trouble := w.troubleLocked(now); trouble != "" {
		h.Reasons = append(h.Reasons, trouble)
	}
	var common string // the reason of every queue, where they all have the same
	for i, c := range w.consumers {
		q := QueueHealth{Name: c.name, Session: c.active, Paused: c.paused, Running: c.running, Buffered: c.buffered, Tally: c.tally}
		if w.waker != nil && !w.ended {
			q.Reason = w.ailmentLocked(c, now)
			q.Ready = q.Reason == "" && !w.quiet && !w.stopping
		}
		if i == 0 {
			common = q.Reason
		} else if q.Reason != common {
			common = ""
		}
		if c.heard.After(h.Heartbeat) {
			h.Heartbeat = c.heard
		}
		h.Queues = append(h.Queues, q)
	}
	switch {
	case common != "" && len(h.Queues) > 1:
		h.Reasons = append(h.Reasons, "every queue: "+common)
	default:
		for _, q := range h.Queues {
			if q.Reason != "" {
				h.Reasons = append(h.Reasons, fmt.Sprintf("queue %s: %s", q.Name, q.Reason))
			}
		}
	}
	h.Ready = len(h.Reasons) == 0
	return h
}

func (w *Worker) phaseLocked() string {
	switch {
	case w.ended:
		return stopped
	case w.stopping:
		return draining
	case w.waker == nil:
		return starting
	case w.quiet:
		return quiet
	}
	for _, c := range w.consumers {
		if c.heard.IsZero() {
			return starting
		}
	}
	return working
}

// troubleLocked says in words why the worker as a whole is not ready, "" where it is.
func (w *Worker) troubleLocked(now time.Time) string {
	switch phase := w.phaseLocked(); {
	case phase == stopped:
		return "stopped"
	case phase == draining:
		return fmt.Sprintf("draining: it takes no more jobs, %d still run", w.running)
	case phase == quiet:
		return "quiet: it was told to take no jobs"
	case w.waker == nil:
		return "starting: it has no sessions yet"
	case w.stuck > 0 && w.stuck >= w.config.Concurrency:
		return fmt.Sprintf("all %d slots are held by handlers that ignore the end of their context", w.config.Concurrency)
	case !w.stalled.IsZero() && w.looked.Sub(w.stalled) > w.patience():
		return fmt.Sprintf("there is work and a free slot, and no job was asked for in %s", ago(now, w.stalled))
	}
	return ""
}

// patience is how long Redis may take before a worker says that it does not work: a heartbeat that is due, one that is
// not answered, and a second.
func (w *Worker) patience() time.Duration {
	return min(w.ttl/3, beatAtMost) + min(w.ttl/3, 10*time.Second) + time.Second
}

// ailmentLocked says in words why a queue is not served, "" where it is.
func (w *Worker) ailmentLocked(c *consumer, now time.Time) string {
	patience := w.patience()
	old := func(at time.Time) bool { return !at.IsZero() && now.Sub(at) > patience }
	switch {
	case c.broken != nil:
		return fmt.Sprintf("stopped, since Redis refuses its calls: %v", c.broken)
	case c.heard.IsZero():
		return "starting: it has no session yet" + w.because()
	case old(c.heard):
		return fmt.Sprintf("Redis has answered no heartbeat for %s%s", ago(now, c.heard), w.because())
	case !c.active:
		return "its session was lost and the next one is not registered yet"
	}
	for lane := range laneCount {
		if c.calls.flying[lane] != 0 && old(c.calls.sentAt[lane]) {
			return fmt.Sprintf("Redis has not answered a call for jobs for %s", ago(now, c.calls.sentAt[lane]))
		}
	}
	if old(c.telling) {
		return fmt.Sprintf("Redis has not taken what failed jobs came to for %s", ago(now, c.telling))
	}
	return w.waker.ailment(c, now, patience)
}

// because is why the last heartbeat was not answered, where that is known.
func (w *Worker) because() string {
	if w.unheard == nil {
		return ""
	}
	return fmt.Sprintf(" (%v)", w.unheard)
}

// ailment says in words why nobody waits for a queue's work, "" where somebody does.
func (k *waker) ailment(c *consumer, now time.Time, patience time.Duration) string {
	a := k.of[c]
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.waiting != nil && now.Sub(a.began) > blockFor+patience:
		return fmt.Sprintf("the connection that waits for work is dead: no answer for %s, where one is due each %v", ago(now, a.began), blockFor)
	case a.failed.Sub(a.failing) > patience && (a.waiting == nil || now.Sub(a.began) <= patience):
		return fmt.Sprintf("waiting for work has failed for %s (%v)", ago(now, a.failing), a.fault)
	}
	return ""
}

// ago is a time that has passed, for people.
func ago(now, at time.Time) string { return now.Sub(at).Round(100 * time.Millisecond).String() }

// watchLocked notes at each heartbeat whether jobs that could be asked for are: an answer to any call for jobs since the
// last look is enough.
func (w *Worker) watchLocked(now time.Time) {
	due := false
	if !w.stopping && !w.quiet && w.freeLocked() > 0 {
		for _, c := range w.consumers {
			due = due || c.ready() && c.room() > 0
		}
	}
	switch {
	case !due || w.answers != w.seen:
		w.stalled = time.Time{}
	case w.stalled.IsZero():
		w.stalled = now
	}
	w.seen, w.looked = w.answers, now
}
