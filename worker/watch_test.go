package worker

import (
	"sync"
	"testing"

	"github.com/tidemill/tidemill/internal/conn"
)

// A queue that falls idle while the worker stops starts nothing that the waker does not wait for. The race detector tells.
func TestIdleAsItStops(t *testing.T) {
	inBubble(t, func(e *env) {
		w, err := New(e.connect(nil), NewMux(), Config{})
		e.must(err)
		w.base = e.ctx
		c := w.consumers[0]
		for range 300 {
			k := newWaker(e.ctx, w, []*conn.Line{nil})
			a := k.of[c]
			a.first, a.waiting = c.keys, map[*consumer]bool{c: false}
			var both sync.WaitGroup
			both.Go(func() { a.idle(c) })
			both.Go(func() { // as the last pop and Run do
				a.mu.Lock()
				a.waiting = nil
				a.mu.Unlock()
				k.pokes.Wait()
			})
			both.Wait()
			k.pokes.Wait()
		}
	})
}

// A token that cannot be used, since a call that is under way has reserved all slots, is given back. When that call has
// told meanwhile that nothing is left, the queue is waited on again at once.
func TestTokenGivenBackIsWaitedFor(t *testing.T) {
	inBubble(t, func(e *env) {
		w, err := New(e.connect(nil), NewMux(), Config{Concurrency: 1})
		e.must(err)
		w.base = e.ctx
		line, err := w.conn.Line("blocking")
		e.must(err)
		defer line.Close()
		w.waker = newWaker(e.ctx, w, []*conn.Line{line})
		c := w.consumers[0]
		a := w.waker.of[c]
		c.active, w.wanted = true, 1
		a.use(e.ctx, c, false)
		w.mu.Lock()
		w.wanted, c.maybe = 0, false
		w.waker.idle(c)
		w.mu.Unlock()
		if _, wake, _ := a.lists(); !wake[0] {
			t.Error("the queue is not waited on though it has no work")
		}
	})
}
