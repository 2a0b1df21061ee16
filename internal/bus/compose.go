package bus

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/tidemill/tidemill/internal/conn"
)

// silent is for how long a connection gave no sign of life.
type silent time.Duration

func (s silent) Error() string {
	return fmt.Sprintf("no sign of life for %v", time.Duration(s).Round(time.Second))
}
func (silent) Unwrap() error { return conn.ErrUnavailable }

// write sends what is to be sent, and gives up a connection that is silent.
func (l *link) write(ctx context.Context, c net.Conn) {
	timer := time.NewTimer(silence)
	defer timer.Stop()
	var batch []byte
	for {
		var next time.Duration
		var err error
		batch, next, err = l.compose(batch[:0])
		if err == nil && len(batch) > 0 {
			if err = c.SetWriteDeadline(time.Now().Add(patience)); err == nil {
				_, err = c.Write(batch)
			}
		}
		if err != nil {
			l.give(err)
			return
		}
		if cap(batch) > maxCommand {
			batch = nil
		}
		timer.Reset(next)
		select {
		case <-ctx.Done():
			return
		case <-l.wake.C():
		case <-timer.C:
		}
	}
}

// compose encodes what is to be sent now, and says when to look again at the latest.
func (l *link) compose(b []byte) (batch []byte, next time.Duration, err error) {
	l.hub.mu.Lock()
	defer l.hub.mu.Unlock()
	now := time.Now()
	quiet := l.quiet(now)
	if len(l.pending) > 0 {
		waited := min(quiet, now.Sub(l.pending[0].at))
		if waited >= patience {
			return nil, 0, silent(quiet)
		}
		next = patience - waited
	}
	b = l.composeLocked(b, now)
	if len(b) >= maxBatch {
		return b, 0, nil
	}
	idle := now.Sub(l.asked)
	switch {
	case len(l.pending) > 0 && next > 0:
	case len(l.pending) > 0:
		next = patience
	case l.unmarked.Load() && idle >= markEvery, min(quiet, idle) >= silence:
		l.unmarked.Store(false)
		b = l.sendLocked(b, &command{ping: true}, now)
		next = patience
	case l.unmarked.Load():
		next = markEvery - idle
	default:
		next = silence - min(quiet, idle)
	}
	return b, next, nil
}

// sendLocked encodes a command and notes that it is under way.
func (l *link) sendLocked(b []byte, c *command, now time.Time) []byte {
	c.at, l.asked = now, now
	c.epochs = make([]uint32, len(c.topics))
	for i, t := range c.topics {
		t.epoch++
		t.sent, t.acked = c.on, false
		c.epochs[i] = t.epoch
	}
	l.pending = append(l.pending, c)
	return appendCommand(b, c)
}

// bundle tells which names may stand in one command: in a Cluster, sharded channels of one slot.
type bundle struct {
	kind Kind
	on   bool
	slot int
}

// composeLocked encodes the commands for all topics that changed, as many as fit.
func (l *link) composeLocked(b []byte, now time.Time) []byte {
	for len(l.groups) > 0 && len(b) < maxBatch {
		var c command
		for _, t := range l.groups[0] {
			if t.link == l && !t.deleted && t.wanted > 0 && !t.sent {
				c.topics = append(c.topics, t)
			}
		}
		l.groups = l.groups[1:]
		if len(c.topics) > 0 {
			c.kind, c.on = c.topics[0].kind, true
			b = l.sendLocked(b, &c, now)
		}
	}
	open := make(map[bundle]*command)
	size := make(map[bundle]int)
	flush := func(of bundle) {
		if c := open[of]; c != nil {
			b = l.sendLocked(b, c, now)
			delete(open, of)
			delete(size, of)
		}
	}
	total, at := len(b), 0
	for ; at < len(l.dirty) && total < maxBatch; at++ {
		t := l.dirty[at]
		of, due := l.bundleLocked(t)
		if !due {
			continue
		}
		if open[of] == nil {
			open[of] = &command{kind: of.kind, on: of.on}
		}
		open[of].topics = append(open[of].topics, t)
		size[of] += len(t.name) + 16
		total += len(t.name) + 16
		if len(open[of].topics) == maxNames || size[of] >= maxCommand {
			flush(of)
		}
	}
	if l.dirty = l.dirty[at:]; len(l.dirty) == 0 {
		l.dirty = nil
	} else {
		l.wake.Set()
	}
	for of := range open {
		flush(of)
	}
	return b
}

// bundleLocked tells what is to be sent for a topic, if anything.
func (l *link) bundleLocked(t *topic) (of bundle, due bool) {
	if t.link != l || t.deleted {
		return of, false
	}
	t.dirty = false
	switch {
	case t.wanted > 0 && t.sent:
		return of, false
	case t.wanted == 0 && !t.sent:
		l.hub.deleteLocked(t) // what was sent for it before, if anything, is answered for nobody
		return of, false
	}
	of = bundle{kind: t.kind, on: t.wanted > 0}
	if t.kind == Shard && l.hub.set.Cluster() {
		of.slot = slotOf(t.name)
	}
	return of, true
}
