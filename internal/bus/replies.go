package bus

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tidemill/tidemill/internal/conn"
)

var errUnasked = errors.New("the server answered what it was not asked")

// refusal is an error that the server answered.
type refusal string

func (e refusal) Error() string { return string(e) }

// RedisError marks it for package conn, as go-redis does.
func (e refusal) RedisError() {}

// answeredLocked takes the oldest command off those under way: all that was published before it was sent has arrived.
func (l *link) answeredLocked() *command {
	c := l.pending[0]
	l.pending[0] = nil
	if l.pending = l.pending[1:]; len(l.pending) == 0 {
		l.pending = nil
		if l.unmarked.Load() { // no ping was due while this was under way
			l.wake.Set()
		}
	}
	l.mark = c.at
	return c
}

func (l *link) pong() error {
	l.hub.mu.Lock()
	defer l.hub.mu.Unlock()
	if len(l.pending) == 0 || !l.pending[0].ping {
		return errUnasked
	}
	l.answeredLocked()
	return nil
}

// confirmation takes one for one name.
func (l *link) confirmation(word string, name []byte) error {
	h := l.hub
	h.mu.Lock()
	if len(l.pending) == 0 || !l.pending[0].confirms(word, name) {
		defer h.mu.Unlock()
		return l.unaskedLocked(word, string(name))
	}
	c := l.pending[0]
	t, current := c.topics[c.done], c.current(l, c.done)
	if c.done++; c.done == len(c.topics) {
		l.answeredLocked()
	}
	switch {
	case !current:
	case !c.on:
		if t.wanted == 0 {
			h.deleteLocked(t)
		}
	default:
		waiting, gap := t.ackLocked(time.Now())
		h.mu.Unlock()
		if gap != nil {
			h.gaps.Add(1)
		}
		t.confirmed(waiting, gap)
		return nil
	}
	h.mu.Unlock()
	return nil
}

// confirms tells whether a confirmation is the next one of the command.
func (c *command) confirms(word string, name []byte) bool {
	return !c.ping && word == verbs[c.kind][toInt(c.on)].reply && c.topics[c.done].name == string(name)
}

// ackLocked notes that a topic is subscribed, and answers who waited for that and what they missed who did not.
func (t *topic) ackLocked(now time.Time) (waiting []*Sub, gap *Gap) {
	if !t.lost.IsZero() {
		gap = &Gap{From: t.lost, To: now, Reason: t.reason}
	}
	t.acked, t.since, t.lost, t.reason, t.tries = true, now, time.Time{}, "", 0
	waiting, t.waiting = t.waiting, nil
	return waiting, gap
}

// knownLocked is up to when all that was published has arrived for sure.
func (l *link) knownLocked() time.Time { return l.mark.Add(-l.hub.set.Behind()) }

// lostLocked notes that a topic is subscribed no more, because of a connection or its server.
func (t *topic) lostLocked(known time.Time, reason string) {
	if t.acked && t.lost.IsZero() {
		if t.lost = t.since; known.After(t.since) {
			t.lost = known
		}
		t.reason = reason
	}
	t.sent, t.acked = false, false
}

// unaskedLocked takes a confirmation that answers no command: of a server that lost the channel's slot.
func (l *link) unaskedLocked(word, name string) error {
	if word != verbs[Shard][0].reply {
		return errUnasked
	}
	t := l.hub.topics[Shard][name]
	if t == nil || t.link != l || !t.sent {
		return nil // unsubscribing crossed it
	}
	t.lostLocked(l.knownLocked(), "the sharded channel moved to another server")
	l.moveLocked(t, time.Time{})
	return nil
}

// moveLocked has a topic placed anew.
func (l *link) moveLocked(t *topic, at time.Time) {
	h := l.hub
	delete(l.topics, t)
	h.moves.Add(1)
	t.link = nil
	if t.wanted == 0 {
		h.deleteLocked(t)
		return
	}
	l.wanted--
	t.retryAt = at
	h.placeLocked(t)
	if l.wanted == 0 {
		l.finishLocked()
	}
}

// farewell is a topic that was refused for good.
type farewell struct {
	topic   *topic
	waiting []*Sub
	err     error
}

// fault takes an error, which answers the oldest command whole.
func (l *link) fault(text string) error {
	h := l.hub
	h.mu.Lock()
	err := conn.Classify(refusal(text))
	if len(l.pending) == 0 {
		h.mu.Unlock()
		return err
	}
	c := l.answeredLocked()
	var refused []farewell
	if c.on {
		refused, err = l.refusedLocked(c, err)
	} else {
		err = l.unheardLocked(c)
	}
	h.mu.Unlock()
	for _, one := range refused {
		one.topic.over(one.waiting, one.err)
	}
	return err
}

// unheardLocked is an error to a ping (which is a sign of life) or to unsubscribing from what the server does not serve
// any more.
func (l *link) unheardLocked(c *command) error {
	for i := c.done; i < len(c.topics); i++ {
		if t := c.topics[i]; c.current(l, i) && t.wanted == 0 {
			l.hub.deleteLocked(t)
		}
	}
	return nil
}

// refusedLocked is an error to a subscribe. It answers which topics are refused for good, and an error where the
// connection is to be replaced.
func (l *link) refusedLocked(c *command, err error) (refused []farewell, broken error) {
	var topics []*topic
	for i := c.done; i < len(c.topics); i++ {
		if c.current(l, i) {
			c.topics[i].sent = false
			topics = append(topics, c.topics[i])
		}
	}
	text := err.Error()
	_, moved, isMoved := strings.Cut(text, "MOVED ")
	switch {
	case isMoved:
		_, at, _ := strings.Cut(moved, " ")
		for _, t := range topics {
			l.movedLocked(t, at)
		}
		return nil, nil
	case conn.Retryable(err) && c.kind == Shard && l.hub.set.Cluster():
		for _, t := range topics {
			l.laterLocked(t)
		}
		return nil, nil
	case conn.Retryable(err):
		return nil, err
	case c.kind == Shard && (strings.Contains(text, "unknown command") || strings.Contains(text, "Can't execute")):
		err = fmt.Errorf("%w: %w", ErrNoSharding, err)
	case len(topics) > 1 && !strings.Contains(text, " to run "): // it does not say which
		half := len(topics) / 2
		l.groups = append(l.groups, topics[:half], topics[half:])
		l.wake.Set()
		return nil, nil
	}
	for _, t := range topics {
		refused = append(refused, farewell{t, l.hub.deleteLocked(t), err})
	}
	if l.wanted == 0 {
		l.finishLocked()
	}
	return refused, nil
}
