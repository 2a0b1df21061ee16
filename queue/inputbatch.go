package queue

import (
	"context"
	"errors"
	"fmt"

	"github.com/tidemill/tidemill/internal/broker"
)

const (
	inputItems = broker.MaxBatch // jobs a call: with one call under way the larger ones are the faster ones
	inputCalls = 16              // calls a pipeline, of as many queues
)

// inputBatch is one batch of an input under way.
type inputBatch struct {
	input   *Input
	ctx     context.Context
	places  []uint64
	results []Result
	queues  []*inputPart // in the order of their first jobs
	group   []*inputPart // whose next calls travel together
}

// inputPart is what a batch has for one queue.
type inputPart struct {
	*inputQueue
	lanes *lanes
	jobs  []order
	at    []int // the places of the jobs in the batch
	n     int   // jobs of the call under way
}

// inputCall is the jobs of a call, and their places in the input.
type inputCall struct {
	items  []broker.Item
	places []uint64
}

// gather encodes the items and sorts them by queue. Those that are in already and those that cannot be sent have their
// result then.
func (b *inputBatch) gather(items []Item, options []Option) {
	parts := make(map[*lanes]*inputPart)
	for i := range items {
		job, err := b.input.client.build(nil, items[i].Args, options, items[i].Options)
		if err != nil {
			b.results[i].Err = err
			continue
		}
		l := job.lanes
		part := parts[l]
		if part == nil {
			part = &inputPart{lanes: l}
			if part.inputQueue, err = b.input.open(b.ctx, l); err != nil {
				part.inputQueue = &inputQueue{broken: err} // of this batch alone, where it could not be opened
			}
			parts[l] = part
			b.queues = append(b.queues, part)
		}
		switch {
		case part.broken != nil:
			b.results[i].Err = part.broken
		case b.places[i] <= part.place:
			b.results[i].Err = ErrAlreadyIn
		default:
			b.results[i].ID = job.item.ID
			part.jobs, part.at = append(part.jobs, job), append(part.at, i)
		}
	}
	for _, part := range b.queues {
		if part.unsure != nil && len(part.jobs) > 0 {
			b.again(part)
		}
	}
}

// again has the call that is unsure made as it was: under its number it is done once, whichever try arrives first. Other
// jobs might be added beside it.
func (b *inputBatch) again(part *inputPart) {
	for i, place := range part.unsure.places {
		if i >= len(part.jobs) || b.places[part.at[i]] != place {
			b.fail(part, fmt.Errorf("%w: not the jobs that were to be sent again: nothing is at place %d", ErrOutcomeUnknown, place))
			return
		}
	}
	for i, item := range part.unsure.items {
		part.jobs[i].item, b.results[part.at[i]].ID = item, item.ID
	}
}

// next chooses the calls that travel together: one of each queue that has jobs left.
func (b *inputBatch) next() bool {
	b.group = b.group[:0]
	for _, part := range b.queues {
		if len(part.jobs) == 0 {
			continue
		}
		part.n = 0
		if part.unsure != nil {
			part.n = len(part.unsure.items)
		}
		for bytes := 0; part.unsure == nil && part.n < min(len(part.jobs), inputItems); part.n++ {
			if bytes += len(part.jobs[part.n].item.Envelope); part.n > 0 && bytes > chunkBytes {
				break
			}
		}
		if b.group = append(b.group, part); len(b.group) == inputCalls {
			break
		}
	}
	return len(b.group) > 0
}

// send makes the calls of the group until they are answered.
func (b *inputBatch) send() {
	c := b.input.client
	err := c.closed()
	if err == nil {
		err = context.Cause(b.ctx)
	}
	for _, part := range b.group {
		for i := 0; i < part.n && err == nil; i++ {
			err = part.lanes.doubts.settled(b.ctx, &part.jobs[i].item)
		}
	}
	if err != nil {
		for _, part := range b.group {
			b.fail(part, fmt.Errorf("not sent: %w", err))
		}
		return
	}
	f := newFlight(c, len(b.group))
	chunks := make([]*chunk, len(b.group))
	for i, part := range b.group {
		last := b.places[part.at[part.n-1]]
		stamp := broker.Stamp{Producer: b.input.id, Lane: inputLane, Seq: broker.InputSeq(b.input.run, last)}
		chunks[i] = &chunk{lanes: part.lanes, items: make([]broker.Item, 0, part.n)}
		for at, job := range part.jobs[:part.n] {
			chunks[i].add(job, part.at[at])
		}
		f.add(part.lanes, stamp, chunks[i].items)
		f.want = gather(f.want, chunks[i].want)
	}
	err = f.carry(b.ctx)
	for i, part := range b.group {
		if one := f.result(i, err); one != nil {
			one = b.input.refused(one)
			if errors.Is(one, ErrRedisFull) && (errors.Is(one, ErrOutcomeUnknown) || part.unsure != nil) {
				part.unsure = b.call(part, chunks[i])
			}
			b.fail(part, one)
			continue
		}
		b.settle(part, chunks[i], &f.answers[i])
	}
}

// settle books an answered call.
func (b *inputBatch) settle(part *inputPart, ch *chunk, answer *broker.BatchOutcome) {
	if ch.lanes.tells {
		ch.lanes.created(ch.items, answer.Outcomes)
	}
	for i, at := range ch.places {
		b.results[at].Err = ch.outcome(i, answer)
	}
	part.place, part.unsure = b.places[part.at[part.n-1]], nil
	part.jobs, part.at = part.jobs[part.n:], part.at[part.n:]
}

// call is the one under way.
func (b *inputBatch) call(part *inputPart, ch *chunk) *inputCall {
	call := &inputCall{items: ch.items, places: make([]uint64, part.n)}
	for i, at := range part.at[:part.n] {
		call.places[i] = b.places[at]
	}
	return call
}

// fail gives a queue up for this batch: what is behind a failed call must not come before it.
func (b *inputBatch) fail(part *inputPart, err error) {
	if part.unsure != nil && !errors.Is(err, ErrOutcomeUnknown) && !errors.Is(err, ErrConflict) {
		err = fmt.Errorf("%w: a try before: %w", ErrOutcomeUnknown, err)
	}
	if errors.Is(err, ErrConflict) || errors.Is(err, ErrOutcomeUnknown) && !errors.Is(err, ErrRedisFull) {
		part.broken = err
	}
	for _, at := range part.at {
		b.results[at].Err = err
	}
	part.jobs, part.at = nil, nil
}
