package worker

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/conn"
	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/loop"
)

// watch is one connection that waits for tokens, on behalf of some of the queues.
type watch struct {
	k         *waker
	w         *Worker
	line      *conn.Line // of its own
	retry     *loop.Trigger
	consumers []*consumer
	turns     bool      // one queue at a time, for a second: their lists lie in different slots
	turn      int       // whose is next
	after     int       // the place behind the one whose wake token came last: used by Run alone
	last      *consumer // whose wake token came last: used by Run alone, as the next two are
	woken     time.Time // when it did
	expected  *consumer // who is expected to have work next: a claim for it stands behind the pop; nil = nobody

	mu      sync.Mutex
	life    context.Context    // of Run
	waiting map[*consumer]bool // queues whose wake list the pop under way waits on; nil = none is under way
	first   *keys.Queue        // of the pop under way
	began   time.Time          // when it did
	failing time.Time          // since when pops have failed; zero = the last one did not
	failed  time.Time          // when the last of them did
	fault   error              // the last of them
}

func newWatch(k *waker, line *conn.Line) *watch {
	return &watch{k: k, w: k.w, line: line, retry: loop.NewTrigger(), life: k.w.base}
}

// Run pops until ctx ends. Only closing its client interrupts a blocking pop, so the end of ctx does that.
func (a *watch) Run(ctx context.Context) error {
	a.mu.Lock()
	a.life = ctx
	a.mu.Unlock()
	defer a.line.Close()
	defer context.AfterFunc(ctx, a.line.Close)()
	for attempt := 1; ctx.Err() == nil; {
		active, wake, from := a.lists()
		if len(active) == 0 {
			a.pause(ctx, 50*time.Millisecond)
			continue
		}
		claim := a.stand(active, wake)
		token, ok, err := a.pop(ctx, active, wake, from, claim)
		a.learn(active, token, ok, err)
		switch {
		case ctx.Err() != nil:
			if ok && !token.Due { // popped while the worker was told to stop
				a.giveBack(active[token.Place])
			}
			return nil
		case conn.Closed(err): // recycled, or the process closed its client
			a.pause(ctx, 10*time.Millisecond)
			continue
		case err != nil:
			a.w.outage.Event(a.w.log.Warn()).Err(err).Msg("waiting for work failed; trying again")
			var wrong *broker.KeyTypeError
			if errors.As(err, &wrong) {
				a.w.keeper.now.Set() // it finds out which queue
			}
			if loop.Sleep(ctx, outagePolicy.Delay(attempt, nil)) != nil {
				return nil
			}
			attempt++
			continue
		case ok && !token.Due && claim.of(active[token.Place]):
			a.used(ctx, claim.c)
		case ok:
			a.use(ctx, active[token.Place], token.Due)
		}
		attempt = 1
		a.gather(ctx)
	}
	return nil
}

// lists answers the queues to wait on; wake says for which of them work is wanted. A queue that is known to have work is
// asked anyway. That these are waited on is noted in the same step: a queue that falls idle from now on ends the pop.
func (a *watch) lists() (active []*consumer, wake []bool, from *broker.Broker) {
	w := a.w
	w.mu.Lock()
	defer w.mu.Unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.nextLocked() {
		active = append(active, c)
		wake = append(wake, !c.maybe && !c.paused && !w.quiet)
	}
	if len(active) == 0 {
		return nil, nil, nil
	}
	a.first, a.began, a.waiting = active[0].keys, time.Now(), make(map[*consumer]bool)
	for i, c := range active {
		a.waiting[c] = wake[i]
	}
	return active, wake, w.broker.With(a.line.Client())
}

// nextLocked answers the queues that can be waited on now, or the one whose turn it is.
func (a *watch) nextLocked() (next []*consumer) {
	for i := range a.consumers {
		c := a.consumers[i]
		if a.turns {
			c = a.consumers[(a.turn+i)%len(a.consumers)]
		}
		if !c.active || c.broken != nil {
			continue
		}
		next = append(next, c)
		if a.turns {
			a.turn = (a.turn + i + 1) % len(a.consumers)
			break
		}
	}
	return next
}

