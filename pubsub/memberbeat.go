package pubsub

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/tidemill/tidemill/internal/bus"
)

// beatAtMost is the longest time between two heartbeats, whatever the TTL: what a lost hint costs.
const beatAtMost = 2 * time.Second

// keepAlive sends heartbeats until the member ends.
func (m *member) keepAlive() {
	timer := time.NewTimer(m.interval())
	defer timer.Stop()
	failed := false
	for {
		select {
		case <-m.life.Done():
			return
		case <-timer.C:
		case <-m.beatNow.C():
		}
		began := time.Now()
		next, err := m.beat(m.life)
		switch {
		case m.life.Err() != nil:
			return
		case err != nil && fatal(err):
			go m.close(outward(err))
			return
		case err != nil:
			failed, next = true, m.o.ttl/12
			m.client.set.Refresh()
			m.trouble.Event(m.log.Warn()).Err(err).Msg("heartbeat failed; trying again")
		case failed:
			failed = false
			m.log.Info().Msg("redis answers again")
		}
		timer.Reset(max(time.Until(began.Add(next)), 0))
	}
}

func (m *member) interval() time.Duration { return min(m.o.ttl/3, beatAtMost) }

// beat sends one heartbeat and answers in how long the next is due. One that is not answered in time is given up while
// there is time for another.
func (m *member) beat(parent context.Context) (next time.Duration, err error) {
	ctx, cancel := context.WithTimeout(parent, m.o.ttl/3)
	defer cancel()
	defer func() {
		if errors.Is(err, context.DeadlineExceeded) && parent.Err() == nil {
			err = fmt.Errorf("%w: a heartbeat was not answered within %v", ErrUnavailable, m.o.ttl/3)
		}
	}()
	m.mu.Lock()
	g, mode, from, told := m.selfLocked(), bus.Keep, m.from, m.window.toldUS
	if !m.registered {
		mode = bus.Register
	}
	m.mu.Unlock()
	if mode == bus.Register {
		// Before the first key of the topic: nothing that is not in the set is ever found again.
		if err := m.streams.Add(ctx, m.topic); err != nil && !errors.Is(err, ErrFull) {
			return 0, err
		}
	}
	p, err := m.streams.Beat(ctx, g, mode, m.o.ttl, from, told)
	if err != nil {
		return 0, err
	}
	next = m.interval()
	if p.NextExpiry > 0 { // somebody's session may end before the next beat: look then, a little after
		in := time.Duration(p.NextExpiry-p.NowUS/1000)*time.Millisecond + time.Duration(rand.Int64N(int64(20*time.Millisecond)))
		next = min(next, max(in, 20*time.Millisecond))
	}
	if m.heard(p) {
		next = 0
	}
	return next, nil
}

// heard takes a heartbeat's answer; true says that another is due at once.
func (m *member) heard(p bus.Pulse) (again bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case p.Lost:
		m.log.Error().Str("session", m.session).Msg("session lost: its messages go to other members; beginning a new one")
		m.renewLocked(ErrSessionLost)
		return true
	case p.NoGroup:
		// Nobody deletes a group that has members: Redis lost it. All that is kept may be new to it.
		m.log.Error().Msg("the group is gone from redis; making it anew from the oldest message")
		m.from = "0-0"
		m.renewLocked(ErrSessionLost)
		return true
	}
	if !m.registered || p.Undelivered {
		m.registered = true
		m.more.Store(true)
	}
	m.lapsed = p.Gone
	if p.Missed != "" && p.MissedUS != m.window.gapUS {
		m.missedLocked(p)
	}
	if m.dirty > 0 {
		m.dirty--
		m.check = true
	}
	if m.more.Load() || m.check || len(m.lapsed) > 0 {
		m.intake.Set()
	}
	return false
}

// missedLocked has a consumer told that retention dropped messages that the group had not had. Redis hears of that with the
// next heartbeat, and has another member tell it if this one is gone before.
func (m *member) missedLocked(p bus.Pulse) {
	w := &m.window
	gap := &Gap{From: bus.PositionTime(p.Missed), To: time.UnixMicro(p.MissedUS),
		Reason: "retention dropped messages before the group had them"}
	m.client.counts.gaps.Add(1)
	if w.gap != nil {
		gap.From = w.gap.From
	}
	w.gap, w.gapUS = gap, p.MissedUS
	m.wakeLocked()
}
