package doctor

import (
	"context"
	"fmt"
	"math"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/keys"
)

// eachEntry goes through all lists, each from its end: so no entry that stays where it is can be missed.
func (r *round) eachEntry(ctx context.Context, see func(f *broker.Fact, stand broker.Stand)) error {
	for i := range 11 {
		list := keys.Ready + 9 - i
		if i == 10 {
			list = keys.Suspect
		}
		err := r.each(ctx, r.q.Key(list), broker.OfList, func(f *broker.Fact, at int) { see(f, broker.Stand{List: list, At: at}) })
		if err != nil {
			return err
		}
	}
	return nil
}

// live tells whether a list entry is the one by which its job is ready.
func live(f *broker.Fact) bool { return f.Holds == broker.HoldsJob && f.Generation == f.Entry }

func increment(n *uint8) {
	if *n < math.MaxUint8 {
		*n++
	}
}

// lists looks for the ids that were gathered, and at every entry.
func (r *round) lists(ctx context.Context) error {
	first := !r.passed
	r.passed = true
	err := r.eachEntry(ctx, func(f *broker.Fact, stand broker.Stand) {
		t, known := r.tracks[f.ID]
		switch {
		case f.Holds == broker.HoldsNothing:
			r.flag(f.ID, t)
			return
		case live(f):
			increment(&t.live)
			if setsOf(f) > 0 || t.live > 1 {
				r.flag(f.ID, t)
			}
		default:
			increment(&t.stale)
			if first {
				r.stale[0]++
			}
			if first && stand.List == keys.Suspect {
				r.stale[1]++
			}
			if f.Holds == broker.HoldsJob && f.Ghosts == 0 || f.Holds == broker.HoldsTombstone && f.Stones == 0 {
				r.flag(f.ID, t)
			}
		}
		if known {
			r.tracks[f.ID] = t
		}
	})
	if err != nil {
		return err
	}
	for id, t := range r.tracks {
		if t.stateless && t.live == 0 {
			r.suspect(lost, id)
		}
		if t.stale != t.ghosts {
			r.flag(id, t)
		}
	}
	clear(r.tracks)
	return r.single(ctx)
}

func (r *round) flag(id uuid.UUID, t track) {
	if _, known := r.flagged[id]; known || len(r.flagged) < mostItems {
		r.flagged[id] = t
	}
}

// entries are those of one id: the live ones, and the stale ones, which are bare where there is no job.
type entries struct {
	fact  broker.Fact // at the last one
	moves bool        // it was another job, or had moved, at one before
	live  map[string][]broker.Stand
	bare  map[string][]broker.Stand
	stale []broker.Stale
}

// single looks at the entries of the flagged ids one by one.
func (r *round) single(ctx context.Context) error {
	if len(r.flagged) == 0 {
		return nil
	}
	found := make(map[uuid.UUID]*entries, len(r.flagged))
	err := r.eachEntry(ctx, func(f *broker.Fact, stand broker.Stand) {
		if _, wanted := r.flagged[f.ID]; !wanted {
			return
		}
		e := found[f.ID]
		if e == nil {
			e = &entries{live: make(map[string][]broker.Stand), bare: make(map[string][]broker.Stand)}
			found[f.ID] = e
		}
		e.moves = e.moves || e.fact.Holds != 0 && number(&e.fact) != number(f)
		e.fact = *f
		entry := broker.EntryOf(f.ID, f.Entry)
		switch {
		case f.Holds == broker.HoldsNothing:
			e.bare[entry] = append(e.bare[entry], stand)
		case live(f):
			e.live[entry] = append(e.live[entry], stand)
		default:
			e.stale = append(e.stale, broker.Stale{Entry: entry, Stand: stand})
		}
	})
	if err != nil {
		return err
	}
	for id, t := range r.flagged {
		if err := r.judge(ctx, id, t, found[id]); err != nil {
			return err
		}
	}
	clear(r.flagged)
	return nil
}

// judge says what is wrong with the entries of an id, if the scripts that would mend it say so too.
func (r *round) judge(ctx context.Context, id uuid.UUID, t track, e *entries) error {
	if e == nil { // it has none, and was said to have stale ones
		e = &entries{fact: broker.Fact{ID: id, Holds: t.holds, Stones: t.ghosts, Generation: t.generation, Ghosts: t.ghosts}}
	}
	for _, group := range []map[string][]broker.Stand{e.bare, e.live} {
		for entry, at := range group {
			check := bareEntry
			if e.fact.Holds != broker.HoldsNothing {
				if check = listedTwice; setsOf(&e.fact) > 0 {
					check = tangled
				} else if len(at) < 2 {
					continue
				}
			}
			word, err := r.x.Entry(ctx, true, entry, at)
			if err != nil {
				return err
			}
			if word == broker.MendDone {
				i := ofID(id)
				i.key, i.entry, i.at = i.key+entry, entry, at // beside what is said of its sorted sets
				r.bags.add(check, i)
			}
		}
	}
	return r.judgeNumber(ctx, e)
}

// books is what an id says of its stale entries: its generation, -1 for a tombstone, and how many.
type books struct{ generation, ghosts int }

func number(f *broker.Fact) books {
	if f.Holds == broker.HoldsTombstone {
		return books{-1, int(f.Stones)}
	}
	return books{int(f.Generation), int(f.Ghosts)}
}

// judgeNumber holds how many stale entries there are against what the id says.
func (r *round) judgeNumber(ctx context.Context, e *entries) error {
	said, there := number(&e.fact), len(e.stale)
	if e.moves || e.fact.Holds == broker.HoldsNothing || said.ghosts == there || there > math.MaxUint8 {
		return nil
	}
	i := ofID(e.fact.ID)
	i.count = broker.Number{ID: e.fact.ID, Generation: said.generation, Seen: said.ghosts, To: there}
	if there > said.ghosts { // the script sees for itself that they are there
		i.count.Stale = e.stale
	}
	i.key += fmt.Sprint(said.generation, said.ghosts, there)
	i.text = fmt.Sprintf("%s: says %d, there are %d", e.fact.ID, said.ghosts, there)
	return r.confirmNumber(ctx, ghostCount, i)
}

func (r *round) confirmNumber(ctx context.Context, check string, i *item) error {
	words, err := r.x.Recount(ctx, true, []broker.Number{i.count})
	if err == nil && words[0] == broker.MendDone {
		r.bags.add(check, i)
	}
	return err
}