// pop waits for a token, with a standing claim behind it where there is one.
func (a *watch) pop(ctx context.Context, active []*consumer, wake []bool, from *broker.Broker, claim *order) (token broker.Token, ok bool, err error) {
	x := broker.Wait{Timeout: blockFor, Queues: make([]*keys.Queue, len(active)), Wake: wake, First: a.after % len(active), Instance: a.w.instance}
	for i, c := range active {
		x.Queues[i] = c.keys
	}
	if a.turns {
		x.Timeout = turnFor
	}
	if claim == nil {
		token, ok, err = from.Await(ctx, &x)
	} else {
		token, ok, err = a.popAndClaim(ctx, &x, claim)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting = nil
	switch {
	case err == nil:
		a.failing, a.failed, a.fault = time.Time{}, time.Time{}, nil
	case conn.Closed(err) || ctx.Err() != nil: // renewed, or over: that says nothing
	default:
		if a.fault, a.failed = err, time.Now(); a.failing.IsZero() {
			a.failing = a.failed
		}
	}
	return token, ok, err
}

// use takes a token: a due one arms the timer, a wake one makes a lane ask. One that can't be used goes back for another
// worker; its queue is left out of calls until an exchange has told that nothing is left in it. Where it is a claim for the
// queue itself that has reserved the last slots, as after a heartbeat that told of the same jobs, its answer decides.
func (a *watch) use(ctx context.Context, c *consumer, due bool) {
	w := a.w
	if due {
		w.timer.arm(c)
		return
	}
	w.mu.Lock()
	select {
	case <-a.retry.C(): // of a time before the token
	default:
	}
	useless := w.uselessLocked(c)
	claiming := c.wanted > 0
	c.hint()
	w.mu.Unlock()
	if !useless {
		w.nudgeLane()
	}
	if !useless || claiming {
		// The exchange that this causes, or that is under way, tells within a round trip whether to wait on the queue again.
		// To pop without that queue meanwhile, and then once more, would cost three requests.
		a.pause(ctx, 100*time.Millisecond)
	}
	if !useless {
		return
	}
	w.mu.Lock()
	useless = c.maybe && (w.uselessLocked(c) || !c.ready() || ctx.Err() != nil)
	w.mu.Unlock()
	if useless {
		a.giveBack(c)
	}
}

// uselessLocked tells whether this worker can do nothing with a queue's token.
func (w *Worker) uselessLocked(c *consumer) bool {
	return w.freeLocked() <= 0 || c.room() == 0 || c.paused || w.quiet || w.stopping
}

const (
	// gatherFrom is how many jobs this process would fetch ahead (see pace) when it is busy: some 16,000 a second.
	gatherFrom = 96
	// gatherFor is how long it then lets work gather that comes as fast as it is done, so that a call claims more of it.
	gatherFor = time.Millisecond
)

// pressed tells whether jobs come and go so fast that they had better be claimed by larger calls than soon.
func (w *Worker) pressed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pace.measure(time.Now()) >= gatherFrom
}

// gather waits a little before the next pop where the process is busy. The tokens meanwhile are there for other processes.
func (a *watch) gather(ctx context.Context) {
	if a.w.pressed() {
		_ = loop.Sleep(ctx, gatherFor)
	}
}

// giveBack leaves a wake token to another worker, also where this one was told to stop meanwhile.
func (a *watch) giveBack(c *consumer) {
	ctx, cancel := context.WithTimeout(a.w.base, time.Second)
	defer cancel()
	if err := a.w.broker.Nudge(ctx, c.keys); err != nil {
		a.w.outage.Event(a.w.log.Warn()).Err(err).Msg("giving back a wake token failed; a heartbeat makes up for it")
	}
}

// pause waits for a queue to fall idle, or d.
func (a *watch) pause(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	select {
	case <-a.retry.C():
	case <-ctx.Done():
	}
}

// idle ends the pop under way where it leaves out the wake list of a queue that is to be waited on. A queue whose turn
// it is not waits for its turn.
func (a *watch) idle(c *consumer) {
	a.retry.Set()
	a.mu.Lock()
	waits, known := a.waiting[c]
	blocked := a.waiting != nil && (known || !a.turns)
	if blocked {
		a.waiting[c] = true // asked for once
	}
	if blocked && !(known && waits) { // begun under the lock, while there is a pop to end: the waker waits for it
		a.k.pokes.Go(func() { a.poke(c) })
	}
	a.mu.Unlock()
}

// poke ends the pop under way through a list of the process's own.
func (a *watch) poke(c *consumer) {
	a.mu.Lock()
	first, life := a.first, a.life
	a.mu.Unlock()
	ctx, cancel := context.WithTimeout(life, 5*time.Second)
	defer cancel()
	if err := a.w.broker.Poke(ctx, first, a.w.instance); err != nil && life.Err() == nil {
		a.w.outage.Event(a.w.log.Warn()).Err(err).Str("queue", c.name).Msg("could not wait on a queue again; a heartbeat makes up for it")
	}
}

// recycle replaces the connection.
func (a *watch) recycle() {
	a.mu.Lock()
	a.failing, a.failed, a.fault = time.Time{}, time.Time{}, nil // that was the old one
	a.mu.Unlock()
	if err := a.line.Renew(); err != nil {
		a.w.log.Error().Err(err).Msg("could not open the connection that waits for work")
	}
}
