package worker

import (
	"context"
	"runtime"
	"slices"
	"time"

	"github.com/tidemill/tidemill/internal/broker"
)

// A standing claim is an exchange that is sent behind a blocking pop on the same connection. Redis carries it out the
// moment the pop ends, so that a job that comes to an idle worker is claimed without a round trip between wake-up and
// claim. It is a call like others, of a lane of its own: what it claims is in the session, and where the answer is lost
// it is sent again by the shared connections. It reserves no slot, since it may stand for a while: what finds none free
// when it is answered was fetched ahead, and goes back as such.

const (
	// standFor is how long one stands, and how long after a wake-up one may begin to. A process that dies unnoticed, or
	// stands still, with a claim standing takes what it claims with it until its session expires; with a mere pop the token
	// alone would be lost, which costs a heartbeat. And an idle process sends no more than it must.
	standFor = time.Second
	// standingClaim is how many jobs one claims at most; if more are there the lanes take them. It is 1 where crashes are
	// told from bad luck after two: a process that stands still is one for each job that it took.
	standingClaim = 32
)

// of tells whether a standing claim is one of a queue's.
func (o *order) of(c *consumer) bool { return o != nil && o.c == c }

// stand answers the claim to send behind a pop, or nil. There is none for a queue with a bound of its own, from which
// nothing is fetched ahead.
func (a *watch) stand(active []*consumer, wake []bool) *order {
	w, c := a.w, a.expected
	i := slices.Index(active, c)
	if i < 0 || !wake[i] || time.Since(a.woken) >= standFor || w.conn.Cluster() || w.pressed() {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	free := min(w.freeLocked(), standingClaim, 1+w.pace.measure(now))
	if w.config.CrashLimit <= 2 || w.config.Strict && c != w.consumers[0] {
		free = min(free, 1)
	}
	for _, other := range w.consumers {
		if other != c && other.ready() { // its jobs' turn is the lanes' to decide
			return nil
		}
	}
	if free <= 0 || !c.active || c.maybe || c.paused || c.broken != nil || c.limit > 0 || w.quiet || w.stopping {
		return nil
	}
	c.seqs[standing]++
	c.calls.sent(standing, c.seqs[standing], now)
	return &order{c: c, epoch: c.epoch, hints: c.hints, call: broker.Exchange{Queue: c.keys, Session: c.session, Lane: standing,
		Seq: c.seqs[standing], Want: free, Bytes: claimBytes, First: free, Widen: c.widen()}}
}

// learn guesses from the token that came who will have work next: the only queue, or the one that had it twice in a row.
func (a *watch) learn(active []*consumer, token broker.Token, ok bool, err error) {
	switch {
	case err != nil:
		a.last, a.expected = nil, nil
	case ok && !token.Due:
		c := active[token.Place]
		if a.expected = nil; len(active) == 1 || a.last == c {
			a.expected = c
		}
		a.last, a.woken, a.after = c, time.Now(), token.Place+1
	}
}

// popAndClaim is a pop with a standing claim behind it. It returns when that is answered too, or its session is lost, or
// the worker has ended.
func (a *watch) popAndClaim(ctx context.Context, x *broker.Wait, o *order) (broker.Token, bool, error) {
	w := a.w
	x.Timeout = standFor
	from := w.broker.With(a.line.Patient(standFor + 10*time.Second))
	token, ok, answer, err, claimErr := from.AwaitAndExchange(ctx, x, &o.call)
	a.mu.Lock()
	a.waiting = nil // what follows is no waiting
	a.mu.Unlock()
	if claimErr == nil {
		if answer.Suspects > 0 { // it may not take those
			w.mu.Lock()
			o.c.hint()
			w.mu.Unlock()
		}
		w.answered(a.k.lasting, standing, []*order{o}, []broker.Exchanged{answer}, []error{nil})
		if len(answer.Jobs) > 0 {
			runtime.Gosched() // the handler first: the next pop can wait for so long
		}
	} else {
		w.mu.Lock()
		if w.stopping || ctx.Err() != nil {
			o.call.Want = 0 // if it was not carried out, it need not claim any more
		}
		w.mu.Unlock()
		w.exchange(a.k.lasting, standing, []*order{o}, nil)
	}
	w.mu.Lock()
	if o.c.maybe {
		w.nudgeLane()
	}
	w.mu.Unlock()
	return token, ok, err
}

// used is told that a token came with the answer to the claim for it: where there is more than that and room for it, the
// lanes go on, and tell when there is nothing left, as after use.
func (a *watch) used(ctx context.Context, c *consumer) {
	w := a.w
	w.mu.Lock()
	more := c.maybe && (c.wanted > 0 || c.ready() && w.freeLocked() > 0)
	if more { // it tells of a call that is yet to be answered, or made
		select {
		case <-a.retry.C(): // of a time before
		default:
		}
	}
	w.mu.Unlock()
	if more {
		a.pause(ctx, 100*time.Millisecond)
	}
}

// trimLocked gives back those of the last n jobs buffered that are too many by now: a standing claim reserves no slots, and
// others may have taken them, or the queue a bound of its own.
func (w *Worker) trimLocked(c *consumer, n int) {
	over := w.running + len(w.buffer) + w.wanted - w.config.Concurrency - w.pace.prefetch
	if c.limit > 0 {
		over = max(over, c.running+c.buffered+c.wanted-c.limit)
	}
	if over = min(over, n); over <= 0 {
		return
	}
	keep := len(w.buffer) - over
	w.giveBackLocked(func(*run) bool { keep--; return keep < 0 })
}
