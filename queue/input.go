package queue

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
)

// Bounds of an Input.
const (
	MaxInputRun   = broker.MaxInputRun   // runs of one input
	MaxInputPlace = broker.MaxInputPlace // the last place in it
)

// Input enqueues the jobs of something that can be read again from any place, such as the lines of a file, each exactly
// once however often the reading is cut short: also by kill -9, by a lost reply, or by a Redis that lost its last second.
// For that Redis keeps, in each queue, the place of the last job that it took, written in the same step as the job. A
// reader that begins again asks for it, and passes by what is in.
//
// The places of an input's jobs only grow: within a batch, and from one to the next. A queue has one call under way at a
// time, so its jobs keep their order. Redis keeps the place for 7 days after the last call. Use one Input at a time for an
// id.
type Input struct {
	client *Client
	id     uuid.UUID
	run    uint64
	opened func(queue string, place uint64) error

	mu     sync.Mutex
	queues map[*lanes]*inputQueue
}

// inputQueue is one queue as an input's run sees it.
type inputQueue struct {
	name   string
	place  uint64 // of the last job that it surely has
	broken error  // a call may still arrive, or another run has begun: nothing can be sent any more
	// unsure is a call that a full Redis refused, of which a try before may still arrive: it goes first, as it was.
	unsure *inputCall
}

// Input begins a run at an input of the caller's naming: the id is random and the same for all its runs, and each run has
// a higher number than those before, 1 to 8191. Calls of an earlier run that still travel come to nothing once this
// one uses the queue.
//
// opened, which may be nil, is called for each queue before the run's first job goes there, unless Resume has been: with the
// place of the last job that the queue has of this input. An error of it is that of the jobs. Whoever has to know later
// which queues to Resume writes the name down there.
func (c *Client) Input(id uuid.UUID, run int, opened func(queue string, place uint64) error) (*Input, error) {
	if id == uuid.Nil {
		return nil, invalid("input", id.String(), "a random UUID")
	}
	if run < 1 || run > MaxInputRun {
		return nil, invalid("run", fmt.Sprint(run), fmt.Sprintf("1 to %d", MaxInputRun))
	}
	return &Input{client: c, id: id, run: uint64(run), opened: opened, queues: make(map[*lanes]*inputQueue)}, nil
}

// Resume begins the run in a queue that earlier ones have used, and answers the place of the last job that it has. Known
// is false where Redis knows nothing of this input: it was emptied, or it is another one, or more than 7 days have passed.
// Nothing is begun then, and what an earlier run that was cut off has put in cannot be told.
func (in *Input) Resume(ctx context.Context, queue string) (place uint64, known bool, err error) {
	l, err := in.client.queue(queue)
	if err != nil {
		return 0, false, err
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if q := in.queues[l]; q != nil {
		return q.place, true, q.broken
	}
	place, known, err = in.fence(ctx, l, false)
	if err == nil && known {
		in.queues[l] = &inputQueue{name: queue, place: place}
	}
	return place, known, err
}

// open answers a queue of the run, begun if need be.
func (in *Input) open(ctx context.Context, l *lanes) (*inputQueue, error) {
	if q := in.queues[l]; q != nil {
		return q, q.broken
	}
	q := &inputQueue{name: l.keys.Name()}
	var err error
	if q.place, _, err = in.fence(ctx, l, true); err != nil {
		return nil, err
	}
	if in.opened != nil {
		if err := in.opened(q.name, q.place); err != nil {
			return nil, err
		}
	}
	in.queues[l] = q
	return q, nil
}

func (in *Input) fence(ctx context.Context, l *lanes, create bool) (place uint64, known bool, err error) {
	err = in.client.resend(ctx, func(ctx context.Context) (err error) {
		if err = l.list(ctx); err == nil {
			place, known, err = in.client.broker.Fence(ctx, l.keys, in.id, inputLane, in.run, create)
		}
		return err
	})
	return place, known, in.refused(err)
}

// inputLane is the one that an input uses in each queue.
const inputLane = 1

// refused says what a stale call means here.
func (in *Input) refused(err error) error {
	if errors.Is(err, broker.ErrStale) {
		return fmt.Errorf("%w: a later run of input %s has begun", ErrConflict, in.id)
	}
	return err
}

// Places answers, for each queue that the run has used, the place of the last job that it surely has.
func (in *Input) Places() map[string]uint64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	places := make(map[string]uint64, len(in.queues))
	for _, q := range in.queues {
		places[q.name] = q.place
	}
	return places
}

// EnqueueMany adds jobs as Client.EnqueueMany does, each with its place in the input. A job that an earlier run has put in
// is left out: ErrAlreadyIn. When a queue's call fails, the jobs behind it in that queue fail alike, unsent, so that what
// is in stays without gaps. After ErrOutcomeUnknown and ErrConflict the run can add nothing more to that queue: begin
// the next. Only where ErrOutcomeUnknown is ErrRedisFull too may the same jobs be sent again, and come in once.
func (in *Input) EnqueueMany(ctx context.Context, places []uint64, items []Item, options ...Option) ([]Result, error) {
	if len(items) == 0 || len(items) > MaxMany {
		return nil, invalid("batch", fmt.Sprintf("%d items", len(items)), fmt.Sprintf("1 to %d", MaxMany))
	}
	if len(places) != len(items) {
		return nil, invalid("places", fmt.Sprintf("%d for %d items", len(places), len(items)), "one for each")
	}
	for i, place := range places {
		if place < 1 || place > MaxInputPlace || i > 0 && place <= places[i-1] {
			return nil, invalid("place", fmt.Sprint(place), fmt.Sprintf("1 to %d, each more than the one before", uint64(MaxInputPlace)))
		}
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	b := &inputBatch{input: in, ctx: ctx, places: places, results: make([]Result, len(items))}
	b.gather(items, options)
	for b.next() {
		b.send()
	}
	return b.results, summary(b.results)
}
