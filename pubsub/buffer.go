package pubsub

import "time"

// buffer is what waits for the consumer of a subscription: bounded, and grown as it is needed. Its owner guards it.
type buffer[T any] struct {
	limit   int // messages
	policy  Policy
	main    ring[T]
	waiting ring[T] // Block: messages that wait for room in main
	tail    *gaps   // what is missing behind the last message
	dropped uint64
}

// slot is a message in its place, and what is missing before it.
type slot[T any] struct {
	frame *frame[T]
	gaps  *gaps
}

// push takes a message in as the policy says. It answers how many were dropped for it, itself included, whether it is
// in now, and that the subscription is to end. at tells when the message came.
func (b *buffer[T]) push(f *frame[T], at *moment) (dropped int, in, slow bool) {
	if b.waiting.n > 0 {
		dropped = b.expire(at.now())
	}
	if b.main.n < b.limit { // nothing waits then
		b.main.push(slot[T]{f, b.takeTail()})
		return dropped, true, false
	}
	switch b.policy.kind {
	case closeWhenSlow:
		b.dropped++
		return dropped + 1, false, true
	case dropOldest:
		b.drop(&b.main, at.now())
		b.main.push(slot[T]{f, b.takeTail()})
		return dropped + 1, true, false
	case blockFor:
		if b.waiting.n < b.limit {
			if f.came.IsZero() { // once: others' consumers may look at it already
				f.came = at.now()
			}
			b.waiting.push(slot[T]{f, b.takeTail()})
			return dropped, true, false
		}
	}
	b.dropped++
	b.tail = b.tail.slow(at.now(), 1)
	return dropped + 1, false, false
}

// missed notes a gap behind what is in the buffer.
func (b *buffer[T]) missed(g *Gap) { b.tail = b.tail.join(&gaps{lost: g}) }

func (b *buffer[T]) takeTail() *gaps {
	g := b.tail
	b.tail = nil
	return g
}

// drop takes out the first message of a ring, which leaves a gap before the next.
func (b *buffer[T]) drop(r *ring[T], now time.Time) {
	b.dropped++
	g := r.pop().gaps.slow(now, 1)
	if r.n > 0 {
		next := r.front()
		next.gaps = g.join(next.gaps)
		return
	}
	b.tail = g.join(b.tail)
}

// expire drops those that waited for room too long, and answers how many.
func (b *buffer[T]) expire(now time.Time) (dropped int) {
	for b.waiting.n > 0 && now.Sub(b.waiting.front().frame.came) >= b.policy.wait {
		b.drop(&b.waiting, now)
		dropped++
	}
	return dropped
}

// pop answers what is next: a message, or a gap, or neither where the buffer is empty.
func (b *buffer[T]) pop() (*frame[T], *Gap, int) {
	dropped := 0
	if b.waiting.n > 0 {
		dropped = b.expire(time.Now())
	}
	if b.main.n == 0 {
		if b.tail == nil {
			return nil, nil, dropped
		}
		var g *Gap
		g, b.tail = b.tail.first()
		return nil, g, dropped
	}
	if front := b.main.front(); front.gaps != nil {
		var g *Gap
		g, front.gaps = front.gaps.first()
		return nil, g, dropped
	}
	f := b.main.pop().frame
	if b.waiting.n > 0 {
		b.main.push(b.waiting.pop())
	}
	return f, nil, dropped
}

// empty tells that pop would answer neither.
func (b *buffer[T]) empty() bool { return b.main.n == 0 && b.tail == nil }

// moment is the time, asked for at most once.
type moment struct{ t time.Time }

func (m *moment) now() time.Time {
	if m.t.IsZero() {
		m.t = time.Now()
	}
	return m.t
}

// gaps is what is missing in one place: dropped for lack of room, and lost with a connection. However often either
// happens there, it is told once.
type gaps struct{ dropped, lost *Gap }

// slow adds messages that were dropped. The receiver may be nil.
func (g *gaps) slow(at time.Time, n uint64) *gaps {
	if g == nil {
		g = &gaps{}
	}
	if g.dropped == nil {
		g.dropped = &Gap{From: at, Reason: slowConsumer}
	}
	g.dropped.To = at
	g.dropped.Missed += n
	return g
}

const slowConsumer = "slow consumer"

// join adds what is missing right behind. Either may be nil. Lost ones are shared by subscriptions, so they are not changed.
func (g *gaps) join(behind *gaps) *gaps {
	if g == nil {
		return behind
	}
	if behind == nil {
		return g
	}
	if more := behind.dropped; g.dropped == nil {
		g.dropped = more
	} else if more != nil {
		g.dropped.From, g.dropped.To = earlier(g.dropped.From, more.From), later(g.dropped.To, more.To)
		g.dropped.Missed += more.Missed
	}
	if more := behind.lost; g.lost == nil {
		g.lost = more
	} else if more != nil {
		g.lost = &Gap{From: earlier(g.lost.From, more.From), To: later(g.lost.To, more.To), Reason: more.Reason}
	}
	return g
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// first takes out the one that began first, and answers what is left: nil where nothing is.
func (g *gaps) first() (*Gap, *gaps) {
	if g.dropped == nil {
		return g.lost, nil
	}
	if g.lost == nil {
		return g.dropped, nil
	}
	if g.lost.From.Before(g.dropped.From) {
		return g.lost, &gaps{dropped: g.dropped}
	}
	return g.dropped, &gaps{lost: g.lost}
}
