package worker

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tidemill/tidemill/internal/conn"
)

// blockFor is how long a blocking pop waits; its connection is used for nothing else.
const blockFor = 10 * time.Second

// waker waits for tokens with blocking pops. A token is a hint, never a job. Of one server a single pop waits over the
// lists of all queues; in a Cluster, where a pop cannot span slots, each queue has a watch of its own, or shares one.
type waker struct {
	w       *Worker
	pokes   sync.WaitGroup
	watches []*watch
	of      map[*consumer]*watch
	lasting context.Context // of calls that go on when Run is told to end
}

func newWaker(lasting context.Context, w *Worker, lines []*conn.Line) *waker {
	k := &waker{w: w, of: make(map[*consumer]*watch), lasting: lasting}
	for _, line := range lines {
		k.watches = append(k.watches, newWatch(k, line))
	}
	for i, c := range w.consumers {
		at := k.watches[i%len(k.watches)]
		at.consumers = append(at.consumers, c)
		k.of[c] = at
	}
	if w.conn.Cluster() {
		for _, at := range k.watches {
			at.turns = len(at.consumers) > 1
		}
	}
	return k
}

// Run waits until ctx ends.
func (k *waker) Run(ctx context.Context) error {
	defer k.pokes.Wait()
	var all errgroup.Group
	for _, at := range k.watches {
		all.Go(func() error { return at.Run(ctx) })
	}
	return all.Wait()
}

// answered is told that an exchange with a queue was: who paused for it need not any longer.
func (k *waker) answered(c *consumer) { k.of[c].retry.Set() }

// idle is told that a queue may have to be waited on. If the pop under way does not, it is ended. Called under
// Worker.mu.
func (k *waker) idle(c *consumer) {
	if c.maybe || c.paused || !c.active || c.broken != nil || k.w.quiet {
		return
	}
	k.of[c].idle(c)
}

// recycle replaces the connections that wait for some queues, which may be dead without knowing it: called once Redis
// answers again after it did not.
func (k *waker) recycle(queues ...*consumer) {
	done := make(map[*watch]bool)
	for _, c := range queues {
		if at := k.of[c]; !done[at] {
			done[at] = true
			at.recycle()
		}
	}
}
