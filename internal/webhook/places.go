package webhook

import (
	"container/list"
	"context"
	"sync"
)

// places counts the requests under way to each host and port, and holds back those above their handler's bound. All
// handlers of a process share one: a host does not care which of them a request is from, nor whether a reload replaced it.
type places struct {
	mu   sync.Mutex
	open map[string]*counter // those with requests under way
}

// counter is the requests to one place.
type counter struct {
	busy    int
	waiting list.List // of *waiter, in order of arrival
}

// waiter is a request that waits until fewer than its handler's bound are under way.
type waiter struct {
	bound int
	ready chan struct{} // closed when it counts as under way
}

// shared is the process's.
var shared = &places{open: map[string]*counter{}}

// enter waits until a request may go to a place, or until ctx ends, which wins where both happen. Who got nil must leave.
func (p *places) enter(ctx context.Context, name string, bound int) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	p.mu.Lock()
	c := p.open[name]
	if c == nil {
		c = &counter{}
		p.open[name] = c
	}
	// Nobody who could go is waiting: leave lets in all who can.
	if c.busy < bound {
		c.busy++
		p.mu.Unlock()
		return nil
	}
	w := &waiter{bound: bound, ready: make(chan struct{})}
	place := c.waiting.PushBack(w)
	p.mu.Unlock()
	select {
	case <-w.ready:
		if ctx.Err() == nil {
			return nil
		}
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-w.ready: // let in, too late
		p.leaveLocked(name)
	default:
		c.waiting.Remove(place)
	}
	return context.Cause(ctx)
}

// leave ends a request that entered.
func (p *places) leave(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leaveLocked(name)
}

func (p *places) leaveLocked(name string) {
	c := p.open[name]
	c.busy--
	for e := c.waiting.Front(); e != nil; {
		w, next := e.Value.(*waiter), e.Next()
		if c.busy < w.bound {
			c.busy++
			c.waiting.Remove(e)
			close(w.ready)
		}
		e = next
	}
	if c.busy == 0 { // nobody waits either: each bound is at least 1
		delete(p.open, name)
	}
}
