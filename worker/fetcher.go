package worker

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/tidemill/tidemill/internal/backoff"
	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/conn"
	"github.com/tidemill/tidemill/internal/loop"
	"github.com/tidemill/tidemill/queue"
)

// nudgeLane wakes a lane to look at what there is to send.
func (w *Worker) nudgeLane() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// lane sends one exchange after another: acknowledgements of what finished, claims for the free slots. It ends when the
// drain says so and nothing is left to acknowledge, or with its context.
func (w *Worker) lane(ctx context.Context, number int) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var strands sync.WaitGroup
	defer strands.Wait()
	for ctx.Err() == nil {
		w.mu.Lock()
		round, wait := w.planLocked(number, time.Now())
		if round == nil && w.closing && w.unackedLocked() == 0 {
			w.mu.Unlock()
			w.nudgeLane()
			return nil
		}
		if round == nil {
			w.idleLanes++
		} else if w.idleLanes > 0 {
			w.nudgeLane() // there may be enough for another
		}
		w.mu.Unlock()
		if round != nil {
			w.exchange(ctx, number, round, &strands)
			continue
		}
		if wait == 0 {
			wait = time.Hour
		}
		timer.Reset(wait)
		select {
		case <-w.kick:
		case <-timer.C:
		case <-ctx.Done():
		}
		w.mu.Lock()
		w.idleLanes--
		w.mu.Unlock()
	}
	return nil
}

// unackedLocked counts the successes that no call has taken yet.
func (w *Worker) unackedLocked() int {
	n := 0
	for _, c := range w.consumers {
		if c.broken == nil {
			n += len(c.done) + len(c.kept)
		}
	}
	return n
}

// outagePolicy paces calls that Redis does not answer.
var outagePolicy = backoff.Policy{Base: 20 * time.Millisecond, Cap: time.Second, Factor: 2, Jitter: 0.5}

// exchange sends a round until every part of it is answered, or its session is lost: an abandoned call may have claimed
// jobs that would sit in a live session and never run. In a Cluster, of which a part may be down, what is not answered at
// once goes on as a strand of its own (where strands is not nil).
func (w *Worker) exchange(ctx context.Context, lane int, round []*order, strands *sync.WaitGroup) {
	for attempt := 1; len(round) > 0; attempt++ {
		if round = w.exchangeOnce(ctx, lane, round); len(round) == 0 {
			return
		}
		if strands != nil && w.conn.Cluster() {
			for _, o := range round {
				w.strand(ctx, lane, o, strands)
			}
			return
		}
		if loop.Sleep(ctx, outagePolicy.Delay(attempt, nil)) != nil {
			return
		}
	}
}

// exchangeOnce sends a round once and answers what has to be sent again.
func (w *Worker) exchangeOnce(ctx context.Context, lane int, round []*order) (again []*order) {
	calls := make([]*broker.Exchange, len(round))
	for i, o := range round {
		calls[i] = &o.call
	}
	answers, errs := w.broker.Exchange(ctx, calls)
	return w.answered(ctx, lane, round, answers, errs)
}

// answered takes the answers of a round and answers what has to be sent again.
func (w *Worker) answered(ctx context.Context, lane int, round []*order, answers []broker.Exchanged, errs []error) (again []*order) {
	var trouble error
	w.mu.Lock()
	for i, o := range round {
		err := errs[i]
		switch {
		case o.epoch != o.c.epoch:
			w.releaseSlotsLocked(o, true)
			clear(answers[i].Jobs) // their memory is used again
		case err == nil:
			w.answeredLocked(o, lane, &answers[i])
		case errors.Is(err, broker.ErrLost) || errors.Is(err, broker.ErrStale):
			w.releaseSlotsLocked(o, true)
			w.lostLocked(o.c, err)
		case conn.Retryable(err) || ctx.Err() != nil:
			again, trouble = append(again, o), err
		default:
			w.refusedLocked(o, err)
		}
	}
	w.mu.Unlock()
	if trouble != nil {
		w.outage.Event(w.log.Warn()).Err(trouble).Msg("redis does not answer; going on as soon as it does")
	}
	return again
}

// strand goes on with one queue's call beside the lane, which serves the other queues meanwhile, and makes none for this
// one. The slots that the call had reserved are theirs: what it claims in the end waits for free ones, or goes back.
func (w *Worker) strand(ctx context.Context, lane int, o *order, strands *sync.WaitGroup) {
	w.mu.Lock()
	w.unreserveLocked(o)
	o.c.stranded[lane] = true
	w.mu.Unlock()
	strands.Go(func() {
		if loop.Sleep(ctx, outagePolicy.Delay(1, nil)) == nil {
			w.exchange(ctx, lane, []*order{o}, nil)
		}
		w.mu.Lock()
		o.c.stranded[lane] = false
		w.mu.Unlock()
		w.nudgeLane()
	})
}

// unreserveLocked frees the slots that a call had reserved, once.
func (w *Worker) unreserveLocked(o *order) {
	w.wanted -= o.reserved
	o.c.wanted -= o.reserved
	o.reserved = 0
}

