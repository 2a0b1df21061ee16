package pubsub

import (
	"context"
	"slices"
	"time"

	"github.com/tidemill/tidemill/internal/bus"
)

const (
	// usualBatch is the most that is read ahead unless Batch says otherwise.
	usualBatch = 256
	// maxHanded is how many messages consumers may have and not settle before nothing more is read, maxWaiting the same of
	// those that wait for their next attempt: their positions are kept, not their content.
	maxHanded  = 1 << 16
	maxWaiting = 100_000
	// maxAhead bounds what is read ahead, in bytes, by the size that messages had lately; one always fits.
	maxAhead = 8 << 20
	// keepAhead is how long what was read ahead, unless Batch says so, waits for a consumer before others may have it.
	keepAhead = time.Second
)

// pace is how fast messages are consumed, and how large they are.
type pace struct {
	ahead int // how many to have ready
	asked int // how often a consumer came for the next, since mark: one that is still at its first is not to be read ahead for
	mark  time.Time
	size  float64 // bytes, a moving average
}

// room is how many messages to read now, 0 = none.
func (w *window) room(batch int) int {
	if w.handed >= maxHanded || len(w.waiting) >= maxWaiting {
		return 0
	}
	ahead := batch
	if batch == 0 {
		ahead = w.pace.adapt(len(w.takers))
	}
	if w.ready.n > ahead/2 {
		return 0
	}
	n := len(w.takers) + ahead - w.ready.n
	if w.pace.size > 1 {
		n = min(n, max(int(maxAhead/w.pace.size), 1))
	}
	return min(n, maxBatch)
}

// adapt answers how many messages to have ready: what is consumed in 100 ms. It doubles at most from one read to the next,
// so that a consumer that turns out slow has taken few from others.
func (p *pace) adapt(idle int) int {
	now := time.Now()
	passed := now.Sub(p.mark)
	if passed < 5*time.Millisecond && idle == 0 {
		return p.ahead
	}
	want := int(float64(p.asked) * float64(100*time.Millisecond) / float64(max(passed, 100*time.Microsecond)))
	p.ahead = min(want, 2*p.ahead+8, usualBatch)
	p.asked, p.mark = 0, now
	return p.ahead
}

// put makes messages ready that were read for a session.
func (m *member) put(epoch uint64, entries []bus.Entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.epoch != epoch {
		return // they are others' by now
	}
	all := make([]delivery, len(entries))
	for i := range entries {
		d := &all[i]
		*d = delivery{m: m, epoch: epoch, entry: entries[i]}
		if m.window.held[d.entry.Position] != nil {
			continue
		}
		m.window.held[d.entry.Position] = d
		if d.entry.Crashes >= bus.CrashLimit-1 {
			m.window.suspects++
		}
		m.window.pace.size += (float64(len(d.entry.Data)) - m.window.pace.size) / 16
		switch {
		case d.entry.Group != "" && d.entry.Group != m.name: // redriven for another group
			m.doneLocked(d)
		case d.entry.Unreadable != "":
			m.giveUpLocked(d, d.entry.Unreadable)
		default:
			m.readyLocked(d)
		}
	}
}

// readyLocked gives a message to a consumer that waits, or keeps it for the next.
func (m *member) readyLocked(d *delivery) {
	w := &m.window
	if len(w.takers) == 0 {
		if d.phase = ready; w.ready.n == 0 {
			w.came = time.Now()
		}
		if d.entry.Crashes >= bus.CrashLimit-1 { // its turn comes at once: a death of this process is to be its own
			w.ready.pushFront(d)
		} else {
			w.ready.pushBack(d)
		}
		return
	}
	t := w.takers[0]
	w.takers = w.takers[:copy(w.takers, w.takers[1:])]
	m.handLocked(d)
	t.c <- d
}

func (m *member) handLocked(d *delivery) {
	d.phase = handed
	m.window.handed++
	if d.entry.Deliveries > 1 {
		m.client.counts.redelivered.Add(1)
	}
}

// take waits for the next message, or a gap. First says that the consumer has had none yet.
func (m *member) take(ctx context.Context, first bool) (*delivery, state, error) {
	for {
		d, state, err := m.takeOne(ctx, first)
		if d != nil || err != nil {
			return d, state, err
		}
	}
}

// takeOne is take that may have been woken for nothing: it answers neither then.
func (m *member) takeOne(ctx context.Context, first bool) (*delivery, state, error) {
	if ctx.Err() != nil {
		return nil, quiet, context.Cause(ctx)
	}
	m.mu.Lock()
	if m.closing {
		defer m.mu.Unlock()
		return m.overLocked()
	}
	w := &m.window
	w.came = time.Now()
	if !first {
		w.pace.asked++
	}
	if w.gap != nil {
		defer m.mu.Unlock()
		gap := w.gap
		w.gap, w.toldUS = nil, w.gapUS
		return nil, more, gap
	}
	if w.ready.n > 0 {
		d := w.ready.popFront()
		m.handLocked(d)
		low := w.ready.n <= max(m.o.batch, w.pace.ahead)/2
		m.mu.Unlock()
		if low && m.more.Load() {
			m.intake.Set()
		}
		return d, more, nil
	}
	t := &taker{c: make(chan *delivery, 1)}
	w.takers = append(w.takers, t)
	m.mu.Unlock()
	m.intake.Set()
	select {
	case d, ok := <-t.c:
		if ok {
			return d, more, nil
		}
	case <-ctx.Done():
		m.forsake(t)
		return nil, quiet, context.Cause(ctx)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.overLocked()
}

func (m *member) overLocked() (*delivery, state, error) {
	if m.err != nil {
		return nil, broken, m.err
	}
	return nil, quiet, ErrClosed
}

// forsake takes back a consumer that no longer waits; a message that it was given meanwhile goes to the next.
func (m *member) forsake(t *taker) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := slices.Index(m.window.takers, t); i >= 0 {
		m.window.takers = slices.Delete(m.window.takers, i, i+1)
		return
	}
	switch d, ok := <-t.c; {
	case d != nil:
		m.releaseLocked(d)
	case ok && m.window.gap != nil:
		m.wakeLocked()
	}
}

// wakeLocked has a consumer that waits look again.
func (m *member) wakeLocked() {
	if w := &m.window; len(w.takers) > 0 {
		t := w.takers[0]
		w.takers = w.takers[:copy(w.takers, w.takers[1:])]
		t.c <- nil
	}
}

// releaseLocked takes a message back whose attempt is not to count.
func (m *member) releaseLocked(d *delivery) {
	if d.epoch != m.epoch || d.phase != handed {
		return
	}
	m.window.handed--
	if len(m.window.takers) > 0 {
		m.readyLocked(d)
		return
	}
	if d.phase = ready; m.window.ready.n == 0 {
		m.window.came = time.Now()
		m.intake.Set()
	}
	m.window.ready.pushFront(d)
}

// staleLocked takes out what was read ahead in vain: no consumer came for it in time. That it comes back by itself is prevented
// by the pace, which is none by then.
func (m *member) staleLocked() (stale []bus.Owned) {
	w := &m.window
	if m.o.batch > 0 || w.ready.n == 0 || time.Since(w.came) < keepAhead {
		return nil
	}
	for w.ready.n > 0 {
		d := w.ready.popFront()
		stale = append(stale, bus.Owned{Position: d.entry.Position, Deliveries: d.entry.Deliveries})
		m.forgetLocked(d)
	}
	w.pace.ahead, w.pace.asked, w.pace.mark = 0, 0, time.Now()
	return stale
}
