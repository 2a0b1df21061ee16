package chaos

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/tidemill/tidemill/worker"
)

// guarded is how long after an outage nobody's session is held to have expired.
const guarded = 6 * time.Second

// Recovered is a job that ran in a process when it was killed, and started again.
type Recovered struct {
	Job         *Job
	Had, Next   *Claim
	Took        time.Duration // from the kill
	Suspect     bool          // it had crashed its worker before, and so is tried alone
	Undisturbed bool          // nothing happened to the server meanwhile
}

// Recoveries are the jobs that ran in killed processes and started again, the quickest first; but for those that waited
// for an operator to redrive them.
func (h *History) Recoveries() (all []Recovered) {
	kills := make(map[string]int64)
	for _, s := range h.Strikes {
		if s.Kind == Kill {
			kills[s.Process] = s.From
		}
	}
	for _, job := range h.Jobs {
		for i := 1; i < len(job.Claims); i++ {
			had, next := &job.Claims[i-1], &job.Claims[i]
			at, dead := kills[had.Process]
			if !dead || had.End > 0 || had.Start > at || next.Start < at || job.redriven() {
				continue
			}
			disturbed := slices.ContainsFunc(h.where[""], func(s Strike) bool {
				return s.Kind != Flush && s.From <= next.Start && s.To+guarded.Microseconds() >= at
			})
			all = append(all, Recovered{Job: job, Had: had, Next: next, Took: time.Duration(next.Start-at) * time.Microsecond,
				Suspect: next.Crashes >= worker.DefaultCrashLimit-1, Undisturbed: !disturbed})
		}
	}
	slices.SortFunc(all, func(a, b Recovered) int { return cmp.Compare(a.Took, b.Took) })
	return all
}

// spread says how long some of them took.
func spread(all []Recovered, these func(Recovered) bool) string {
	all = slices.DeleteFunc(slices.Clone(all), func(r Recovered) bool { return !these(r) })
	if len(all) == 0 {
		return "none"
	}
	at := func(p float64) time.Duration {
		return all[int(p*float64(len(all)-1))].Took.Round(time.Millisecond)
	}
	return fmt.Sprintf("%d jobs of killed processes started again after p50 %v, p99 %v, max %v", len(all), at(.5), at(.99), at(1))
}

// story tells of one in detail: what happened to the server meanwhile, and how often to others.
func (h *History) story(r Recovered) string {
	kill := r.Next.Start - r.Took.Microseconds()
	text := fmt.Sprintf("%s (crashes %d, then %d), killed in %s, after %v in %s", r.Job.Name, r.Had.Crashes, r.Next.Crashes,
		r.Had.Process, r.Took.Round(time.Millisecond), r.Next.Process)
	others := 0
	for _, s := range h.Strikes {
		switch {
		case s.To < kill || s.From > r.Next.Start:
		case s.Process != "":
			others++
		case s.Kind != Flush:
			text += fmt.Sprintf("; %s %s from %+.1f to %+.1f s", s.Kind, s.Way, float64(s.From-kill)/1e6, float64(s.To-kill)/1e6)
		}
	}
	return fmt.Sprintf("%s; faults of processes meanwhile: %d", text, others)
}
