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

// BatchError says how many jobs of a batch were not created, and how many were though their Durability was not confirmed.
// Unwrap answers the first of their errors, of those that were not created if there are any; the results tell each.
type BatchError struct {
	Failed, Of  int
	Unconfirmed int // created all the same
	First       error
}

func (e *BatchError) Error() string {
	if e.Failed == 0 {
		return fmt.Sprintf("%d of %d jobs are stored, but not confirmed, the first: %v", e.Unconfirmed, e.Of, e.First)
	}
	text := fmt.Sprintf("%d of %d jobs were not created", e.Failed, e.Of)
	if e.Unconfirmed > 0 {
		text += fmt.Sprintf(" (and %d were, but are not confirmed)", e.Unconfirmed)
	}
	return fmt.Sprintf("%s, the first because: %v", text, e.First)
}

// Unwrap answers the first error.
func (e *BatchError) Unwrap() error { return e.First }

// EnqueueMany adds 1 to 1,000,000 jobs through pipelined calls, with a result for each in the same order; the options
// hold for every item, an item's own come after them. Jobs of one queue keep their order, also where calls are sent again; only
// where Redis refuses one call for a passing reason and carries out the next may some stand behind later ones: its scripts were
// flushed and another producer brings them back in that moment, or it has too few replicas (min-replicas-to-write) for a moment.
// It is not one transaction: a part may be created when another fails, and the results say which. The error is nil when all were
// created, and confirmed where they have a Durability, else a *BatchError, or ErrInvalid for a batch of no or too many items.
//
// Jobs that travel together wait together, for the strictest of their Durability; each is judged by its own.
func (c *Client) EnqueueMany(ctx context.Context, items []Item, options ...Option) ([]Result, error) {
	if len(items) == 0 || len(items) > MaxMany {
		return nil, invalid("batch", fmt.Sprintf("%d items", len(items)), fmt.Sprintf("1 to %d", MaxMany))
	}
	results := make([]Result, len(items))
	m := &many{client: c, ctx: ctx, results: results}
	if ctx.Err() == nil && c.express.Take() {
		m.stream(items, options)
	} else {
		m.pipelines(items, options)
	}
	return results, summary(results)
}

// pipelines sends the chunks in groups, each a pipeline; the next is made while one travels.
func (m *many) pipelines(items []Item, options []Option) {
	groups := make(chan []*chunk, 2)
	var sender sync.WaitGroup
	sender.Go(func() {
		for group := range groups {
			m.send(group)
		}
	})
	defer sender.Wait()
	defer close(groups) // also where a Kind or Codec of the caller's panics
	var group []*chunk
	m.split(items, options, func() int { return chunkItems }, func(ch *chunk) {
		if group = append(group, ch); len(group) == groupSize {
			groups <- group
			group = nil
		}
	})
	if len(group) > 0 {
		groups <- group
	}
}

func summary(results []Result) error {
	e := &BatchError{Of: len(results)}
	for i := range results {
		err := results[i].Err
		switch {
		case err == nil:
		case created(err):
			if e.Unconfirmed++; e.First == nil {
				e.First = err
			}
		default:
			if e.Failed++; e.Failed == 1 {
				e.First = err
			}
		}
	}
	if e.First == nil {
		return nil
	}
	return e
}

// created tells an error of a job that was.
func created(err error) bool { return errors.Is(err, ErrNotConfirmed) && !errors.Is(err, ErrDuplicate) }

// many is one EnqueueMany under way: items are encoded while the group before them travels.
type many struct {
	client  *Client
	ctx     context.Context
	results []Result
	away    bool // Redis did not answer in time: what was not sent by then is not sent
}

// split encodes the items into chunks by queue, each of so many items at most as room says, and hands them over. A chunk
// keeps the order of its queue.
func (m *many) split(items []Item, options []Option, room func() int, hand func(*chunk)) {
	open := make(map[*lanes]*chunk)
	var last *chunk // most batches are of one queue
	made := common{slab: batchSlab, memory: takeMemory()}
	mixed := false // jobs of several chunks share its memory
	pass := func(ch *chunk) {
		if !mixed {
			ch.memory, made.memory = made.memory, takeMemory()
		}
		made.made = 0 // that may take long
		hand(ch)
	}
	for i := range items {
		b, err := m.client.build(&made, items[i].Args, options, items[i].Options)
		if err != nil {
			m.results[i].Err = err
			continue
		}
		m.results[i].ID = b.item.ID
		if err := b.lanes.doubts.settled(m.ctx, &b.item); err != nil {
			m.results[i].Err = fmt.Errorf("not sent: %w", err)
			continue
		}
		ch := last
		if ch == nil || ch.lanes != b.lanes {
			ch = open[b.lanes]
		}
		if ch == nil {
			limit := room()
			first := min(limit, len(items)-i)
			if len(open) > 0 { // of many queues each may get but a few
				first, mixed = min(first, 8), true
			}
			ch = newChunk(b.lanes, limit, first)
			open[b.lanes] = ch
		}
		last = ch
		ch.add(b, i)
		if len(ch.items) >= ch.room || ch.bytes >= chunkBytes {
			delete(open, ch.lanes)
			last = nil
			pass(ch)
		}
	}
	for _, ch := range open {
		pass(ch)
	}
}

// stopped is why nothing more is sent, or nil: the context ended, or Redis is away.
func (m *many) stopped() error {
	stop := context.Cause(m.ctx)
	if stop == nil {
		stop = m.client.closed()
	}
	if stop == nil && m.away {
		stop = ErrUnavailable
	}
	return stop
}

// send makes the calls of a group in one pipeline, and resends those that were not answered. Once the context ended or
// Redis is away, the rest of the batch fails without being sent.
func (m *many) send(group []*chunk) {
	if stop := m.stopped(); stop != nil {
		for _, ch := range group {
			m.settle(ch, nil, fmt.Errorf("not sent: %w", stop))
		}
		return
	}
	f := newFlight(m.client, len(group))
	used := make([]*lane, len(group))
	for i, ch := range group {
		used[i] = ch.lanes.take()
		f.add(ch.lanes, ch.lanes.stamp(used[i]), ch.items)
		f.want = gather(f.want, ch.want)
	}
	m.finish(f, f.carry(m.ctx), group, used)
}

// finish tells what became of the calls of a flight, which answered err.
func (m *many) finish(f *flight, err error, group []*chunk, used []*lane) {
	m.away = errors.Is(err, ErrUnavailable) || errors.Is(err, ErrOutcomeUnknown)
	for i, ch := range group {
		one := f.result(i, err)
		ch.lanes.give(used[i], ch.items, one)
		m.settle(ch, &f.answers[i], one)
	}
}

func (m *many) settle(ch *chunk, answer *broker.BatchOutcome, err error) {
	if ch.lanes.tells && err == nil {
		ch.lanes.created(ch.items, answer.Outcomes)
	}
	for i, place := range ch.places {
		if err != nil {
			m.results[place].Err = err
		} else {
			m.results[place].Err = ch.outcome(i, answer)
		}
	}
}
