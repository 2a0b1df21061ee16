package bus

import (
	"sync"
	"time"
)

// topic is a name that Redis is asked for, and those who receive it.
type topic struct {
	kind Kind
	name string

	// The Hub's lock guards:
	wanted  int    // receivers, those who wait included
	waiting []*Sub // for Redis to confirm
	deleted bool
	link    *link  // nil: none yet
	sent    bool   // the last command was to subscribe
	acked   bool   // and was confirmed
	dirty   bool   // the link looks whether something is to be sent
	epoch   uint32 // grows with each command
	since   time.Time
	lost    time.Time // from when on messages may be missing; zero = none are
	reason  string    // for that
	hint    string    // the node that the server named
	tries   int       // that a server refused for the time being
	retryAt time.Time

	mu   sync.Mutex // held while receivers are called
	live []*Sub
	gone error // why it takes none any more
}

// add makes s one of a topic's, and tells whether that is confirmed already.
func (h *Hub) add(s *Sub, kind Kind, name string) (confirmed bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.topics[kind][name]
	if t == nil || t.wanted == 0 {
		if err := h.holdLocked(); err != nil {
			return false, err
		}
	}
	if t == nil {
		t = &topic{kind: kind, name: name}
		h.topics[kind][name] = t
	}
	s.topic = t
	if t.wanted++; t.wanted == 1 {
		h.wantLocked(t)
	}
	if t.sent && t.acked {
		return true, nil
	}
	t.waiting = append(t.waiting, s)
	return false, nil
}

// wantLocked takes note that somebody wants a topic whom nobody did.
func (h *Hub) wantLocked(t *topic) {
	if t.link != nil {
		t.link.wanted++
		t.link.lookLocked(t)
		return
	}
	if l := h.links[""]; l != nil && !h.set.Cluster() {
		l.takeLocked(t)
		return
	}
	t.retryAt = h.retryAt
	h.placeLocked(t)
}

// drop takes s from those who want the topic.
func (h *Hub) drop(s *Sub) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := s.topic
	if s.left || t.deleted {
		return
	}
	s.left = true
	for i, one := range t.waiting {
		if one == s {
			t.waiting = append(t.waiting[:i], t.waiting[i+1:]...)
			break
		}
	}
	if t.wanted--; t.wanted > 0 {
		return
	}
	switch l := t.link; {
	case l == nil:
		h.deleteLocked(t)
	case l.wanted == 1:
		l.wanted = 0
		l.finishLocked()
	default:
		l.wanted--
		l.lookLocked(t)
	}
	h.releaseLocked()
}

// deleteLocked forgets a topic, and answers who waited for it. One that is wanted gives its share back.
func (h *Hub) deleteLocked(t *topic) (waiting []*Sub) {
	delete(h.topics[t.kind], t.name)
	delete(h.homeless, t)
	h.moves.Add(1)
	if t.link != nil {
		delete(t.link.topics, t)
	}
	if t.wanted > 0 {
		if t.link != nil {
			t.link.wanted--
		}
		h.releaseLocked()
	}
	waiting, t.waiting, t.deleted, t.wanted = t.waiting, nil, true, 0
	return waiting
}

// join makes a confirmed subscription live.
func (t *topic) join(s *Sub) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gone != nil {
		return t.gone
	}
	t.joinLocked(s)
	return nil
}

func (t *topic) joinLocked(s *Sub) {
	if !s.closed {
		s.at = len(t.live)
		t.live = append(t.live, s)
	}
}

// deliver hands a message to all.
func (t *topic) deliver(channel string, payload []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.live {
		s.receiver.Message(channel, payload)
	}
}

// confirmed makes those who waited live, once the others have been told of a gap.
func (t *topic) confirmed(waiting []*Sub, gap *Gap) {
	t.mu.Lock()
	if gap != nil {
		for _, s := range t.live {
			s.receiver.Missed(*gap)
		}
	}
	for _, s := range waiting {
		t.joinLocked(s)
	}
	t.mu.Unlock()
	for _, s := range waiting {
		s.ready <- nil
	}
}

// over ends the topic for good.
func (t *topic) over(waiting []*Sub, err error) {
	for _, s := range waiting {
		s.ended.Store(true)
		s.ready <- err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gone = err
	for _, s := range t.live {
		s.at = -1
		s.ended.Store(true)
		s.receiver.Ended(err)
	}
	t.live = nil
}
