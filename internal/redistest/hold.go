package redistest

import "sync"

// hold keeps requests back until it is released. A connection joins it, waits
// for released, and leaves when its requests have been answered or it has ended.
type hold struct {
	pred     Pred
	released chan struct{}

	mu      sync.Mutex
	over    bool
	members sync.WaitGroup
}

// join reports false when the hold was released a moment ago.
func (h *hold) join() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over {
		return false
	}
	h.members.Add(1)
	return true
}

func (h *hold) leave() { h.members.Done() }

// release lets the requests go and returns when all members have left.
func (h *hold) release() {
	h.mu.Lock()
	if !h.over {
		h.over = true
		close(h.released)
	}
	h.mu.Unlock()
	h.members.Wait()
}
