package chaos

import (
	"maps"
	"slices"
)

// States as listings name them.
const stateSucceeded = "succeeded"

// Verbs of an operator.
const (
	verbCancel  = "cancel"
	verbDelete  = "delete"
	verbRedrive = "redrive"
)

// places: every id is in one place, in the listing as in the keys.
func (j *judge) places() {
	for _, name := range slices.Sorted(maps.Keys(j.seen)) {
		if seen := j.seen[name]; len(seen) > 1 {
			j.fail(TwoStates, name, "%s as %s and %s as %s", seen[0].State, seen[0].ID, seen[1].State, seen[1].ID)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(j.e.Places)) {
		switch at := j.e.Places[id]; {
		case len(at) == 0:
			j.fail(Stranded, id, "it is stored, and in no place")
		case len(at) > 1:
			j.fail(TwoStates, id, "%v", at)
		}
	}
}

// counters: what the queues counted adds up, and is what the ledgers say.
func (j *judge) counters() {
	sum, here := make(map[string]int64), int64(0)
	for _, s := range j.e.Seen {
		if s.State != stateSucceeded && s.State != "cancelled" && s.State != "expired" { // those are counted as ended
			here++
		}
	}
	for _, n := range j.e.Counters {
		for name, x := range n {
			sum[name] += x
		}
	}
	ends := sum["succeeded"] + sum["cancelled"] + sum["expired"] + sum["deleted"] + here
	if over := j.over(); ends < sum["enqueued"] || ends > sum["enqueued"]+over {
		j.fail(Miscounted, "", "%d enqueued, %d ended or there, of which %d may have been deleted when they had succeeded", sum["enqueued"], ends, over)
	}
	if j.h.Lossy {
		return // a primary that fell took some of its counting with it
	}
	var created, succeeded, steered int64
	for name, job := range j.h.Jobs {
		if !j.exists(job) {
			if job.Steered() && job.Fate == Maybe { // an operator saw it
				created++
			}
			continue
		}
		created++
		switch seen := j.seen[name]; {
		case job.Steered():
			if job.ran(func(Claim) bool { return true }) {
				steered++
			}
		case len(seen) == 0 || seen[0].State == stateSucceeded:
			succeeded++
		}
	}
	if sum["enqueued"] != created {
		j.fail(Miscounted, "", "Redis created %d jobs, the ledgers know %d", sum["enqueued"], created)
	}
	if n := sum["succeeded"]; n < succeeded || n > succeeded+steered {
		j.fail(Miscounted, "", "Redis took %d acknowledgements; %d jobs succeeded, and %d that ran and that an operator steered may have", n, succeeded, steered)
	}
}

// over counts the jobs that may have ended before an operator deleted them, and so have two ends: each was kept.
func (j *judge) over() (n int64) {
	for _, job := range j.h.Jobs {
		if slices.ContainsFunc(job.Ops, func(o Op) bool {
			return o.Verb == verbDelete && job.ran(func(c Claim) bool { return o.Done == 0 || c.End < o.Done })
		}) {
			n++
		}
	}
	return n
}
