package redistest

import "sync"

// hole is what connections fall into through which nothing passes.
type hole struct {
	newToo bool
	links  map[*link]struct{} // guarded by faults.mu
	over   chan struct{}
}

// BlackHole silences every connection there is: it stays open, and nothing passes
// in either direction, not even that the other side has gone. With newToo it is
// the same for connections made from now on, which succeed and hear nothing, as
// with a cable that was pulled; without, they work, as when something on the way
// has forgotten the old ones. What is sent meanwhile is held, and heal delivers
// it, as a plugged cable would; a hole that is never healed has swallowed it. Cut
// still ends connections as their clients see it.
//
// The kernel goes on to acknowledge what clients send, up to the size of the
// sockets' buffers: what notices is a timeout of their own, not one of TCP's.
func (f *faults) BlackHole(newToo bool) (heal func()) {
	h := &hole{newToo: newToo, links: map[*link]struct{}{}, over: make(chan struct{})}
	f.mu.Lock()
	defer f.mu.Unlock()
	for l := range f.links {
		h.links[l] = struct{}{}
	}
	if f.holes == nil {
		f.holes = map[*hole]struct{}{}
	}
	f.holes[h] = struct{}{}
	return sync.OnceFunc(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.holes, h)
		close(h.over)
	})
}

// swallow has a new connection fall into the holes that take such; f.mu is held.
func (f *faults) swallow(l *link) {
	for h := range f.holes {
		if h.newToo {
			h.links[l] = struct{}{}
		}
	}
}

// silence returns a hole that a connection is in, nil if there is none.
func (f *faults) silence(l *link) *hole {
	f.mu.Lock()
	defer f.mu.Unlock()
	for h := range f.holes {
		if _, in := h.links[l]; in {
			return h
		}
	}
	return nil
}

// emerge returns when the connection is in no hole any more, or has been torn
// down.
func (l *link) emerge() {
	for h := l.faults.silence(l); h != nil; h = l.faults.silence(l) {
		select {
		case <-h.over:
		case <-l.ended:
			return
		}
	}
}
