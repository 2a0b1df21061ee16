package queue

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/wire"
)

// check says what is wrong with the options, every fault at once in the order of the fields.
func (o *ListOptions) check() error {
	if _, known := listed[o.State]; !known {
		return invalid("state", fmt.Sprintf("%q", string(o.State)), stateNames())
	}
	kinds := strings.Fields(o.Kind)
	if o.Kind != "" && len(kinds) == 0 { // which must not mean all
		return invalid("kind", fmt.Sprintf("%q", o.Kind), "a kind, or several with spaces between them")
	}
	for _, kind := range kinds {
		if at := strings.Index(kind, "*"); at >= 0 && at < len(kind)-1 {
			return invalid("kind", fmt.Sprintf("%q", kind), "a kind, or a prefix of kinds with one * at its end")
		}
	}
	for _, f := range []struct {
		name string
		at   time.Time
	}{{"since", o.Since}, {"until", o.Until}} {
		if !f.at.IsZero() && !storable(f.at) {
			return invalid(f.name, f.at.String(), storableTimes)
		}
	}
	if !o.Since.IsZero() && !o.Until.IsZero() && !o.Since.Before(o.Until) {
		return invalid("until", o.Until.Format(time.RFC3339Nano), "a time after since")
	}
	if o.Limit < 0 {
		return invalid("limit", fmt.Sprint(o.Limit), "0 (all) or more")
	}
	return nil
}

// listed is which places of the engine a listing of a state looks at. A job goes through them in this order: one that
// moves meanwhile is met twice rather than missed.
var listed = map[State][]broker.State{
	"":        {broker.StateScheduled, broker.StateSuspect, broker.StateReady, broker.StateRunning, broker.StateDead, broker.StateFinished},
	Scheduled: {broker.StateScheduled}, Suspect: {broker.StateSuspect}, Ready: {broker.StateReady}, Running: {broker.StateRunning},
	cancellable: {broker.StateScheduled, broker.StateSuspect, broker.StateReady, broker.StateRunning},
	DeadState:   {broker.StateDead}, Finished: {broker.StateFinished}, Succeeded: {broker.StateFinished},
	Cancelled: {broker.StateFinished}, Expired: {broker.StateFinished},
}

// stateNames lists the states that a listing may ask for.
func stateNames() string {
	return join(Ready, Suspect, Scheduled, Running, DeadState, Finished, Succeeded, Cancelled, Expired)
}

func join(states ...State) string {
	names := make([]string, len(states))
	for i, s := range states {
		names[i] = string(s)
	}
	return strings.Join(names, ", ")
}

// start is where a listing of a state's jobs begins, and whether there can be any: times narrow what is sorted by them.
func (o *ListOptions) start(state broker.State) (from broker.Place, some bool) {
	unit := int64(time.Millisecond)
	switch state {
	case broker.StateReady:
		return broker.Place{Priority: wire.MaxPriority}, true
	case broker.StateSuspect, broker.StateFinished: // by no time that is asked for
		return from, true
	case broker.StateRunning:
		unit = int64(time.Microsecond)
	}
	if !o.Since.IsZero() {
		from.At = max(0, steps(o.Since, unit))
	}
	if !o.Until.IsZero() {
		if from.Last = steps(o.Until, unit) - 1; from.Last <= 0 {
			return from, false
		}
	}
	return from, true
}

// steps counts units from 1970 to t, rounded up.
func steps(t time.Time, unit int64) int64 {
	per := int64(time.Second) / unit
	n := t.Unix() * per
	if rest := int64(t.Nanosecond()); rest > 0 {
		n += (rest + unit - 1) / unit
	}
	return n
}

// filter is the options as they are held against each job.
type filter struct {
	*ListOptions
	kinds  []string // of which one must be the job's, or begin it where it ends in a *; none: any kind
	text   string   // of the error, in lower case
	masked string   // the same as it stands in an ErrorGroup; empty: it holds nothing that is masked
}

func newFilter(o *ListOptions) filter {
	// No kind holds a space: see CheckKind.
	f := filter{ListOptions: o, kinds: strings.Fields(o.Kind), text: strings.ToLower(o.Error)}
	if strings.ContainsAny(f.text, "#…") {
		// The ellipsis at the end of a group's text, or of what a terminal shows of it, stands for any rest.
		f.masked = strings.TrimSuffix(f.text, "…")
	}
	return f
}

// wantsKind tells whether a kind is one of those asked for.
func (f *filter) wantsKind(kind string) bool {
	return len(f.kinds) == 0 || slices.ContainsFunc(f.kinds, func(wanted string) bool {
		prefix, pattern := strings.CutSuffix(wanted, "*")
		return kind == wanted || pattern && strings.HasPrefix(kind, prefix)
	})
}

// wants tells whether a job is one that was asked for.
func (f *filter) wants(s *Snapshot) bool {
	switch {
	case (f.State == Succeeded || f.State == Cancelled || f.State == Expired) && s.State != f.State:
		return false
	case !f.wantsKind(s.Kind):
		return false
	case f.text != "" && !f.erred(s):
		return false
	}
	for key, value := range f.Meta {
		if got, has := s.Meta[key]; !has || got != value {
			return false
		}
	}
	at := s.stateTime()
	return (f.Since.IsZero() || !at.Before(f.Since)) && (f.Until.IsZero() || at.Before(f.Until))
}

// erred looks for the text in what went wrong last: as it is, and as DeadByError shows it, so that a group's text finds
// its jobs.
func (f *filter) erred(s *Snapshot) bool {
	texts := []string{s.Reason}
	if n := len(s.Errors); n > 0 {
		texts = append(texts, s.Errors[n-1].Error)
	}
	if s.Corrupt != nil {
		texts = append(texts, s.Corrupt.Error())
	}
	return slices.ContainsFunc(texts, func(text string) bool {
		return strings.Contains(strings.ToLower(text), f.text) || f.masked != "" && strings.Contains(strings.ToLower(mask(text)), f.masked)
	})
}

// stateTime is the time by which a state's jobs are looked for.
func (s *Snapshot) stateTime() time.Time {
	switch s.State {
	case Scheduled:
		return s.DueAt
	case Running:
		return s.StartedAt
	case Ready, Suspect:
		return s.CreatedAt
	}
	return s.EndedAt
}
