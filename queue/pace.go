package queue

import "time"

// pace finds out which calls carry more jobs, large or small ones: small ones where Redis and this process would both sleep
// between two large ones, large ones where the processors have other work. It measures one, tries the other from time to time,
// and goes on with the better.
type pace struct {
	large   bool          // calls are large now
	trial   bool          // they are so, or small, for a trial
	rates   [2]float64    // jobs a second while there were any, of small calls and of large: moving averages; 0 = not known
	jobs    int           // of this window
	busy    time.Duration // of this window
	windows int           // that have ended since the last trial began or ended
}

const (
	// paceWindow is over how long a rate is taken.
	paceWindow = 5 * time.Millisecond
	// paceTrial is how many windows a trial has; the first does not count, as calls of before end in it.
	paceTrial = 3
	// paceHold is after how many windows there is a trial again.
	paceHold = 100
	// paceWorth is how many times as many jobs small calls must carry: they cost more of Redis, and of this process.
	paceWorth = 1.25
)

// note takes into account that so many jobs were answered, so long after those before them.
func (p *pace) note(jobs int, took time.Duration) {
	p.jobs += jobs
	if p.busy += took; p.busy < paceWindow {
		return
	}
	rate := &p.rates[way(p.large)]
	switch now := float64(p.jobs) / p.busy.Seconds(); {
	case p.windows == 0 && p.trial: // calls of before ended in it
	case *rate == 0:
		*rate = now
	default:
		*rate += (now - *rate) / 4
	}
	p.jobs, p.busy = 0, 0
	p.windows++
	switch {
	case p.trial && p.windows >= paceTrial:
		p.trial = false
		p.turn(p.rates[way(false)] <= paceWorth*p.rates[way(true)])
	case !p.trial && p.windows >= paceHold || p.rates[way(!p.large)] == 0 && p.windows >= paceTrial:
		p.trial = true
		p.turn(!p.large)
	}
}

// turn has calls be large or small from here on.
func (p *pace) turn(large bool) {
	if p.large != large {
		p.large, p.windows = large, 0
	} else {
		p.windows = 1
	}
}

func way(large bool) int {
	if large {
		return 1
	}
	return 0
}
