package doctor

import (
	"context"
	"math/bits"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/keys"
)

// Bounds of a round's memory and of its pages.
const (
	gatherAtMost = 1_000_000 // ids that are looked for in lists at a time
	pageAtMost   = 256       // ids
	pageAtLeast  = 16
	pageBytes    = 512 << 10 // of the values behind them
	pageLooks    = 8000      // sorted sets asked, for all ids of a page together
)

// track is an id that must be found in lists.
type track struct {
	holds, generation uint8
	ghosts            uint8 // as its tombstone or its record counts them
	stateless         bool  // in no sorted set: it must have an entry
	live, stale       uint8 // entries found
}

// round is one look at all structures of a queue.
type round struct {
	d      *Doctor
	q      *keys.Queue
	x      *broker.Examiner
	survey broker.Survey
	now    int64 // ms
	page   int

	bags      bags
	suspected map[string]map[uuid.UUID]struct{} // by check: to be confirmed
	full      map[string]bool                   // checks of which there are more
	tracks    map[uuid.UUID]track
	flagged   map[uuid.UUID]track // whose entries must be told one by one

	books    *broker.Books // what the counters said, as long as they say the same
	moving   bool          // they did not
	passed   bool          // the lists were gone through once
	stale    [2]int64      // stale entries, and those among the suspects
	done, of int64
}

func (d *Doctor) newRound(q *keys.Queue) *round {
	return &round{d: d, q: q, x: d.broker.Examine(q, d.strays[q.Name()]), page: 64, bags: make(bags),
		suspected: make(map[string]map[uuid.UUID]struct{}), full: make(map[string]bool), tracks: make(map[uuid.UUID]track), flagged: make(map[uuid.UUID]track)}
}

// run looks at everything.
func (r *round) run(ctx context.Context) error {
	if err := r.open(ctx); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{r.sessions, r.jobs, r.sets, r.fields, r.confirm} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return r.counters(ctx)
}

func (r *round) open(ctx context.Context) error {
	return r.d.again(ctx, func() (err error) {
		if r.survey, err = r.d.broker.Survey(ctx, r.q); err != nil {
			return err
		}
		now, err := r.x.Look(ctx, nil)
		r.now = now.NowMS
		for i, n := range r.survey.Sizes {
			if i != keys.Sessions && i != keys.Meta && i != keys.Producers && i != keys.Wake && i != keys.Due {
				r.of += n
			}
		}
		return err
	})
}

// each goes through a structure page by page.
func (r *round) each(ctx context.Context, key, of string, see func(f *broker.Fact, at int)) error {
	spot := broker.Spot{}
	for at := 0; ; {
		var page broker.Facts
		err := r.d.again(ctx, func() (err error) {
			page, err = r.x.Page(ctx, key, of, r.page, spot)
			return err
		})
		if err != nil {
			return err
		}
		r.read(&page)
		for i := range page.Facts {
			at++ // a lower bound where entries came to the end meanwhile, and from there on a script looks
			see(&page.Facts[i], at)
		}
		for _, odd := range page.Odd {
			r.bags.add(strangeIDs, oddItem(key, odd))
		}
		if spot = page.Next; page.Done {
			return nil
		}
	}
}

// read takes what every page tells: of its cost, and of the counters.
func (r *round) read(page *broker.Facts) {
	r.now = page.NowMS
	next := min(2*r.page, pageAtMost, max(pageAtLeast, pageLooks/(4+len(r.x.Sessions()))))
	if n := len(page.Facts); n > 0 && page.Bytes > 0 {
		next = min(next, max(pageAtLeast, n*pageBytes/page.Bytes))
	}
	r.page = next
	if r.books == nil {
		r.books = &page.Books
	}
	r.moving = r.moving || *r.books != page.Books
	r.done += int64(len(page.Facts))
	r.d.tell(Progress{Queue: r.q.Name(), Done: r.done, Of: r.of})
}

