package pubsub

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tidemill/tidemill/internal/bus"
)

// fetchAtMost is how many messages are read again by their positions in one round trip.
const fetchAtMost = 100

// takeIn brings messages in as there is room for them: those whose next attempt is due, those that gone members left, and
// new ones. Nothing else reads for the session, so that between two reads all that Redis counts as its own is at hand,
// but for what a lost reply left.
func (m *member) takeIn() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	failures := 0
	for {
		select {
		case <-m.life.Done():
			return
		case <-timer.C:
		case <-m.intake.C():
		}
		again, err := m.takeAll()
		switch {
		case m.life.Err() != nil:
			return
		case err == nil:
			failures = 0
		case fatal(err):
			go m.close(outward(err))
			return
		default:
			failures++
			again = min(50*time.Millisecond<<min(failures-1, 5), time.Second)
			m.stumble(err)
		}
		timer.Reset(again)
	}
}

// stumble takes note of a call of which nobody knows whether it was carried out.
func (m *member) stumble(err error) {
	m.mu.Lock()
	m.dirty = 2
	m.mu.Unlock()
	m.more.Store(true)
	if errors.Is(err, bus.ErrNoGroup) {
		m.beatNow.Set()
		return
	}
	m.client.set.Refresh()
	m.trouble.Event(m.log.Warn()).Err(err).Msg("reading failed; trying again")
}

