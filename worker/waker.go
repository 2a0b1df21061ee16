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

// blockFor is how long a blocking pop waits; its connection is used for nothing else.
const blockFor = 10 * time.Second

// waker waits for tokens with one blocking pop over the lists of all queues. A token is a hint, never a job.
type waker struct {
	w     *Worker
	retry *loop.Trigger
	pokes sync.WaitGroup
	line  *conn.Line // of its own

	mu      sync.Mutex
	life    context.Context    // of Run
	waiting map[*consumer]bool // queues whose wake list the pop under way waits on; nil = none is under way
	first   *keys.Queue        // of the pop under way
}

func newWaker(w *Worker, line *conn.Line) *waker {
	return &waker{w: w, line: line, retry: loop.NewTrigger(), life: w.base}
}

// Run pops until ctx ends. Only closing its client interrupts a blocking pop, so the end of ctx does that.
func (k *waker) Run(ctx context.Context) error {
	k.mu.Lock()
	k.life = ctx
	k.mu.Unlock()
	defer k.pokes.Wait()
	defer k.line.Close()
	defer context.AfterFunc(ctx, k.line.Close)()
	left := make(map[*consumer]bool) // left out of the next call
	for attempt := 1; ctx.Err() == nil; {
		active, wake, from := k.lists(left)
		if len(active) == 0 {
			k.pause(ctx, 50*time.Millisecond)
			continue
		}
		clear(left)
		token, ok, err := k.pop(ctx, active, wake, from)
		switch {
		case ctx.Err() != nil:
			if ok && !token.Due { // popped while the worker was told to stop
				k.giveBack(k.w.base, active[token.Place])
			}
			return nil
		case conn.Closed(err): // recycled, or the process closed its client
			k.pause(ctx, 10*time.Millisecond)
			continue
		case err != nil:
			k.w.outage.Event(k.w.log.Warn()).Err(err).Msg("waiting for work failed; trying again")
			var wrong *broker.KeyTypeError
			if errors.As(err, &wrong) {
				k.w.keeper.now.Set() // it finds out which queue
			}
			if loop.Sleep(ctx, outagePolicy.Delay(attempt, nil)) != nil {
				return nil
			}
			attempt++
			continue
		case ok:
			k.use(ctx, active[token.Place], token.Due, left)
		}
		attempt = 1
	}
	return nil
}

// lists answers the queues to wait on; wake says for which of them work is wanted. A queue that is known to have work is
// asked anyway. That these are waited on is noted in the same step: a queue that falls idle from now on ends the pop.
func (k *waker) lists(left map[*consumer]bool) (active []*consumer, wake []bool, from *broker.Broker) {
	w := k.w
	w.mu.Lock()
	defer w.mu.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range w.consumers {
		if c.active && c.broken == nil {
			active = append(active, c)
			wake = append(wake, !c.maybe && !c.paused && !w.quiet && !left[c])
		}
	}
	if len(active) == 0 {
		return nil, nil, nil
	}
	k.first, k.waiting = active[0].keys, make(map[*consumer]bool)
	for i, c := range active {
		k.waiting[c] = wake[i]
	}
	return active, wake, w.broker.With(k.line.Client())
}

func (k *waker) pop(ctx context.Context, active []*consumer, wake []bool, from *broker.Broker) (broker.Token, bool, error) {
	queues := make([]*keys.Queue, len(active))
	for i, c := range active {
		queues[i] = c.keys
	}
	token, ok, err := from.Await(ctx, blockFor, queues, wake, k.w.instance)
	k.mu.Lock()
	k.waiting = nil
	k.mu.Unlock()
	return token, ok, err
}

// use takes a token: a due one arms the timer, a wake one makes a lane ask. One that can't be used goes back for another
// worker, and its queue is left out of the next call.
func (k *waker) use(ctx context.Context, c *consumer, due bool, left map[*consumer]bool) {
	w := k.w
	if due {
		w.timer.arm(c)
		return
	}
	w.mu.Lock()
	select {
	case <-k.retry.C(): // of a time before the token
	default:
	}
	useless := w.config.Concurrency-w.running-len(w.buffer)-w.wanted <= 0 || c.room() == 0 || c.paused || w.quiet || w.stopping
	c.hint()
	w.mu.Unlock()
	if useless {
		left[c] = true
		k.giveBack(ctx, c)
		return
	}
	w.nudgeLane()
	// The exchange that this causes tells within a round trip whether to wait on the queue again. To pop without that
	// queue meanwhile, and then once more, would cost three requests.
	k.pause(ctx, 100*time.Millisecond)
}

// giveBack leaves a wake token to another worker.
func (k *waker) giveBack(ctx context.Context, c *consumer) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := k.w.broker.Nudge(ctx, c.keys); err != nil {
		k.w.outage.Event(k.w.log.Warn()).Err(err).Msg("giving back a wake token failed; a heartbeat makes up for it")
	}
}

// pause waits for a queue to fall idle, or d.
func (k *waker) pause(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	select {
	case <-k.retry.C():
	case <-ctx.Done():
	}
}

// idle is told that a queue may have to be waited on. If the pop under way does not, it is ended. Called under
// Worker.mu.
func (k *waker) idle(c *consumer) {
	if c.maybe || c.paused || !c.active || c.broken != nil || k.w.quiet {
		return
	}
	k.retry.Set()
	k.mu.Lock()
	waits, known := k.waiting[c]
	blocked := k.waiting != nil
	if blocked {
		k.waiting[c] = true // asked for once
	}
	k.mu.Unlock()
	if blocked && !(known && waits) {
		k.pokes.Go(func() { k.poke(c) })
	}
}

// poke ends the pop under way through a list of the process's own.
func (k *waker) poke(c *consumer) {
	k.mu.Lock()
	first, life := k.first, k.life
	k.mu.Unlock()
	ctx, cancel := context.WithTimeout(life, 5*time.Second)
	defer cancel()
	if err := k.w.broker.Poke(ctx, first, k.w.instance); err != nil && life.Err() == nil {
		k.w.outage.Event(k.w.log.Warn()).Err(err).Str("queue", c.name).Msg("could not wait on a queue again; a heartbeat makes up for it")
	}
}

// recycle replaces the connection of the pop under way, which may be dead without knowing it: called once Redis answers
// again after it did not.
func (k *waker) recycle() {
	if err := k.line.Renew(); err != nil {
		k.w.log.Error().Err(err).Msg("could not open the connection that waits for work")
	}
}
