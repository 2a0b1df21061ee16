package doctor

import (
	"context"
	"fmt"
	"strconv"

	"github.com/tidemill/tidemill/internal/keys"
)

// oddItem names a member that is no id.
func oddItem(key, member string) *item {
	i := named(key + "\x00" + member)
	if len(member) > 40 {
		member = member[:40] + "..."
	}
	i.text = key + ": " + strconv.Quote(member)
	return i
}

// sound says how much was looked at.
func (r *round) sound() string {
	s := &r.survey.Sizes
	ready := s[keys.Suspect]
	for p := range 10 {
		ready += s[keys.Ready+p]
	}
	rest := "" // not counted here: some list entries are stale
	if s[keys.Jobs] > ready+s[keys.Scheduled]+s[keys.Dead]+s[keys.Finished] {
		rest = ", others run"
	}
	return fmt.Sprintf("jobs: %d (list entries %d, scheduled %d, dead %d, finished %d%s), sessions: %d", s[keys.Jobs], ready,
		s[keys.Scheduled], s[keys.Dead], s[keys.Finished], rest, len(r.survey.Sessions))
}

// remarks are what is no defect of the queue and good to know.
func (r *round) remarks() (out []Finding) {
	alive, gone := 0, 0
	for _, expiry := range r.survey.Sessions {
		if expiry > r.now {
			alive++
		} else {
			gone++
		}
	}
	if gone > 0 && alive == 0 {
		out = append(out, Finding{Level: Note, Check: "waiting-for-a-worker", Queue: r.q.Name(), Count: int64(gone),
			Text: fmt.Sprintf("sessions of workers that are gone: %d", gone), Means: "The next worker that serves this queue takes their jobs back."})
	}
	return out
}

// Jobs that a queue may have in a Cluster: moving a larger hash to another server blocks both for too long.
const mostInCluster = 250_000

// heavy is how large a queue's jobs are before that is worth a note.
const heavy = 1 << 30

// weigh looks at the largest key of a queue.
func (d *Doctor) weigh(ctx context.Context, rep *Report, r *round) error {
	jobs := r.survey.Sizes[keys.Jobs]
	if jobs < 1000 {
		return nil
	}
	size, err := d.broker.Weigh(ctx, r.q.Key(keys.Jobs))
	if err != nil {
		return err
	}
	f := Finding{Level: OK, Check: "big-keys", Queue: r.q.Name(), Text: fmt.Sprintf("%s holds %d jobs in about %s", r.q.Key(keys.Jobs), jobs, bytesText(size))}
	switch {
	case d.set.Cluster() && jobs > mostInCluster:
		f.Level, f.Means = Warning, fmt.Sprintf("Moving its slot to another server blocks both; up to %d jobs a queue are promised. Spread them over more queues.", mostInCluster)
	case size > heavy:
		f.Level, f.Means = Note, "Copying it, to disk or to a replica, takes its time."
	}
	rep.add(f)
	return nil
}

// bytesText is an amount of memory for people.
func bytesText(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}
