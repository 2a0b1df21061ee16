package worker

import (
	"context"
	"errors"
	"time"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/conn"
	"github.com/tidemill/tidemill/internal/loop"
	"github.com/tidemill/tidemill/queue"
)

// keeper keeps the sessions: a heartbeat each third of the TTL (2 s at most), on a connection of its own. Its answers arm every timer
// of the process and tell what else there is to know.
type keeper struct {
	w      *Worker
	now    *loop.Trigger // beat at once
	failed bool
	away   map[*consumer]bool // queues whose part of a Cluster did not answer the last beat; used in a turn only
	turn   chan struct{}      // held during a beat, and for ever after goodbye
	outage *loop.Limiter      // of its own: that heartbeats fail must not go under among what else an outage stops

	line *conn.Line // of its own
}

func newKeeper(w *Worker, line *conn.Line) *keeper {
	return &keeper{w: w, line: line, now: loop.NewTrigger(), away: make(map[*consumer]bool), turn: make(chan struct{}, 1),
		outage: loop.NewLimiter(outageEvery)}
}

// broker issues the keeper's calls on its own connection.
func (k *keeper) broker() *broker.Broker { return k.w.broker.With(k.line.Client()) }

// Run beats until ctx ends.
func (k *keeper) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-k.now.C():
		}
		select {
		case <-ctx.Done():
			return nil
		case k.turn <- struct{}{}:
		}
		began := time.Now()
		next, err := k.beat(ctx)
		<-k.turn
		if ctx.Err() == nil {
			k.w.mu.Lock()
			k.w.unheard = err
			k.w.mu.Unlock()
		}
		switch {
		case err != nil && ctx.Err() == nil:
			k.failed = true
			k.w.conn.Doubt()
			if err := k.line.Renew(); err != nil {
				k.w.log.Error().Err(err).Msg("could not open the connection for heartbeats")
			}
			k.outage.Event(k.w.log.Warn()).Err(err).Msg("heartbeat failed; trying again")
			next = k.w.ttl / 12 // reconnects with less than TTL/6
		case err == nil && k.failed:
			// The connection was away: others may be dead without knowing it, and a blocking pop may never return.
			k.failed = false
			k.w.conn.DropSilent()
			k.w.waker.recycle(k.w.consumers...)
			k.w.log.Info().Msg("redis answers again")
		}
		if err == nil && len(k.away) > 0 {
			// The line stays: a new one would ask some server of the Cluster where the slots are, and where that is the one
			// that is frozen the beat fails for all queues. Connections that did not answer were closed.
			k.w.conn.Doubt()
			next = min(next, k.w.ttl/12)
		}
		timer.Reset(max(time.Until(began.Add(next)), 0))
	}
}

// beatAtMost is the longest time between two heartbeats, whatever the TTL: what a lost hint or token costs.
const beatAtMost = 2 * time.Second

// beat sends one heartbeat and answers in how long the next is due. One that is not answered in time is given up while
// there is time for another.
func (k *keeper) beat(ctx context.Context) (time.Duration, error) {
	w := k.w
	ctx, cancel := context.WithTimeout(ctx, w.ttl/3)
	defer cancel()
	beats, epochs := k.compose()
	nowUS, pulses, err := k.broker().Heartbeat(ctx, w.ttl, beats)
	if err != nil {
		return 0, conn.Classify(err)
	}
	w.sync(nowUS)
	next := min(w.ttl/3, beatAtMost)
	var unlisted, back []*consumer
	w.mu.Lock()
	for i, c := range w.consumers {
		if c.epoch != epochs[i] {
			next = 0
			continue
		}
		if k.backLocked(c, pulses[i].Err) {
			back = append(back, c)
		}
		k.takeLocked(c, &beats[i], &pulses[i])
		if c.active && !c.listed {
			unlisted = append(unlisted, c)
		}
		if c.calls.hurry {
			next = min(next, 100*time.Millisecond)
		}
		if at := pulses[i].NextExpiry; at > 0 && pulses[i].Err == nil {
			// Somebody's session may end before the next beat: look then, a little after.
			in := time.Duration(at-nowUS/1000)*time.Millisecond + jitter(20*time.Millisecond)
			next = min(next, max(in, 20*time.Millisecond))
		}
		if errors.Is(pulses[i].Err, broker.ErrLost) {
			next = 0
		}
	}
	w.stuckLocked()
	w.watchLocked(time.Now())
	w.startLocked()
	w.mu.Unlock()
	w.nudgeLane()
	if len(back) > 0 {
		w.conn.DropSilent()
		w.waker.recycle(back...)
	}
	for _, c := range unlisted {
		err := w.broker.AddQueue(ctx, c.keys)
		if err != nil {
			w.outage.Event(w.log.Warn()).Err(err).Str("queue", c.name).Msg("listing the queue failed; the next heartbeat tries again")
		}
		w.mu.Lock()
		c.listed = err == nil
		w.mu.Unlock()
	}
	return next, nil
}

