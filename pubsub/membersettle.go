package pubsub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tidemill/tidemill/internal/backoff"
	"github.com/tidemill/tidemill/internal/bus"
	"github.com/tidemill/tidemill/internal/loop"
)

// settleAtMost is how many messages one call settles.
const settleAtMost = 1000

// settleQueue is what Redis has to be told.
type settleQueue struct {
	done, again []*delivery
	dead        []death
}

// death is a message that the group gives up.
type death struct {
	d      *delivery
	reason string
}

// forgetUnowned drops what a new session may not say; done is done.
func (q *settleQueue) forgetUnowned() { q.again, q.dead = nil, nil }

// ack is settler's.
func (d *delivery) ack(context.Context, string) error {
	m := d.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closing {
		return ErrClosed
	}
	switch {
	case d.phase == settling || d.phase == settled:
		return nil
	case d.phase != handed:
		return invalid("ack", "message "+d.entry.Position+" was given back before", "one that is not settled")
	}
	d.own = true
	if d.epoch != m.epoch {
		d.phase = settling
		m.queue.done = append(m.queue.done, d)
		m.settle.Set()
		return fmt.Errorf("ack of %s: %w; it is noted all the same", d.entry.Position, ErrSessionLost)
	}
	m.unhandLocked()
	m.doneLocked(d)
	return nil
}

// unhandLocked takes note that a consumer has one message less.
func (m *member) unhandLocked() {
	if m.window.handed--; m.window.handed == maxHanded-1 {
		m.intake.Set()
	}
}

// doneLocked lets Redis know that a message is done.
func (m *member) doneLocked(d *delivery) {
	d.phase = settling
	m.queue.done = append(m.queue.done, d)
	if len(m.queue.done) == 1 {
		m.settle.Set()
	}
}

// nack is settler's.
func (d *delivery) nack(_ context.Context, _ string, reason error) error {
	if reason == nil {
		reason = errors.New("given back without a reason")
	}
	m := d.m
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.closing:
		return ErrClosed
	case d.phase == settling || d.phase == settled:
		return invalid("nack", "message "+d.entry.Position+" is settled", "one that is not")
	case d.phase != handed:
		return nil
	case d.epoch != m.epoch:
		return fmt.Errorf("nack of %s: %w", d.entry.Position, ErrSessionLost)
	}
	m.unhandLocked()
	tries := d.entry.Deliveries - d.entry.Crashes
	if isDead(reason) || tries >= m.o.maxAttempts {
		m.giveUpLocked(d, reason.Error())
		return nil
	}
	m.client.counts.nacked.Add(1)
	// A new delivery in the place of this one, which is over: its message can still be in its consumer's hands.
	next := &delivery{m: m, epoch: d.epoch, entry: d.entry, phase: waiting, due: time.Now().Add(m.o.backoff.Delay(tries, nil))}
	next.entry.Deliveries++
	next.entry.Data = nil // it is read again when it is due
	d.phase = waiting
	m.window.held[d.entry.Position] = next
	m.window.waiting.push(next)
	m.queue.again = append(m.queue.again, next)
	m.settle.Set()
	m.intake.Set()
	return nil
}

// maxReason is how much of an error is kept with a dead message, in bytes.
const maxReason = 8 << 10

// giveUpLocked puts a message among the dead.
func (m *member) giveUpLocked(d *delivery, reason string) {
	if len(reason) > maxReason {
		reason = reason[:maxReason]
	}
	d.phase = settling
	m.queue.dead = append(m.queue.dead, death{d, reason})
	m.settle.Set()
}

// settleAll tells Redis what was settled, as much as there is in each call, until the member is closing and all is told or
// its time is over.
func (m *member) settleAll() {
	defer close(m.settled)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stop := context.AfterFunc(m.life, func() { time.AfterFunc(closeFor, cancel) })
	defer stop()
	for {
		<-m.settle.C()
		for {
			m.mu.Lock()
			done, again, dead := m.queue.pick()
			g, closing := m.selfLocked(), m.closing
			m.mu.Unlock()
			if len(done)+len(again)+len(dead) == 0 {
				if closing {
					return
				}
				break
			}
			if err := m.tell(ctx, g, done, again, dead); err != nil {
				m.log.Error().Err(err).Int("messages", len(done)+len(again)+len(dead)).Msg("not settled; they will be delivered again")
				if ctx.Err() != nil {
					return
				}
			}
		}
	}
}

