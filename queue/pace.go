package queue

import "time"

// pace finds out which calls carry more jobs, large or small ones: small ones where Redis and this process would both sleep
// between two large ones, large ones where the processors have other work. It goes on with one, tries the other from time to
// time, and compares what they carried.
type pace struct {
	large   bool          // calls are large now
	trial   bool          // they are so, or small, for a trial
	turned  bool          // the last trial that is over has turned it
	rates   [2]float64    // jobs a second while there were any, of small calls and of large; 0 = not known
	answers int           // since this stint began
	jobs    int           // in them, but for the first
	busy    time.Duration // how long those took
}

const (
	// paceHold is how long one way is gone on with before the other is tried, and paceTrial for how long it is; where answers
	// take long, for so many of them. Once a trial has turned it, the way that was left is tried again after paceTurned already:
	// one moment may have misled.
	paceHold      = 500 * time.Millisecond
	paceTurned    = 60 * time.Millisecond
	paceTrial     = 20 * time.Millisecond
	holdAnswers   = 50 * trialAnswers
	turnedAnswers = 6 * trialAnswers
	trialAnswers  = convoyCalls + 8
	// pacePause is what a longer time without an answer counts for: it says little of either way.
	pacePause = 100 * time.Millisecond
	// paceWorth is how many times as many jobs small calls must carry, as they cost more of Redis, and of this process; and
	// paceKeep how many times as many where they are in use, so that one moment does not decide.
	paceWorth, paceKeep = 1.25, 1.05
)

// note takes into account that so many jobs were answered, so long after those before them. It is true where a stint ended.
func (p *pace) note(jobs int, took time.Duration) bool {
	if p.answers++; p.answers <= convoyCalls { // of calls of before
		return false
	}
	p.jobs, p.busy = p.jobs+jobs, p.busy+min(took, pacePause)
	if long, least := p.stint(); p.busy < long || p.answers < least {
		return false
	}
	rate := &p.rates[way(p.large)]
	if now := float64(p.jobs) / p.busy.Seconds(); p.trial && !p.turned && *rate > 0 { // a trial is short
		*rate = (*rate + now) / 2
	} else {
		*rate = now
	}
	large, turned := !p.large, p.turned
	if p.trial {
		worth := paceWorth
		if p.large { // only for the trial
			worth = paceKeep
		}
		large = p.rates[way(false)] <= worth*p.rates[way(true)]
		turned = large == p.large
	}
	*p = pace{large: large, trial: !p.trial, turned: turned, rates: p.rates}
	return true
}

// stint is how long a stint is, and how many answers at least.
func (p *pace) stint() (time.Duration, int) {
	switch {
	case p.trial || p.rates[way(!p.large)] == 0: // or nothing is known of the other way
		return paceTrial, trialAnswers
	case p.turned:
		return paceTurned, turnedAnswers
	}
	return paceHold, holdAnswers
}

func way(large bool) int {
	if large {
		return 1
	}
	return 0
}
