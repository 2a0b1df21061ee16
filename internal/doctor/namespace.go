package doctor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/conn"
	"github.com/tidemill/tidemill/internal/keys"
)

// landscape is what the names of keys tell.
type landscape struct {
	d        *Doctor
	bags     bags
	sessions map[string]map[string]bool // by queue; a queue with keys is in it
	keys     int64
}

// namespace looks at the names of keys and at what is kept for the whole namespace, and answers the queues to look at.
func (d *Doctor) namespace(ctx context.Context, r *Report) ([]string, error) {
	l := &landscape{d: d, bags: make(bags), sessions: make(map[string]map[string]bool)}
	scanned := d.again(ctx, func() error { return d.broker.Scan(ctx, d.match(), l.found) })
	if scanned != nil && (ctx.Err() != nil || conn.Retryable(scanned)) {
		return nil, scanned
	}
	if scanned != nil {
		r.add(unchecked("keys", scanned))
	}
	listed, err := d.broker.Queues(ctx)
	if err != nil && conn.Retryable(err) {
		return nil, err
	}
	names, err := l.names(listed)
	if err != nil {
		return nil, err
	}
	if err := l.strays(ctx); err != nil {
		return nil, err
	}
	if len(d.options.Queues) == 0 {
		if err := l.processes(ctx); err != nil {
			r.add(unchecked("workers", err))
		}
	}
	if err := l.confirm(ctx); err != nil {
		return nil, err
	}
	if len(l.bags) > 0 {
		r.plans[""] = &plan{bags: l.bags}
	}
	found := l.bags.findings("")
	if len(found) == 0 {
		found = append(found, Finding{Level: OK, Check: "keys", Text: fmt.Sprintf("%d looked at, queues: %d", l.keys, len(names))})
	}
	r.add(found...)
	return names, nil
}

// match is the pattern of the keys to look at. Names hold nothing that a pattern gives a meaning.
func (d *Doctor) match() string {
	if len(d.options.Queues) == 1 {
		return d.space.Name() + ":{" + d.options.Queues[0] + "}:*"
	}
	return d.space.Name() + ":*"
}

func (d *Doctor) wanted(queue string) bool {
	return len(d.options.Queues) == 0 || slices.Contains(d.options.Queues, queue)
}

// found sorts a key in by its name. Those of namespaces whose names begin or go on alike match the pattern too; they are none
// of this one's business.
func (l *landscape) found(key, kind string) {
	if l.keys++; l.keys%1000 == 0 {
		l.d.tell(Progress{Done: l.keys})
	}
	name := keys.Parse(key)
	switch {
	case name.Space != "" && name.Space != l.d.space.Name():
		return
	case name.Queue == "" && len(l.d.options.Queues) > 0, name.Queue != "" && !l.d.wanted(name.Queue):
		return
	case name.Aside:
		l.bags.add(asideKeys, named(key))
		return
	case name.Kind == "":
		l.bags.add(strangeKeys, named(key))
		return
	case name.Kind != kind:
		l.bags.add(wrongType, ofType(key, kind, name.Kind))
	case strings.HasPrefix(name.Part, keys.PokePart):
		l.bags.add(pokes, named(key))
		return
	}
	if name.Queue != "" {
		l.ofQueue(&name, name.Kind == kind)
	}
}

// ofQueue notes that a queue has keys, and which sessions have some that are sound.
func (l *landscape) ofQueue(name *keys.Name, sound bool) {
	if l.sessions[name.Queue] == nil {
		l.sessions[name.Queue] = make(map[string]bool)
	}
	for _, prefix := range []string{keys.RunningPart, keys.LanesPart} {
		if session, is := strings.CutPrefix(name.Part, prefix); is && sound {
			l.sessions[name.Queue][session] = true
		}
	}
}

func ofType(key, kind, want string) *item {
	i := named(key)
	i.other, i.text = want, fmt.Sprintf("%s (a %s, not a %s)", key, kind, want)
	return i
}

// names are the queues that are listed or have keys.
func (l *landscape) names(listed []string) ([]string, error) {
	all := make(map[string]bool)
	for _, name := range listed {
		if _, err := l.d.space.Queue(name); err != nil && l.d.wanted(name) {
			l.bags.add(badName, named(name))
			continue
		}
		all[name] = true
	}
	for name := range l.sessions {
		if !all[name] {
			l.bags.add(noName, named(name))
		}
		all[name] = true
	}
	names := slices.Sorted(maps.Keys(all))
	for _, name := range l.d.options.Queues {
		if !all[name] {
			return nil, &UnknownQueueError{Name: name, All: names}
		}
	}
	return slices.DeleteFunc(names, func(name string) bool { return !l.d.wanted(name) }), nil
}

// strays tells the sessions that have keys from those that are listed.
func (l *landscape) strays(ctx context.Context) error {
	l.d.strays = make(map[string][]string)
	for name, sessions := range l.sessions {
		q, err := l.d.space.Queue(name)
		if err != nil || len(sessions) == 0 {
			continue
		}
		survey, err := l.d.broker.Survey(ctx, q)
		if err != nil && conn.Retryable(err) {
			return err
		}
		for session := range sessions {
			if _, known := survey.Sessions[session]; !known && err == nil {
				l.d.strays[name] = append(l.d.strays[name], session)
			}
		}
	}
	return nil
}

// confirm looks again, after a pause, at what may have been on its way.
func (l *landscape) confirm(ctx context.Context) error {
	again := map[string]func(*item) (bool, error){
		wrongType: func(i *item) (bool, error) {
			word, err := l.d.broker.Aside(ctx, true, i.name, l.d.space.Aside(i.name, "0"), i.other)
			return word == broker.MendDone, err
		},
		noName: func(i *item) (bool, error) { return l.unlisted(ctx, i.name) },
		pokes:  func(i *item) (bool, error) { return l.d.broker.Forever(ctx, i.name) },
	}
	paused := false
	for check, holds := range again {
		one := l.bags[check]
		if one == nil {
			continue
		}
		if !paused {
			if err := l.d.wait(ctx); err != nil {
				return err
			}
			paused = true
		}
		for key, i := range one.items {
			ok, err := holds(i)
			if err != nil {
				return err
			}
			if !ok {
				delete(one.items, key)
			}
		}
		if len(one.items) == 0 {
			delete(l.bags, check)
		}
	}
	return nil
}

// unlisted tells whether a queue has keys and is not listed.
func (l *landscape) unlisted(ctx context.Context, name string) (bool, error) {
	q, err := l.d.space.Queue(name)
	if err != nil {
		return false, err
	}
	listed, err := l.d.broker.Listed(ctx, name)
	if listed || err != nil {
		return false, ignoreType(err)
	}
	survey, err := l.d.broker.Survey(ctx, q)
	if err != nil {
		return true, ignoreType(err)
	}
	sum := int64(0)
	for _, n := range survey.Sizes {
		sum += n
	}
	return sum > 0 || len(l.sessions[name]) > 0, nil
}