// releaseSlotsLocked frees what a call had reserved. Stale: the queue's session is another one by now.
func (w *Worker) releaseSlotsLocked(o *order, stale bool) {
	w.unreserveLocked(o)
	if o.call.Suspect {
		o.call.Suspect = false
		w.suspects--
	}
	if stale {
		for _, r := range o.done {
			r.settled()
		}
		for _, k := range o.kept {
			k.run.settled()
		}
	}
}

// answeredLocked takes an exchange's answer: what was acknowledged is settled, what was claimed goes to the buffer.
func (w *Worker) answeredLocked(o *order, lane int, a *broker.Exchanged) {
	c := o.c
	w.sync(a.NowUS)
	suspectAsked := o.call.Suspect
	w.releaseSlotsLocked(o, true)
	w.acknowledgedLocked(o, a.Refused)
	c.calls.answered(lane)
	w.answers++
	c.tally.Refused += uint64(len(a.Refused))
	if len(a.Refused) > 0 {
		w.log.Warn().Str("queue", c.name).Int("jobs", len(a.Refused)).Msg("late acknowledgements were refused: the claims were lost")
	}
	if c.suspects = a.Suspects > 0; suspectAsked && !a.Suspect && !c.suspects && w.turns > 0 {
		w.hintSuspectsLocked() // the place is free again, for those that left it to this queue
	}
	if o.call.Want > 0 && a.Paused != c.paused { // who asks for nothing is not told
		w.pausedLocked(c, a.Paused)
	}
	if c.hints == o.hints && o.call.Want > 0 {
		c.maybe = a.Left || a.More || c.suspects && suspectAsked && !a.Suspect
		if c.maybe {
			w.waker.answered(c) // it need not wait for the answer to its token any more
		} else {
			w.waker.idle(c)
		}
	}
	if n := len(a.Jobs); n > 0 {
		c.wide = c.wide || o.call.Widen > 0 && n >= o.call.Widen
		w.claimedLocked(c, lane, a)
		if lane == standing {
			w.trimLocked(c, n)
		}
	}
	w.startLocked()
	if c.hints != o.hints && o.call.Want > 0 && c.wanted == 0 && w.uselessLocked(c) {
		w.waker.answered(c) // a token that waited for it is of no use here
	}
}

// claimedLocked buffers a batch.
func (w *Worker) claimedLocked(c *consumer, lane int, a *broker.Exchanged) {
	b := w.batchLocked(len(a.Jobs))
	bytes := 0
	for i := range a.Jobs {
		job := &a.Jobs[i]
		r := &b.runs[i]
		ctx := &b.contexts[i]
		ctx.w = w
		*r = run{c: c, batch: b, epoch: c.epoch, claim: job.Claim, envelope: job.Envelope, state: job.State, ctx: ctx}
		bytes += len(job.Envelope)
		if i == 0 && a.Suspect {
			r.suspect = true
			w.suspects++
			w.turns++
			c.turn = w.turns
		}
		c.buffered++
		w.buffer = append(w.buffer, r)
	}
	c.perJob = max(bytes/len(a.Jobs), 1)
	w.holdLocked(c, b)
	clear(a.Jobs) // the runs have what they held
	c.rooms[lane] = a.Jobs[:0]
	w.fetched.Set()
	if w.stopping || w.quiet || c.paused {
		w.giveBackLocked(func(r *run) bool { return r.c == c })
	}
}

// pausedLocked notes that a queue was paused or resumed: what was fetched ahead goes back.
func (w *Worker) pausedLocked(c *consumer, paused bool) {
	c.paused = paused
	w.log.Info().Str("queue", c.name).Bool("paused", paused).Msg("queue paused or resumed")
	if paused {
		w.giveBackLocked(func(r *run) bool { return r.c == c })
	} else {
		c.hint()
	}
}

// lostLocked starts over after a session was lost.
func (w *Worker) lostLocked(c *consumer, err error) {
	w.log.Error().Err(err).Str("queue", c.name).Str("session", c.session).
		Msg("session lost: its jobs were taken back, their handlers are told to end")
	w.renewLocked(c, queue.ErrSessionLost)
	w.keeper.now.Set()
}

// refusedLocked puts a queue aside that Redis refuses to serve, with its acknowledgements, until a heartbeat finds it
// mended.
func (w *Worker) refusedLocked(o *order, err error) {
	w.releaseSlotsLocked(o, false)
	c := o.c
	c.calls.answered(o.call.Lane)
	c.done = append(c.done, o.done...)
	c.kept = append(c.kept, o.kept...)
	if c.broken == nil {
		w.log.Error().Err(err).Str("queue", c.name).Msg("queue stopped: redis refuses its calls")
	}
	c.broken = err
	w.giveBackLocked(func(r *run) bool { return r.c == c })
}

// giveBackLocked releases what was fetched ahead and not started.
func (w *Worker) giveBackLocked(which func(*run) bool) {
	rest := w.buffer[:0]
	for _, r := range w.buffer {
		if !which(r) {
			rest = append(rest, r)
			continue
		}
		r.c.buffered--
		w.failLocked(r, broker.Settle{Verdict: broker.Release})
	}
	clear(w.buffer[len(rest):])
	w.buffer = rest
}
