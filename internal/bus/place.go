package bus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"github.com/tidemill/tidemill/internal/conn"
	"github.com/tidemill/tidemill/internal/loop"
)

// placeLocked has a topic given to a link, once its time has come.
func (h *Hub) placeLocked(t *topic) {
	if h.closed {
		return
	}
	h.homeless[t] = struct{}{}
	if h.placing {
		if t.retryAt.Before(h.nextLook) {
			h.woken.Set()
		}
		return
	}
	h.placing = true
	h.running.Go(h.place)
}

// place gives homeless topics to links until there are none left.
func (h *Hub) place() {
	for {
		due, wait, done := h.due()
		if done {
			return
		}
		if len(due) > 0 {
			h.assign(due)
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-h.woken.C():
		case <-h.life.Done():
		}
		timer.Stop()
	}
}

// due answers the homeless topics whose time has come, or else how long that takes.
func (h *Hub) due() (due []*topic, wait time.Duration, done bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.homeless) == 0 || h.closed {
		h.placing = false
		return nil, 0, true
	}
	now := time.Now()
	var first time.Time
	for t := range h.homeless {
		if !t.retryAt.After(now) {
			due = append(due, t)
		} else if first.IsZero() || t.retryAt.Before(first) {
			first = t.retryAt
		}
	}
	h.nextLook = first
	return due, first.Sub(now), false
}

// assign finds the servers of some topics and gives them to the links there.
func (h *Hub) assign(due []*topic) {
	if !h.set.Cluster() {
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, t := range due {
			h.giveLocked(t, "")
		}
		return
	}
	ctx, cancel := context.WithTimeout(h.life, connecting)
	defer cancel()
	at, err := h.locate(ctx, due)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil && h.life.Err() == nil {
		h.troubleLocked(err, len(due), "", due[0].tries+1)
	}
	for i, t := range due {
		if at[i] != "" {
			h.giveLocked(t, at[i])
		} else {
			t.tries++
			t.retryAt = time.Now().Add(reconnects.Delay(t.tries, nil))
		}
	}
}

// giveLocked gives a homeless topic to the link of a node.
func (h *Hub) giveLocked(t *topic, node string) {
	if _, homeless := h.homeless[t]; !homeless || h.closed {
		return // nobody wants it any more
	}
	delete(h.homeless, t)
	l := h.links[node]
	if l == nil {
		l = &link{hub: h, node: node, raw: h.raw, wake: loop.NewTrigger(), began: time.Now(), topics: make(map[*topic]struct{})}
		l.ctx, l.end = context.WithCancel(h.life)
		h.links[node] = l
		h.running.Go(l.run)
	}
	l.takeLocked(t)
}

// locate answers the server for each topic, "" where it finds none. Channels and patterns may be at any.
func (h *Hub) locate(ctx context.Context, due []*topic) (at []string, err error) {
	at = make([]string, len(due))
	h.mu.Lock()
	anew := false
	for i, t := range due {
		at[i], t.hint = t.hint, ""
		anew = anew || at[i] == "" && (t.kind != Shard || t.tries > 0 || !t.lost.IsZero())
	}
	home := h.homeLocked()
	h.mu.Unlock()
	var nodes []conn.Node
	if anew {
		if nodes, err = h.set.Nodes(ctx); err != nil {
			return at, fmt.Errorf("find the nodes: %w", err)
		}
	}
	if home == "" && anew {
		home = h.choose(nodes)
	}
	for i, t := range due {
		switch {
		case at[i] != "":
		case t.kind != Shard:
			at[i] = home
		default:
			var fault error
			if at[i], fault = h.set.Owner(ctx, t.name); fault != nil {
				err = errors.Join(err, fmt.Errorf("find the node of %q: %w", t.name, fault))
			}
		}
	}
	return at, err
}

// homeLocked answers the server of the Cluster that channels are at, or another to which there is a connection already.
func (h *Hub) homeLocked() string {
	if h.links[h.home] != nil {
		return h.home
	}
	for at, l := range h.links {
		if l.conn != nil {
			h.home = at
			return at
		}
	}
	return ""
}

// choose picks a server for channels, another than the one that failed last.
func (h *Hub) choose(nodes []conn.Node) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, i := range rand.Perm(len(nodes)) {
		if nodes[i].Addr != h.avoid || len(nodes) == 1 {
			h.home = nodes[i].Addr
			return h.home
		}
	}
	return ""
}

// movedLocked has a topic follow its slot.
func (l *link) movedLocked(t *topic, at string) {
	if host, port, err := net.SplitHostPort(at); err == nil && host == "" {
		host, _, _ = net.SplitHostPort(l.node)
		at = net.JoinHostPort(host, port)
	}
	t.hint = at
	t.tries++
	wait := time.Duration(0) // a server that names another twice over is not to be believed at once
	if t.tries > 1 {
		wait = reconnects.Delay(t.tries, nil)
	}
	l.moveLocked(t, time.Now().Add(wait))
}

// laterLocked has a topic tried again.
func (l *link) laterLocked(t *topic) {
	t.tries++
	l.moveLocked(t, time.Now().Add(reconnects.Delay(t.tries, nil)))
}

// lost takes back what a link had.
func (h *Hub) lost(l *link, err error) {
	h.mu.Lock()
	if l.over || h.closed {
		if h.links[l.node] == l {
			delete(h.links, l.node)
		}
		h.mu.Unlock()
		return
	}
	l.over = true
	delete(h.links, l.node)
	if l.conn != nil {
		h.reconnects.Add(1)
		if time.Since(l.began) > steady {
			delete(h.failures, l.node)
		}
		l.conn = nil
	}
	h.failures[l.node]++
	next := reconnects.Delay(h.failures[l.node], nil)
	at := time.Now().Add(next)
	if h.set.Cluster() {
		h.avoid = l.node
	} else {
		h.retryAt = at
	}
	h.troubleLocked(err, l.wanted, l.node, h.failures[l.node])
	refused := l.abandonLocked(err, at)
	h.mu.Unlock()
	for _, one := range refused {
		one.topic.over(one.waiting, one.err)
	}
}

// abandonLocked gives all topics of a link back. With an error that trying again does not mend, those who wait are told,
// while those who were subscribed hope on.
func (l *link) abandonLocked(err error, at time.Time) (refused []farewell) {
	h := l.hub
	hopeless := errors.Is(err, conn.ErrAuth) || errors.Is(err, conn.ErrPermission)
	for t := range l.topics {
		t.lostLocked(l.knownLocked(), err.Error())
		switch {
		case t.wanted == 0:
			h.deleteLocked(t)
			continue
		case hopeless && len(t.waiting) == t.wanted:
			refused = append(refused, farewell{t, h.deleteLocked(t), err})
			continue
		case hopeless:
			for _, s := range t.waiting {
				s.left = true
				t.wanted--
				s.ready <- err
			}
			t.waiting = nil
		}
		delete(l.topics, t)
		h.moves.Add(1)
		l.wanted--
		t.link, t.retryAt = nil, at
		h.placeLocked(t)
	}
	return refused
}

// troubleLocked notes why there is no connection, and logs it.
func (h *Hub) troubleLocked(err error, topics int, node string, attempt int) {
	h.trouble = err
	event := h.limit.Event(h.log.Warn()).Err(err).Int("subscriptions", topics).Int("attempt", attempt)
	if node != "" {
		event = event.Str("node", node)
	}
	event.Msg("no connection for subscriptions, trying again")
}
