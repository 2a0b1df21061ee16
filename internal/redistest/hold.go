package redistest

import (
	"slices"
	"sync"
)

// HoldRequest holds back the requests that pred chooses, and all that comes
// after them on the same connection, until release is called. The client may
// give up and go away in the meantime: release then delivers the request all the
// same, late, after whatever newer commands other connections have sent. release
// returns when the server has answered everything that was held; it may be
// called more than once, and pred chooses nothing after the first call. Several
// holds may be in force at once.
func (f *faults) HoldRequest(pred Pred) (release func()) {
	return f.hold(&hold{pred: pred, released: make(chan struct{})})
}

// Reorder makes the requests that late chooses arrive after a newer one of
// another connection: they are held, as by HoldRequest, until the server has
// answered the first request that newer chooses and that came while one was held.
// Then they are delivered, and late chooses nothing any more. release delivers
// them in any case.
func (f *faults) Reorder(late, newer Pred) (release func()) {
	return f.hold(&hold{pred: late, newer: newer, released: make(chan struct{})})
}

func (f *faults) hold(h *hold) (release func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.holds = append(f.holds, h)
	return func() {
		f.free(h)
		h.members.Wait()
	}
}

// free lets what is held go, and does not wait for its answers.
func (f *faults) free(h *hold) {
	f.mu.Lock()
	f.holds = slices.DeleteFunc(f.holds, func(other *hold) bool { return other == h })
	f.mu.Unlock()
	h.release()
}

// HoldReply holds back the replies to the commands that pred chooses, and all
// that come after them on the same connection, until release is called; the
// commands themselves are executed at once. Connections thus get their replies in
// another order than the server gave them. A client that goes away is waited for
// no longer.
func (f *faults) HoldReply(pred Pred) (release func()) {
	k := &keep{pred: pred, released: make(chan struct{})}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keeps = append(f.keeps, k)
	return sync.OnceFunc(func() {
		f.mu.Lock()
		f.keeps = slices.DeleteFunc(f.keeps, func(other *keep) bool { return other == k })
		f.mu.Unlock()
		close(k.released)
	})
}

// keep holds replies back until it is released.
type keep struct {
	pred     Pred
	released chan struct{}
}

// hold keeps requests back until it is released. A connection joins it, waits
// for released, and leaves when its requests have been answered or it has ended.
type hold struct {
	pred     Pred
	newer    Pred // whose answer releases it; may be nil
	released chan struct{}

	mu      sync.Mutex
	over    bool
	held    bool // somebody has joined
	members sync.WaitGroup
}

// join reports false when the hold was released a moment ago.
func (h *hold) join() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over {
		return false
	}
	h.held = true
	h.members.Add(1)
	return true
}

func (h *hold) joined() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.held
}

func (h *hold) leave() { h.members.Done() }

// release lets the requests go.
func (h *hold) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.over {
		h.over = true
		close(h.released)
	}
}
