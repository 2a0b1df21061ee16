package doctor

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/tidemill/tidemill/internal/broker"
)

// sessionsExpireWithin bounds when a session of a healthy worker expires: the session TTL is 1 h at most.
const sessionsExpireWithin = time.Hour + time.Minute

// numbers are the fields of meta that scripts count with.
var numbers = []string{"ghosts", "suspect_ghosts", "token", "beat", "ttl", "no_recover_until", "keep_dead", "enqueued", "succeeded",
	"failed", "died", "cancelled", "expired", "snoozed", "released", "recovered", "redriven", "deleted", "refused", "dead_purged",
	"producers_evicted"}

// number reads a field of meta, 0 where it is not set.
func (r *round) number(field string) (n int64, ok bool) {
	text, set := r.survey.Meta[field]
	if !set {
		return 0, true
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}

// counters looks at the counters: at what they say of stale entries only where they said the same all the while.
func (r *round) counters(ctx context.Context) error {
	for _, field := range numbers {
		if _, ok := r.number(field); !ok {
			if err := r.wrongField(ctx, counter, field, r.survey.Meta[field], "", "no number"); err != nil {
				return err
			}
		}
	}
	if r.books == nil || r.moving {
		return nil
	}
	for i, field := range []string{"ghosts", "suspect_ghosts"} {
		said := []string{r.books.Ghosts, r.books.SuspectGhosts}[i]
		n, err := strconv.ParseInt("0"+said, 10, 64)
		if said != "" && said[0] == '-' {
			n, err = strconv.ParseInt(said, 10, 64)
		}
		if err != nil || n == r.stale[i] {
			continue
		}
		if err := r.wrongField(ctx, counter, field, said, fmt.Sprint(r.stale[i]), fmt.Sprintf("says %d, there are %d", n, r.stale[i])); err != nil {
			return err
		}
	}
	return nil
}

func (r *round) wrongField(ctx context.Context, check, field, value, instead, text string) error {
	i := named(field)
	i.key, i.text = field+" "+value+" "+text, field+": "+text
	i.count = broker.Number{Field: field, Value: value, Instead: instead}
	return r.confirmNumber(ctx, check, i)
}

// ttl is the session TTL that the queue's workers go by.
func (r *round) ttl() time.Duration {
	ms, _ := r.number("ttl")
	return max(r.d.ttl, time.Duration(ms)*time.Millisecond, 2*time.Second)
}

// sessions looks at those that are listed, and at those that have keys.
func (r *round) sessions(ctx context.Context) error {
	alive, beat := false, false
	for _, expiry := range r.survey.Sessions {
		alive = alive || expiry > r.now
	}
	last, _ := r.number("beat")
	until, _ := r.number("no_recover_until")
	beat = r.now-last <= r.ttl().Milliseconds()/2 && r.now >= until
	overdue := r.now - 3*r.ttl().Milliseconds() - 5000
	names := append([]string{}, r.d.strays[r.q.Name()]...)
	for name, expiry := range r.survey.Sessions {
		switch {
		case expiry > r.now+sessionsExpireWithin.Milliseconds():
			names = append(names, name)
		case expiry >= 0 && expiry < overdue && alive && beat:
			r.bags.add(abandoned, named(name))
		}
	}
	for _, name := range names {
		word, jobs, err := r.x.Adopt(ctx, true, name, sessionsExpireWithin, r.ttl())
		if err != nil {
			return err
		}
		i := named(name)
		switch word {
		case broker.AdoptLost:
			i.text = fmt.Sprintf("%s (jobs: %d)", name, jobs)
			r.bags.add(unlisted, i)
		case broker.AdoptCleared:
			r.bags.add(bareLanes, i)
		case broker.AdoptClamped:
			r.bags.add(lateSession, i)
		}
	}
	if late := max(sessionsExpireWithin, 2*r.ttl()).Milliseconds(); until > r.now+late {
		return r.wrongField(ctx, lateRecovery, "no_recover_until", r.survey.Meta["no_recover_until"], fmt.Sprint(r.now),
			"until "+time.UnixMilli(until).UTC().Format(time.RFC3339))
	}
	return nil
}