// pick takes what one call may carry.
func (q *settleQueue) pick() (done, again []*delivery, dead []death) {
	done, q.done = cut(q.done)
	again, q.again = cut(q.again)
	dead, q.dead = cut(q.dead)
	return done, again, dead
}

func cut[T any](all []T) (some, rest []T) {
	if len(all) <= settleAtMost {
		return all, nil
	}
	return all[:settleAtMost:settleAtMost], all[settleAtMost:]
}

// patient is how calls are repeated that only say what is so already.
var patient = backoff.Policy{Base: 50 * time.Millisecond, Cap: time.Second, Factor: 2, Jitter: 0.5}

// tell makes the calls of one round, again and again while Redis does not answer.
func (m *member) tell(ctx context.Context, g bus.Group, done, again []*delivery, dead []death) error {
	err := m.persist(ctx, func(ctx context.Context) error { return m.tellSettled(ctx, g, done, again) })
	for _, one := range dead {
		err = errors.Join(err, m.persist(ctx, func(ctx context.Context) error { return m.tellDead(ctx, g, one) }))
	}
	return err
}

func (m *member) persist(ctx context.Context, call func(context.Context) error) error {
	return loop.Retry(ctx, patient, func(ctx context.Context) error {
		err := call(ctx)
		if err != nil && fatal(err) {
			go m.close(outward(err))
			return loop.Permanent(err)
		}
		return err
	}, func(err error, _ int, _ time.Duration) {
		m.trouble.Event(m.log.Warn()).Err(err).Msg("settling failed; trying again")
	})
}

func (m *member) tellSettled(ctx context.Context, g bus.Group, done, again []*delivery) error {
	if len(done)+len(again) == 0 {
		return nil
	}
	positions := make([]string, len(done))
	for i, d := range done {
		positions[i] = d.entry.Position
	}
	owned := make([]bus.Owned, len(again))
	for i, d := range again {
		owned[i] = bus.Owned{Position: d.entry.Position, Deliveries: d.entry.Deliveries}
	}
	lost, err := m.streams.Settle(ctx, g, positions, owned)
	if errors.Is(err, bus.ErrNoGroup) {
		err = nil // the heartbeat finds out too, and begins anew
	}
	if err != nil {
		return err
	}
	for _, d := range done {
		if d.own {
			m.client.counts.acked.Add(1)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range done {
		m.forgetLocked(d)
	}
	for _, d := range again {
		// Only of the session that asked: a newer one may have the same message, and waits for its next attempt rightly.
		if d.epoch == m.epoch && d.phase == waiting && slices.Contains(lost, d.entry.Position) {
			m.window.waiting.remove(d)
			m.forgetLocked(d) // also where it is being read again just now
		}
	}
	return nil
}

func (m *member) tellDead(ctx context.Context, g bus.Group, one death) error {
	own, err := m.streams.GiveUp(ctx, g, one.d.entry, one.reason)
	if errors.Is(err, bus.ErrNoGroup) {
		own, err = false, nil
	}
	if err != nil {
		return err
	}
	if own {
		m.client.counts.deadLettered.Add(1)
		m.log.Error().Str("position", one.d.entry.Position).Int("attempt", one.d.entry.Deliveries).Str("error", one.reason).
			Msg("message is dead")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forgetLocked(one.d)
	return nil
}

// forgetLocked lets go of a message that Redis counts as settled.
func (m *member) forgetLocked(d *delivery) {
	d.phase = settled
	if m.epoch != d.epoch || m.window.held[d.entry.Position] != d {
		return
	}
	delete(m.window.held, d.entry.Position)
	if m.window.gone != nil {
		m.window.gone[d.entry.Position] = struct{}{}
	}
	if d.entry.Crashes >= bus.CrashLimit-1 {
		if m.window.suspects--; m.window.suspects == 0 {
			m.beatNow.Set() // there may be another that waited for this one
		}
	}
}
