package queue

import (
	"errors"
	"fmt"
	"time"

	"github.com/tidemill/tidemill/internal/broker"
)

const (
	// firstChunk lets Redis begin early; chunks double from there.
	firstChunk = 64
	// streamItems is the largest chunk of a stream: small enough for Redis to serve others between, and to begin the next one
	// while the one after it is made.
	streamItems = 256
	// window is how many calls of a stream may be without an answer.
	window = 8
	// grace is for how long answers are awaited once the context has ended: of what was sent most are known in a moment.
	grace = 100 * time.Millisecond
)

// stream is the express connection for one EnqueueMany: chunks are sent as they are made, while Redis carries out those
// before them, on one connection and so in order. What fails there is sent again the usual way.
type stream struct {
	*many
	x     *broker.Express // nil: not any more
	items int             // of the next chunk
	flown []flown         // what has no answer yet
	again []flown         // what was refused before it was looked at
}

// flown is a chunk on its way.
type flown struct {
	chunk *chunk
	lane  *lane
	stamp broker.Stamp
}

// call is the chunk's call, which is carried out only if that of the chunk before it is, of the same queue.
func (s *stream) call(f *flown) *broker.Call {
	c := &broker.Call{Batch: broker.Batch{Queue: f.chunk.lanes.keys, Stamp: f.stamp, Items: f.chunk.items}, Start: time.Now()}
	for i := range s.flown {
		if s.flown[i].chunk.lanes == f.chunk.lanes {
			c.After = &s.flown[i].stamp
		}
	}
	return c
}

// stream makes the calls of the batch on the express connection, which is taken.
func (m *many) stream(items []Item, options []Option) {
	s := &stream{many: m, x: m.client.express, items: firstChunk}
	s.x.While(m.ctx, grace)
	defer func() { // also where a Kind or Codec of the caller's panics
		if s.x != nil {
			s.x.Free()
		}
	}()
	m.split(items, options, s.room, s.send)
	s.settleAll()
}

// settleAll awaits every answer, for a moment also where the context has ended.
func (s *stream) settleAll() {
	for len(s.flown) > 0 {
		s.receive()
	}
	s.repeat(nil)
}

// room is how many items the next chunk may have.
func (s *stream) room() int {
	n := s.items
	if s.x == nil {
		return chunkItems
	}
	s.items = min(2*s.items, streamItems)
	return n
}

// send sends a chunk, and takes an answer where many have none yet.
func (s *stream) send(ch *chunk) {
	if s.x == nil || ch.own != nil || s.stopped() != nil || ch.lanes.list(s.ctx) != nil {
		s.settleAll()
		s.many.send([]*chunk{ch})
		return
	}
	f := flown{chunk: ch, lane: ch.lanes.take()}
	f.stamp = ch.lanes.stamp(f.lane)
	call := s.call(&f)
	for s.x != nil && len(s.again) == 0 && s.x.Turns(call) {
		s.receive()
	}
	if s.x == nil || len(s.again) > 0 {
		s.settleAll()
		s.usual([]flown{f}, nil)
		return
	}
	if len(s.flown) == 0 {
		call.After = nil
	}
	err := s.x.Send(call)
	if s.flown = append(s.flown, f); err != nil {
		s.fail(err)
	} else if len(s.flown) > window || !s.x.Knows() { // by a server that may not have the script one call at a time is refused
		if s.receive(); len(s.again) > 0 {
			s.settleAll() // before what comes later: order is kept
		}
	}
}

// receive takes the answer of the first chunk that has none yet.
func (s *stream) receive() {
	f := s.flown[0]
	outcomes, answered, err := s.x.Receive()
	switch {
	case answered && (broker.Unanswered(err) || errors.Is(outward(err), ErrUnavailable)):
		s.again = append(s.again, f)
	case answered:
		err = outward(err)
		f.chunk.lanes.give(f.lane, f.chunk.items, err)
		s.settle(f.chunk, &broker.BatchOutcome{Outcomes: outcomes, Err: err}, err)
		f.chunk.reuse()
	default:
		s.fail(err)
		return
	}
	s.flown = s.flown[1:]
}

// fail gives the connection up: what has no answer is sent again.
func (s *stream) fail(err error) {
	if !errors.Is(outward(err), ErrUnavailable) { // an answer that cannot be read says nothing of the calls behind it
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	s.again, s.flown = append(s.again, s.flown...), nil
	if s.ctx.Err() == nil {
		s.client.conn.Refresh()
	}
	s.repeat(err)
}

// repeat sends again what was refused, or has no answer because of a failure, under the same stamps and in order; what comes
// later takes the usual way too. It does nothing where there is nothing.
func (s *stream) repeat(failed error) {
	if len(s.again) == 0 {
		return
	}
	s.x.Free()
	s.x = nil
	again := s.again
	s.again = nil
	s.usual(again, failed)
}

// usual makes calls the usual way; failed is what became of a first try, nil = there was none, or it surely was not carried out.
func (s *stream) usual(calls []flown, failed error) {
	if stop := s.stopped(); stop != nil && failed == nil {
		for _, one := range calls {
			one.chunk.lanes.give(one.lane, one.chunk.items, stop)
			s.settle(one.chunk, nil, fmt.Errorf("not sent: %w", stop))
		}
		return
	}
	f := newFlight(s.client, len(calls))
	group, used := make([]*chunk, len(calls)), make([]*lane, len(calls))
	for i, one := range calls {
		f.add(one.chunk.lanes, one.stamp, one.chunk.items)
		group[i], used[i] = one.chunk, one.lane
	}
	s.finish(f, f.carryAfter(s.ctx, failed), group, used)
}