// takeAll takes steps while there is something to do, and answers in how long there is again, if nothing happens before.
func (m *member) takeAll() (time.Duration, error) {
	for m.life.Err() == nil {
		did, err := m.step(m.life)
		if err != nil {
			return 0, err
		}
		if !did {
			break
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	in := time.Hour
	if w := &m.window; len(w.waiting) > 0 {
		in = time.Until(w.waiting[0].due)
	}
	if m.o.batch == 0 && m.window.ready.n > 0 {
		in = min(in, time.Until(m.window.came.Add(keepAhead)))
	}
	return max(in, time.Millisecond), nil
}

func (m *member) step(ctx context.Context) (bool, error) {
	m.mu.Lock()
	g, epoch, registered, check := m.selfLocked(), m.epoch, m.registered, m.check
	room := m.window.room(m.o.batch)
	var stale []bus.Owned
	var due []*delivery
	if registered && !check { // what is taken out here must go its way
		if stale = m.staleLocked(); len(stale) == 0 {
			due = m.dueLocked()
		}
	}
	gone := ""
	if len(m.lapsed) > 0 {
		gone = m.lapsed[0]
	}
	suspect := m.window.suspects == 0
	m.check = false
	m.mu.Unlock()
	switch {
	case !registered:
		return false, nil
	case check:
		return true, m.reconcile(ctx, g, epoch)
	case len(stale) > 0:
		return true, m.streams.Shelve(ctx, g, stale)
	case len(due) > 0:
		return true, m.again(ctx, due, epoch)
	case room == 0:
		return false, nil
	case gone != "":
		return true, m.recover(ctx, g, epoch, gone, room, suspect)
	case m.more.Swap(false):
		return true, m.read(ctx, g, epoch, room)
	}
	return false, nil
}

// read takes new messages.
func (m *member) read(ctx context.Context, g bus.Group, epoch uint64, room int) error {
	entries, err := m.streams.Read(ctx, g, room)
	if err != nil {
		return err
	}
	if len(entries) == room {
		m.more.Store(true)
	}
	m.put(epoch, entries)
	return nil
}

// recover takes what a gone member left, or one that lives had no use for.
func (m *member) recover(ctx context.Context, g bus.Group, epoch uint64, gone string, room int, suspect bool) error {
	r, err := m.streams.Recover(ctx, g, gone, m.o.ttl, room, suspect)
	if err != nil {
		return err
	}
	if r.Lost {
		m.beatNow.Set()
	}
	if r.Dead > 0 {
		m.client.counts.deadLettered.Add(uint64(r.Dead))
		m.log.Error().Int("messages", r.Dead).Msg("messages are dead: their consumers died while they had them")
	}
	if n := len(r.Entries); n > 0 && !bus.IsShelf(gone) {
		m.log.Info().Int("messages", n).Str("session", gone).Msg("took over what a gone member left")
	}
	m.put(epoch, r.Entries)
	m.mu.Lock()
	defer m.mu.Unlock()
	// What may have killed two members is taken one at a time: the rest waits for it, or for other members.
	if (!r.More || len(r.Entries) == 0) && m.epoch == epoch && len(m.lapsed) > 0 && m.lapsed[0] == gone {
		m.lapsed = m.lapsed[1:]
	}
	return nil
}

// dueLocked takes out the messages whose next attempt is due.
func (m *member) dueLocked() (due []*delivery) {
	w := &m.window
	now := time.Now()
	for len(due) < fetchAtMost && w.ready.n < usualBatch && len(w.waiting) > 0 && !w.waiting[0].due.After(now) {
		due = append(due, w.waiting.pop())
	}
	return due
}

// again reads messages once more for their next attempt. Their content was not kept meanwhile.
func (m *member) again(ctx context.Context, due []*delivery, epoch uint64) error {
	positions := make([]string, len(due))
	for i, d := range due {
		positions[i] = d.entry.Position
	}
	entries, err := m.streams.Fetch(ctx, m.topic, positions)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.epoch != epoch {
		return err
	}
	due = slices.DeleteFunc(due, func(d *delivery) bool { return d.phase != waiting }) // found to be another's meanwhile
	if err != nil {
		for _, d := range due {
			m.window.waiting.push(d)
		}
		return err
	}
	found := make(map[string]bus.Entry, len(entries))
	for _, e := range entries {
		found[e.Position] = e
	}
	for _, d := range due {
		e, ok := found[d.entry.Position]
		if !ok {
			m.trimmedLocked(d)
			continue
		}
		d.entry.Data = e.Data
		m.readyLocked(d)
	}
	return nil
}

// trimmedLocked lets go of a message that retention dropped between two attempts.
func (m *member) trimmedLocked(d *delivery) {
	m.log.Warn().Str("position", d.entry.Position).Msg("a message that was to be tried again is no longer kept")
	m.doneLocked(d)
}

// reconcile finds the messages that Redis counts as the session's and that never arrived: the reply was lost.
func (m *member) reconcile(ctx context.Context, g bus.Group, epoch uint64) error {
	m.setGone(make(map[string]struct{}))
	defer m.setGone(nil)
	for from := "-"; ; {
		owned, err := m.streams.Pending(ctx, g, from, 1000)
		if err != nil {
			return err
		}
		missing := make(map[string]int)
		m.mu.Lock()
		for _, o := range owned {
			if _, gone := m.window.gone[o.Position]; !gone && m.window.held[o.Position] == nil {
				missing[o.Position] = o.Deliveries
			}
		}
		m.mu.Unlock()
		if err := m.rescue(ctx, missing, epoch); err != nil {
			return err
		}
		if len(owned) < 1000 {
			return nil
		}
		if from = bus.PositionBehind(owned[len(owned)-1].Position); from == "" {
			return nil
		}
	}
}

func (m *member) setGone(gone map[string]struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.window.gone = gone
}

// rescue takes in messages by their positions.
func (m *member) rescue(ctx context.Context, missing map[string]int, epoch uint64) error {
	positions := make([]string, 0, fetchAtMost)
	flush := func() error {
		entries, err := m.streams.Fetch(ctx, m.topic, positions)
		if err != nil {
			return err
		}
		for i := range entries {
			entries[i].Deliveries = missing[entries[i].Position]
			delete(missing, entries[i].Position)
		}
		m.put(epoch, entries)
		m.mu.Lock()
		defer m.mu.Unlock()
		m.dirty = 2
		for _, position := range positions {
			if _, trimmed := missing[position]; trimmed && m.epoch == epoch {
				m.queue.done = append(m.queue.done, &delivery{m: m, epoch: m.epoch, entry: bus.Entry{Position: position}})
				m.settle.Set()
			}
		}
		positions = positions[:0]
		return nil
	}
	all := make([]string, 0, len(missing))
	for position := range missing {
		all = append(all, position)
	}
	bus.SortPositions(all)
	for _, position := range all {
		if positions = append(positions, position); len(positions) == fetchAtMost {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if len(positions) == 0 {
		return nil
	}
	return flush()
}