// compose asks for each queue's session; the page to reconcile is what was surely claimed and answered by now.
func (k *keeper) compose() ([]broker.Beat, []uint64) {
	w := k.w
	w.mu.Lock()
	defer w.mu.Unlock()
	beats, epochs := make([]broker.Beat, len(w.consumers)), make([]uint64, len(w.consumers))
	for i, c := range w.consumers {
		beats[i] = broker.Beat{Queue: c.keys, Session: c.session, Mode: broker.Keep}
		if !c.active {
			beats[i].Mode = broker.Register
		}
		beats[i].From, beats[i].To = c.calls.page()
		epochs[i] = c.epoch
	}
	return beats, epochs
}

// backLocked notes whether a queue's part of a Cluster answered, and tells that it does again after it did not.
func (k *keeper) backLocked(c *consumer, err error) bool {
	// A shard that is frozen shows in that the beat's own time is over.
	if conn.Retryable(err) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		k.away[c] = true
		return false
	}
	was := k.away[c]
	delete(k.away, c)
	if was {
		k.w.log.Info().Str("queue", c.name).Msg("redis answers again")
	}
	return was
}

// takeLocked takes one queue's answer.
func (k *keeper) takeLocked(c *consumer, b *broker.Beat, p *broker.Pulse) {
	w := k.w
	if !k.away[c] {
		c.heard = time.Now()
	}
	switch {
	case errors.Is(p.Err, broker.ErrLost):
		w.log.Error().Str("queue", c.name).Str("session", c.session).
			Msg("session lost: its jobs were taken back, their handlers are told to end")
		w.renewLocked(c, queue.ErrSessionLost)
		return
	case k.away[c]:
		k.outage.Event(w.log.Warn()).Err(p.Err).Str("queue", c.name).Msg("heartbeat failed; trying again")
		return
	case p.Err != nil:
		if c.broken == nil {
			w.log.Error().Err(p.Err).Str("queue", c.name).Msg("queue stopped: redis refuses its calls")
			w.announcer.tell()
		}
		c.broken = p.Err
		return
	case c.broken != nil:
		w.log.Info().Str("queue", c.name).Msg("queue mended, going on")
		c.broken = nil
		c.unpaid.Set()
		c.hint()
	}
	if !c.active {
		c.active = true
		w.announcer.tell()
		c.unpaid.Set()
		c.hint()
	}
	if p.Paused != c.paused {
		w.pausedLocked(c, p.Paused)
	}
	if p.Claimable && !p.Paused {
		c.hint()
	}
	w.cancelsLocked(c, p.Cancels)
	w.reconcileLocked(c, b, p)
	c.calls.mark(p.Token)
	c.wide = false // it may have become a list, as in a Redis that was started again: it is made sure of now and then
	w.timer.heard(c, p.NextDue)
	for _, session := range p.Expired {
		w.recoverSoon(c, session)
	}
	if p.Sweep {
		w.sweepSoon(c)
	}
	w.waker.idle(c)
}

// cancelsLocked ends the claims that are marked to be cancelled.
func (w *Worker) cancelsLocked(c *consumer, cancels []broker.Claim) {
	if len(cancels) == 0 {
		return
	}
	marked := make(map[broker.Claim]bool, len(cancels))
	for _, claim := range cancels {
		marked[claim] = true
	}
	c.each(func(r *run) {
		if r.phase == started && marked[r.claim] {
			r.ctx.end(queue.ErrCancelled)
		}
	})
	rest := w.buffer[:0]
	for _, r := range w.buffer {
		if r.c == c && marked[r.claim] {
			c.buffered--
			w.failLocked(r, broker.Settle{Verdict: broker.Cancelled})
			continue
		}
		rest = append(rest, r)
	}
	clear(w.buffer[len(rest):])
	w.buffer = rest
}

// goodbye ends the sessions that run nothing, so that nobody has to wait for them to expire. No beat comes after it: that
// would find them lost.
func (k *keeper) goodbye(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case k.turn <- struct{}{}:
	}
	beats, _ := k.compose()
	for i := range beats {
		beats[i].Mode, beats[i].To = broker.Bye, 0
	}
	if _, _, err := k.broker().Heartbeat(ctx, k.w.ttl, beats); err != nil {
		k.w.log.Warn().Err(err).Msg("could not end the sessions; they expire by themselves")
	}
}
