package doctor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/wire"
)

// ignoreType drops the error of a key that holds another type: it is a finding of its own.
func ignoreType(err error) error {
	var other *broker.KeyTypeError
	if errors.As(err, &other) {
		return nil
	}
	return err
}

// Repair mends what a report found, and answers what became of each. It looks anew first: what is not there any more is left
// alone, and so is what it finds beyond the report. Errors are those of Examine; what was mended until then is answered too.
func (d *Doctor) Repair(ctx context.Context, r *Report) ([]Repair, error) {
	var all []Repair
	var err error
	if d.ttl, err = d.broker.TTL(ctx); ignoreType(err) != nil {
		return nil, err
	}
	d.strays = r.strays
	for _, name := range slices.Sorted(maps.Keys(r.plans)) {
		m := &mender{d: d, plan: r.plans[name], done: make(map[string]int64)}
		if m.plan.queue == nil {
			err = m.namespace(ctx)
		} else {
			err = m.ofQueue(ctx)
		}
		all = append(all, m.tell(name)...)
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

// mender carries out a plan.
type mender struct {
	d    *Doctor
	plan *plan
	done map[string]int64 // by check
}

// tell says what became of the plan.
func (m *mender) tell(queue string) (out []Repair) {
	for i := range vocabulary {
		w := &vocabulary[i]
		if one := m.plan.bags[w.check]; one != nil && w.mend != "" {
			done := m.done[w.check]
			out = append(out, Repair{Check: w.check, Queue: queue, Text: w.title, Mended: done, Left: max(0, int64(len(one.items))-done)})
		}
	}
	return out
}

// each carries out a repair for every item of a check.
func (m *mender) each(ctx context.Context, from bags, check string, mend func(*item) (bool, error)) error {
	one := from[check]
	if one == nil {
		return nil
	}
	for _, i := range one.items {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		done, err := mend(i)
		if err != nil {
			return fmt.Errorf("%s: %s: %w", check, i.text, err)
		}
		if done {
			m.done[check]++
		}
	}
	return nil
}

func (m *mender) namespace(ctx context.Context) error {
	b, space := m.d.broker, m.d.space
	now, _, err := b.Lives(ctx, nil)
	if err != nil {
		return err
	}
	mark := fmt.Sprint(now.UnixMilli())
	for _, step := range []struct {
		check string
		mend  func(*item) error
	}{
		{badName, func(i *item) error { return b.Unlist(ctx, i.name) }},
		{pokes, func(i *item) error { return b.ExpirePoke(ctx, i.name) }},
		{goneWorkers, func(i *item) error { return b.Withdraw(ctx, i.name) }},
		{goneOrders, func(i *item) error { return b.Dismiss(ctx, i.name) }},
	} {
		if err := m.each(ctx, m.plan.bags, step.check, func(i *item) (bool, error) { return true, step.mend(i) }); err != nil {
			return err
		}
	}
	err = m.each(ctx, m.plan.bags, wrongType, func(i *item) (bool, error) {
		word, err := b.Aside(ctx, false, i.name, space.Aside(i.name, mark), i.other)
		return word == broker.MendDone, err
	})
	if err != nil {
		return err
	}
	return m.each(ctx, m.plan.bags, noName, func(i *item) (bool, error) {
		q, err := space.Queue(i.name)
		if err == nil {
			err = b.AddQueue(ctx, q)
		}
		return err == nil, err
	})
}

// moreRounds bounds how often the counters are counted anew: mending entries changes them, and so does one repair the next.
const moreRounds = 3

func (m *mender) ofQueue(ctx context.Context) error {
	r, err := m.d.rounds(ctx, m.plan.queue, m.plan.bags)
	if err != nil {
		return err
	}
	for i := range vocabulary {
		if err := m.mend(ctx, r, vocabulary[i].check); err != nil {
			return err
		}
	}
	for range moreRounds {
		if m.plan.bags[counter] == nil {
			return nil
		}
		if r, err = m.d.rounds(ctx, m.plan.queue, m.plan.bags); err != nil || r.bags[counter] == nil {
			return err
		}
		if err := m.mend(ctx, r, counter); err != nil {
			return err
		}
	}
	return nil
}

// mend mends what a fresh round found of one check.
func (m *mender) mend(ctx context.Context, r *round, check string) error {
	switch check {
	case unlisted, bareLanes, lateSession:
		return m.each(ctx, r.bags, check, func(i *item) (bool, error) {
			word, _, err := r.x.Adopt(ctx, false, i.name, sessionsExpireWithin, r.ttl())
			return word != broker.AdoptSound, err
		})
	case ghostCount, counter, lateRecovery:
		return m.each(ctx, r.bags, check, func(i *item) (bool, error) {
			words, err := r.x.Recount(ctx, false, []broker.Number{i.count})
			return err == nil && words[0] == broker.MendDone, err
		})
	case bareEntry, listedTwice:
		return m.entries(ctx, r, check)
	case tangled:
		if err := m.entries(ctx, r, check); err != nil {
			return err
		}
		return m.ids(ctx, r, check)
	case bareMember, bareRecord, cutRecord, bareResult, bareMark:
		return m.ids(ctx, r, check)
	case lost:
		return m.lost(ctx, r)
	}
	return nil
}

func (m *mender) entries(ctx context.Context, r *round, check string) error {
	return m.each(ctx, r.bags, check, func(i *item) (bool, error) {
		if i.at == nil {
			return false, nil
		}
		word, err := r.x.Entry(ctx, false, i.entry, i.at)
		return word == broker.MendDone, err
	})
}

// ids mends what is named by ids alone, many at a time.
func (m *mender) ids(ctx context.Context, r *round, check string) error {
	one := r.bags[check]
	if one == nil {
		return nil
	}
	var ids []uuid.UUID
	for _, i := range one.items {
		ids = append(ids, i.id)
	}
	return m.d.eachBatch(ctx, ids, func(batch []uuid.UUID) error {
		words, err := r.mendIDs(ctx, false, check, batch)
		for _, word := range words {
			if word == broker.MendDone {
				m.done[check]++
			}
		}
		return err
	})
}

// lost puts jobs that are in no state back, those that cannot be read to dead.
func (m *mender) lost(ctx context.Context, r *round) error {
	one := r.bags[lost]
	if one == nil {
		return nil
	}
	var ids []uuid.UUID
	for _, i := range one.items {
		ids = append(ids, i.id)
	}
	return m.d.eachBatch(ctx, ids, func(batch []uuid.UUID) error {
		readable := batch[:0:0]
		for _, id := range batch {
			found, err := m.d.broker.Get(ctx, r.q, id)
			if err != nil {
				return err
			}
			var e wire.Envelope
			if reason := e.Decode(found.Envelope); found.Envelope == nil || !errors.Is(reason, wire.ErrCorrupt) {
				readable = append(readable, id)
			} else if err := m.bury(ctx, r, id, &found, reason); err != nil {
				return err
			}
		}
		words, err := r.x.Requeue(ctx, false, readable, nil)
		for _, word := range words {
			if word == broker.MendDone {
				m.done[lost]++
			}
		}
		return err
	})
}

// bury makes a job dead whose envelope cannot be read, with the reason.
func (m *mender) bury(ctx context.Context, r *round, id uuid.UUID, found *broker.Found, reason error) error {
	var state wire.State
	if state.Decode(found.Record) != nil {
		state = wire.State{}
	}
	state.AddFailure(wire.Failure{Attempt: int(state.Attempts), At: r.now, Error: reason.Error()})
	record, _ := state.Append(nil)
	words, err := r.x.Requeue(ctx, false, []uuid.UUID{id}, record)
	if err == nil && words[0] == broker.MendDone {
		m.done[lost]++
	}
	return err
}
