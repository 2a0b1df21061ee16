package queue

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
)

// MaxMany is the largest batch of EnqueueMany.
const MaxMany = 1_000_000

// Item is one job of a batch.
type Item struct {
	Args    Args
	Options []Option
}

// Items makes a batch of args that share their options.
func Items[A Args](args []A, options ...Option) []Item {
	out := make([]Item, len(args))
	for i := range args {
		out[i] = Item{Args: args[i], Options: options}
	}
	return out
}

// Result is what became of one job of a batch: Err is nil where it was created, else one of Enqueue's errors.
type Result struct {
	ID  uuid.UUID
	Err error
}

// BatchError says how many jobs of a batch were not created. Unwrap answers the first of their errors; the results tell
// each.
type BatchError struct {
	Failed, Of int
	First      error
}

func (e *BatchError) Error() string {
	return fmt.Sprintf("%d of %d jobs were not created, the first because: %v", e.Failed, e.Of, e.First)
}

// Unwrap answers the first error.
func (e *BatchError) Unwrap() error { return e.First }

// EnqueueMany adds 1 to 1,000,000 jobs through pipelined calls, with a result for each in the same order; the options
// hold for every item, an item's own come after them. Jobs of one queue keep their order. It is not one transaction: a
// part may be created when another fails, and the results say which. The error is nil when all were created, else a
// *BatchError, or ErrInvalid for a batch of no or too many items.
func (c *Client) EnqueueMany(ctx context.Context, items []Item, options ...Option) ([]Result, error) {
	if len(items) == 0 || len(items) > MaxMany {
		return nil, invalid("batch", fmt.Sprintf("%d items", len(items)), fmt.Sprintf("1 to %d", MaxMany))
	}
	results := make([]Result, len(items))
	m := &many{client: c, ctx: ctx, results: results}
	groups := make(chan []*chunk, 2)
	var sender sync.WaitGroup
	sender.Go(func() {
		for group := range groups {
			m.send(group)
		}
	})
	func() {
		defer sender.Wait()
		defer close(groups) // also where a Kind or Codec of the caller's panics
		m.split(items, options, groups)
	}()
	return results, summary(results)
}

func summary(results []Result) error {
	e := &BatchError{Of: len(results)}
	for i := range results {
		if results[i].Err != nil {
			if e.Failed++; e.First == nil {
				e.First = results[i].Err
			}
		}
	}
	if e.Failed == 0 {
		return nil
	}
	return e
}

const (
	chunkItems = 500
	chunkBytes = 1 << 20 // of envelopes: what one call makes Redis read at a time
	groupSize  = 4       // chunks a pipeline
)

// chunk is one enqueue call of a batch, and the places of its items in it.
type chunk struct {
	lanes  *lanes
	items  []broker.Item
	places []int
	bytes  int
}

// many is one EnqueueMany under way: items are encoded while the group before them travels.
type many struct {
	client  *Client
	ctx     context.Context
	results []Result
	away    bool // Redis did not answer in time: what was not sent by then is not sent
}

// split encodes the items into chunks by queue and hands them over in groups. A chunk keeps the order of its queue.
func (m *many) split(items []Item, options []Option, groups chan<- []*chunk) {
	open := make(map[*lanes]*chunk)
	var group []*chunk
	finish := func(ch *chunk) {
		delete(open, ch.lanes)
		if group = append(group, ch); len(group) == groupSize {
			groups <- group
			group = nil
		}
	}
	for i := range items {
		l, item, err := m.client.build(items[i].Args, options, items[i].Options)
		if err != nil {
			m.results[i].Err = err
			continue
		}
		m.results[i].ID = item.ID
		ch := open[l]
		if ch == nil {
			room := min(chunkItems, len(items)-i)
			if len(open) > 0 { // of many queues each may get but a few
				room = min(room, 8)
			}
			ch = &chunk{lanes: l, items: make([]broker.Item, 0, room), places: make([]int, 0, room)}
			open[l] = ch
		}
		ch.items, ch.places, ch.bytes = append(ch.items, item), append(ch.places, i), ch.bytes+len(item.Envelope)
		if len(ch.items) == chunkItems || ch.bytes >= chunkBytes {
			finish(ch)
		}
	}
	for _, ch := range open {
		finish(ch)
	}
	if len(group) > 0 {
		groups <- group
	}
}

// send makes the calls of a group in one pipeline, and resends those that were not answered. Once the context ended or
// Redis is away, the rest of the batch fails without being sent.
func (m *many) send(group []*chunk) {
	stop := context.Cause(m.ctx)
	if stop == nil {
		stop = m.client.closed()
	}
	if stop == nil && m.away {
		stop = ErrUnavailable
	}
	if stop != nil {
		for _, ch := range group {
			m.settle(ch, nil, fmt.Errorf("not sent: %w", stop))
		}
		return
	}
	batches := make([]broker.Batch, len(group))
	used := make([]*lane, len(group))
	for i, ch := range group {
		used[i] = ch.lanes.take()
		batches[i] = broker.Batch{Queue: ch.lanes.keys, Stamp: ch.lanes.stamp(used[i]), Items: ch.items}
	}
	answers := make([]broker.BatchOutcome, len(group))
	err := m.client.resend(m.ctx, func(ctx context.Context) error { return m.attempt(ctx, group, batches, answers) })
	m.away = errors.Is(err, ErrUnavailable) || errors.Is(err, ErrOutcomeUnknown)
	for i, ch := range group {
		one := outward(answers[i].Err)
		// No answer at all: a batch before it ended the attempt.
		if one == nil && answers[i].Outcomes == nil || errors.Is(one, ErrUnavailable) {
			one = err
		}
		ch.lanes.give(used[i], one)
		m.settle(ch, answers[i].Outcomes, one)
	}
}

// attempt sends the batches that have no answer yet; its error is one that sending again may mend.
func (m *many) attempt(ctx context.Context, group []*chunk, batches []broker.Batch, answers []broker.BatchOutcome) error {
	var open []int
	var todo []broker.Batch
	for i := range batches {
		if answers[i].Outcomes != nil || answers[i].Err != nil && !errors.Is(outward(answers[i].Err), ErrUnavailable) {
			continue
		}
		if err := group[i].lanes.list(ctx); err != nil {
			answers[i].Err = err
			return err
		}
		open, todo = append(open, i), append(todo, batches[i])
	}
	var again error
	for j, answer := range m.client.broker.EnqueueBatches(ctx, todo) {
		answers[open[j]] = answer
		if err := outward(answer.Err); errors.Is(err, ErrUnavailable) {
			again = err
		}
	}
	return again
}

func (m *many) settle(ch *chunk, outcomes []broker.Outcome, err error) {
	for i, place := range ch.places {
		if err != nil {
			m.results[place].Err = err
		} else {
			m.results[place].Err = outcome(outcomes[i], ch.items[i].ID)
		}
	}
}
