package queue

import (
	"slices"
	"sync"

	"github.com/tidemill/tidemill/internal/broker"
)

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
	room   int            // items
	want   broker.Confirm // the strictest of what its jobs wait for
	own    []Durability   // of each; nil while none has one
	memory []byte         // of its envelopes; nil: others are in it too
}

// chunks and memories are those of calls that were answered, to be used again.
var (
	chunks   = sync.Pool{New: func() any { return new(chunk) }}
	memories sync.Pool
)

// newChunk makes one with room for so many items, of at most so many.
func newChunk(l *lanes, limit, first int) *chunk {
	ch := chunks.Get().(*chunk)
	*ch = chunk{lanes: l, room: limit, items: slices.Grow(ch.items[:0], first), places: slices.Grow(ch.places[:0], first)}
	return ch
}

// takeMemory is memory for envelopes.
func takeMemory() []byte {
	if m, ok := memories.Get().(*[]byte); ok {
		return (*m)[:0]
	}
	return nil
}

// reuse keeps one that was answered, so that nobody has its items any more.
func (ch *chunk) reuse() {
	if memory := ch.memory; cap(memory) > 0 && cap(memory) <= maxMemory {
		memories.Put(&memory)
	}
	clear(ch.items)
	*ch = chunk{items: ch.items[:0], places: ch.places[:0]}
	chunks.Put(ch)
}

// add takes a job, whose place in the batch is given.
func (ch *chunk) add(b order, place int) {
	ch.items, ch.places, ch.bytes = append(ch.items, b.item), append(ch.places, place), ch.bytes+len(b.item.Envelope)
	if !b.durable.none() {
		if ch.own == nil {
			ch.own = make([]Durability, 0, cap(ch.items))
		}
		b.durable.add(&ch.want)
	}
	if ch.own != nil {
		for len(ch.own) < len(ch.items)-1 { // those before had none
			ch.own = append(ch.own, Durability{})
		}
		ch.own = append(ch.own, b.durable)
	}
}

// outcome is what became of one of its jobs, once the call was answered.
func (ch *chunk) outcome(i int, answer *broker.BatchOutcome) error {
	if ch.own == nil {
		return outcome(answer.Outcomes[i], ch.items[i].ID)
	}
	return ch.own[i].confirmed(answer.Outcomes[i], ch.items[i].ID, answer.Confirmed)
}

// gather makes one wait of two, which is enough for both.
func gather(a, b broker.Confirm) broker.Confirm {
	return broker.Confirm{Replicas: max(a.Replicas, b.Replicas), Synced: a.Synced || b.Synced,
		SyncedReplicas: max(a.SyncedReplicas, b.SyncedReplicas), Timeout: max(a.Timeout, b.Timeout)}
}