func (r *round) suspect(check string, id uuid.UUID) {
	if r.suspected[check] == nil {
		r.suspected[check] = make(map[uuid.UUID]struct{})
	}
	if _, known := r.suspected[check][id]; known || len(r.suspected[check]) < mostItems {
		r.suspected[check][id] = struct{}{}
	} else {
		r.full[check] = true
	}
}

// setsOf is how many sorted sets hold an id.
func setsOf(f *broker.Fact) int { return bits.OnesCount8(f.Places) + int(f.Claims) }

// jobs goes through the envelopes, and through the lists for those that must have entries.
func (r *round) jobs(ctx context.Context) error {
	var fault error
	err := r.each(ctx, r.q.Key(keys.Jobs), broker.OfHash, func(f *broker.Fact, _ int) {
		job := f.Holds == broker.HoldsJob
		sets, ghosts := setsOf(f), f.Ghosts
		switch {
		case !job:
			ghosts = f.Stones
		case f.Record == 2:
			r.suspect(cutRecord, f.ID)
		}
		if job && sets > 1 {
			r.suspect(tangled, f.ID)
		}
		stateless := job && sets == 0
		if f.Holds == broker.HoldsTombstone || ghosts > 0 || stateless {
			r.tracks[f.ID] = track{holds: f.Holds, generation: f.Generation, ghosts: ghosts, stateless: stateless}
		}
		if len(r.tracks) >= r.d.gather && fault == nil {
			fault = r.lists(ctx)
		}
	})
	if err != nil || fault != nil {
		return firstOf(fault, err)
	}
	if len(r.tracks) > 0 || !r.passed {
		return r.lists(ctx)
	}
	return nil
}

// sets goes through the sorted sets.
func (r *round) sets(ctx context.Context) error {
	see := func(f *broker.Fact, _ int) {
		switch {
		case f.Holds != broker.HoldsJob && setsOf(f) > 0:
			r.suspect(bareMember, f.ID)
		case f.Holds == broker.HoldsJob && setsOf(f) > 1:
			r.suspect(tangled, f.ID)
		}
	}
	names := []string{r.q.Key(keys.Scheduled), r.q.Key(keys.Dead), r.q.Key(keys.Finished)}
	for _, session := range r.x.Sessions() {
		names = append(names, r.q.Running(session))
	}
	for _, name := range names {
		if err := r.each(ctx, name, broker.OfSet, see); err != nil {
			return err
		}
	}
	return nil
}

// fields goes through what is kept beside the jobs.
func (r *round) fields(ctx context.Context) error {
	for _, one := range []struct {
		place int
		check string
	}{{keys.State, bareRecord}, {keys.Results, bareResult}, {keys.Cancels, bareMark}} {
		if r.survey.Sizes[one.place] == 0 {
			continue
		}
		err := r.each(ctx, r.q.Key(one.place), broker.OfHash, func(f *broker.Fact, _ int) {
			switch {
			case one.place == keys.State && f.Record == 0: // it has gone since
			case f.Holds != broker.HoldsJob, one.place == keys.Cancels && f.Mark == 2:
				r.suspect(one.check, f.ID)
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// confirm asks the scripts that would mend.
func (r *round) confirm(ctx context.Context) error {
	for check, ids := range r.suspected {
		err := r.d.eachBatch(ctx, keysOf(ids), func(batch []uuid.UUID) error {
			words, err := r.mendIDs(ctx, true, check, batch)
			for i := range words {
				if words[i] == broker.MendDone {
					r.bags.add(check, ofID(batch[i]))
				}
			}
			return err
		})
		if err != nil {
			return err
		}
		if r.full[check] {
			r.bags.overflow(check)
		}
	}
	return nil
}

// mendIDs mends defects that are named by their ids alone.
func (r *round) mendIDs(ctx context.Context, dry bool, check string, ids []uuid.UUID) ([]broker.Mended, error) {
	switch check {
	case tangled:
		return r.x.Untangle(ctx, dry, ids)
	case lost:
		return r.x.Requeue(ctx, dry, ids, nil)
	}
	return r.x.Clear(ctx, dry, ids)
}
