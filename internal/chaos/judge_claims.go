package chaos

import (
	"cmp"
	"slices"
	"time"
)

// aftermath is how long after a process was hurt its claims may still suffer for it: until it has connected again.
const aftermath = 2 * time.Second

// claims: a claim is one, and a process runs one attempt at a job at a time.
func (j *judge) claims(job *Job) {
	for i, c := range job.Claims {
		if i > 0 && job.Claims[i-1].Token == c.Token {
			j.fail(ClaimTwice, job.Name, "%s and %s both hold %d", job.Claims[i-1].Process, c.Process, c.Token)
		}
		if c.starts > 1 || c.strayEnds > 0 {
			j.fail(ClaimTwice, job.Name, "%s started %d %d times", c.Process, c.Token, c.starts)
		}
	}
	byStart := slices.SortedFunc(slices.Values(job.Claims), func(a, b Claim) int { return cmp.Compare(a.Start, b.Start) })
	open := make(map[string]Claim)
	for _, c := range byStart {
		if had, started := open[c.Process]; started && (had.End == 0 || had.End > c.Start) {
			j.fail(Overlap, job.Name, "%s started %d while %d ran", c.Process, c.Token, had.Token)
		}
		open[c.Process] = c
	}
}

// attempts: what starts a job again is a failure, which costs an attempt, or what explains it, which costs none.
func (j *judge) attempts(job *Job) {
	for i := 1; i < len(job.Claims); i++ {
		before, again := &job.Claims[i-1], &job.Claims[i]
		failed := before.Outcome == endFail || before.Outcome == endDead
		step := again.Attempt - before.Attempt
		cause := j.explain(before, again)
		anew := again.Attempt == 1 && job.redriven() || step < 0 && cause == string(Failover) // which forgot a failure
		if !anew && (step < 0 || step > 1 || step == 1 && !failed) {
			j.fail(Charged, job.Name, "attempt %d (%s) is followed by %d", before.Attempt, cmp.Or(before.Outcome, "cut short"), again.Attempt)
		}
		if !repeats(before, again) {
			continue
		}
		if cause == "" {
			j.fail(Unexplained, job.Name, "%s had %d from %d (%s), %s started it as %d at %d", before.Process, before.Token, before.Start,
				cmp.Or(before.Outcome, "cut short"), again.Process, again.Token, again.Start)
			continue
		}
		j.Repeats[cause]++
	}
}

// repeats tells whether a claim does again what the one before was there for.
func repeats(before, again *Claim) bool {
	switch before.Outcome {
	case endSnooze, endDrain, endCancel:
		return false
	case endFail, endDead:
		return again.Attempt == before.Attempt
	}
	return true
}

// explain names the fault that took a claim from its process, the first one that could have; "" is none.
func (j *judge) explain(before, again *Claim) string {
	var first *Strike
	least := j.h.TTL.Microseconds() / 2
	for _, place := range []string{before.Process, slotOf(before.Process), ""} {
		for i := range j.h.where[place] {
			s := &j.h.where[place][i]
			if s.From > again.Start || s.To+aftermath.Microseconds() < before.Token || first != nil && first.From <= s.From {
				continue
			}
			long := s.To-s.From >= least
			switch s.Kind {
			case Kill, Failover:
				first = s
			case Term:
				if s.Unclean {
					first = s
				}
			case Stop, Link, Starved:
				if long && s.Way != slow {
					first = s
				}
			}
		}
	}
	if first == nil {
		return ""
	}
	return string(first.Kind)
}
