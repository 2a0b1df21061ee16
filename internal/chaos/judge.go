package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Violation is a promise that was not kept.
type Violation struct {
	Rule   string // in two or three words
	Job    string // "" concerns them all
	Detail string
}

func (v Violation) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s: %s %s", v.Rule, v.Job, v.Detail))
}

// Rules.
const (
	Lost        = "lost"
	Phantom     = "ran though refused"
	CreatedOver = "created twice"
	TwoStates   = "in two states"
	Stranded    = "in no state"
	ClaimTwice  = "one claim twice"
	Overlap     = "overlaps itself"
	FencedTwice = "fenced twice"
	Unexplained = "repeat without a fault"
	Charged     = "attempt miscounted"
	Revenant    = "ran after its end"
	Miscounted  = "counters disagree"
	StuckRule   = "not drained"
	LeftRule    = "left behind"
	FellRule    = "ended by itself"
)

// Verdict is what the judge found.
type Verdict struct {
	Violations []Violation
	Repeats    map[string]int // claims that started a job again, by what explains them
	Crowded    map[string]int // jobs at the end, by state
	Store      *Store
}

type judge struct {
	Verdict
	h    *History
	e    *Ending
	seen map[string][]Seen // by name
}

// Judge holds what happened against what Redis holds at the end.
func Judge(h *History, e *Ending) *Verdict {
	h.settle()
	j := &judge{h: h, e: e, seen: make(map[string][]Seen)}
	j.Repeats, j.Crowded = make(map[string]int), make(map[string]int)
	j.Store = Replay(h.effects())
	for _, s := range e.Seen {
		j.seen[s.Name] = append(j.seen[s.Name], s)
		j.Crowded[s.State]++
	}
	for _, name := range slices.Sorted(maps.Keys(h.Jobs)) {
		job := h.Jobs[name]
		j.created(job)
		j.accounted(job)
		j.claims(job)
		j.fenced(job)
		j.attempts(job)
		j.ended(job)
	}
	for name, seen := range j.seen {
		if h.Jobs[name] == nil {
			j.fail(Phantom, name, "nobody asked for it, it is %s", seen[0].State)
		}
	}
	j.places()
	j.counters()
	j.whole()
	return &j.Verdict
}

func (j *judge) fail(rule, name, format string, args ...any) {
	j.Violations = append(j.Violations, Violation{rule, name, fmt.Sprintf(format, args...)})
}

// exists tells whether the job was ever there, by all that is known.
func (j *judge) exists(job *Job) bool {
	return job.Fate == Acked || len(job.Claims) > 0 || len(j.seen[job.Name]) > 0
}

// created: as often as it was asked for, once.
func (j *judge) created(job *Job) {
	if job.Acks > 1 {
		j.fail(CreatedOver, job.Name, "%d enqueues of one id were acknowledged", job.Acks)
	}
	if len(job.IDs) > 1 {
		j.fail(CreatedOver, job.Name, "under the ids %v", job.IDs)
	}
	if there := len(job.Claims) > 0 || len(j.seen[job.Name]) > 0; there && job.Fate <= Refused {
		j.fail(Phantom, job.Name, "%d claims, though its enqueue failed or nobody asked for it", len(job.Claims))
	}
	if job.Dups > 0 && job.Acks == 0 && job.unknown == 0 {
		j.fail(Phantom, job.Name, "its enqueue failed, and was a duplicate the next time")
	}
}

// accounted: it has come to an end that is known, or is in a state.
func (j *judge) accounted(job *Job) {
	if !j.exists(job) || job.Steered() || len(j.seen[job.Name]) > 0 {
		return
	}
	if j.h.Lossy && job.Fate != Acked {
		return // it was there, and may have gone with a primary
	}
	switch last := job.Last(); {
	case last == nil:
		j.fail(Lost, job.Name, "acknowledged, never started, in no state")
	case last.Outcome != endOK:
		j.fail(Lost, job.Name, "its last claim %d came to %q, and it is in no state", last.Token, last.Outcome)
	}
}

// fenced: the effect that stands is that of the claim that Redis took.
func (j *judge) fenced(job *Job) {
	for _, s := range j.seen[job.Name] {
		if s.State != stateSucceeded || s.Token == 0 || j.h.Lossy {
			continue
		}
		if stands := j.Store.Standing(job.Name); stands != s.Token {
			j.fail(FencedTwice, job.Name, "Redis took claim %d as the success, and the effect of %d stands", s.Token, stands)
		} else if last := job.Last(); last.Token != s.Token {
			j.fail(FencedTwice, job.Name, "it was claimed as %d after claim %d had succeeded", last.Token, s.Token)
		}
	}
}

// ended: nothing starts once an operator was told that it is over.
func (j *judge) ended(job *Job) {
	if j.h.Lossy {
		return
	}
	for _, op := range job.Ops {
		for _, c := range job.Claims {
			if op.Verb != verbRedrive && op.Done > 0 && c.Token > op.Done {
				j.fail(Revenant, job.Name, "claimed as %d after it was told at %d: %s", c.Token, op.Done, op.Verb)
			}
		}
	}
}

// whole: the things that concern no single job.
func (j *judge) whole() {
	if j.e.Stuck != "" {
		j.fail(StuckRule, "", "%s", j.e.Stuck)
	}
	for _, key := range j.e.Leftover {
		j.fail(LeftRule, "", "%s", key)
	}
	for _, process := range j.e.Fallen {
		j.fail(FellRule, "", "%s", process)
	}
}
