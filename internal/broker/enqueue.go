package broker

import (
	"context"
	"errors"
	"strconv"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/keys"
	"github.com/tidemill/tidemill/internal/script"
	"github.com/tidemill/tidemill/internal/wire"
)

// MaxBatch is the largest batch of one enqueue call.
const MaxBatch = 1000

// Stamp names a producer's call, so that sending it again does not do it again. A lane has one call under way at a
// time and numbers them from 1.
type Stamp struct {
	Producer uuid.UUID
	Lane     uint32
	Seq      uint64
	// Recorded says that the server has a record of an earlier call of the lane.
	Recorded bool
}

// Due is when a job becomes ready: at once (zero), At a Unix time, or In a time from when the server takes it (ms).
type Due struct{ At, In int64 }

func (d Due) append(dst []byte) []byte {
	if d.In > 0 {
		return strconv.AppendInt(append(dst, '+'), d.In, 10)
	}
	return strconv.AppendInt(dst, d.At, 10)
}

// Item is one job to enqueue.
type Item struct {
	ID       uuid.UUID
	Due      Due
	Envelope []byte
	// Made says that the ID was made for this job just now, so that nobody else knows it.
	Made bool
}

// Outcome is what became of one item.
type Outcome byte

// Outcomes of enqueue.
const (
	Created            Outcome = 'c'
	Duplicate          Outcome = 'd' // a job of this id exists
	DuplicateCancelled Outcome = 'x' // one existed, was cancelled or deleted, and its place in the list is not yet passed
	NotEnvelope        Outcome = 'e'
)

// Enqueue adds up to MaxBatch jobs to a queue and answers an outcome for each. ErrFull: nothing was added.
func (b *Broker) Enqueue(ctx context.Context, q *keys.Queue, stamp Stamp, items []Item) ([]Outcome, error) {
	r, err := b.do(ctx, enqueueCall(q, stamp, items))
	if err != nil {
		return nil, err
	}
	_, outcomes, err := enqueued(r, items)
	return outcomes, err
}

// Enqueued answers the outcomes of an EnqueueTx once its transaction was executed.
type Enqueued func() ([]Outcome, error)

// EnqueueTx queues the call on a transaction's pipeline. It carries the script's source: inside MULTI there is no
// second try for a script that the server forgot.
func (b *Broker) EnqueueTx(ctx context.Context, pipe redis.Pipeliner, q *keys.Queue, stamp Stamp, items []Item) Enqueued {
	c := enqueueCall(q, stamp, items)
	c.bySource()
	cmd := redis.NewCmd(ctx, c.args...)
	_ = pipe.Process(ctx, cmd) // queues it; errors come with Exec
	return func() ([]Outcome, error) {
		r, err := command{script.Command{Cmder: script.Decoded{Cmd: cmd}}}.answer(nil)
		if err != nil {
			return nil, err
		}
		_, outcomes, err := enqueued(r, items)
		return outcomes, err
	}
}

// enqueueArgs is what a call carries beside the envelopes, in one piece of memory.
type enqueueArgs struct {
	call
	producer  producerArg
	lane, seq uint64
	ids, dues bytesArg
}

// bytesArg and producerArg are bytes that a command takes by their place: a slice would be copied to the heap for it.
type (
	bytesArg    []byte
	producerArg uuid.UUID
)

// MarshalBinary is what go-redis asks.
func (b *bytesArg) MarshalBinary() ([]byte, error) { return *b, nil }

// MarshalBinary is what go-redis asks.
func (p *producerArg) MarshalBinary() ([]byte, error) { return p[:], nil }

// MarshalBinary is the envelope, so that an item can be a command's argument.
func (i *Item) MarshalBinary() ([]byte, error) { return i.Envelope, nil }

// enqueueKeys are the keys of every enqueue call, before the ready lists of the priorities in it.
var enqueueKeys = [...]int{keys.Jobs, keys.Producers, keys.Wake, keys.Meta, keys.Scheduled, keys.Due}

// callKeys are the places of the keys of a call, and whether some of its jobs are delayed.
func callKeys(items []Item) (places [len(enqueueKeys) + wire.MaxPriority + 1]int, n int, delayed bool) {
	n = copy(places[:], enqueueKeys[:])
	priorities := 0
	for i := range items {
		delayed = delayed || items[i].Due != Due{}
		if p, ok := wire.PriorityOf(items[i].Envelope); ok {
			priorities |= 1 << p
		}
	}
	for p := range wire.MaxPriority + 1 {
		if priorities&(1<<p) != 0 {
			places[n] = keys.Ready + p
			n++
		}
	}
	return places, n, delayed
}

func appendIDs(dst []byte, items []Item) []byte {
	for i := range items {
		dst = append(dst, items[i].ID[:]...)
	}
	return dst
}

func appendDues(dst []byte, items []Item) []byte {
	for i := range items {
		dst = append(items[i].Due.append(dst), ',')
	}
	return dst
}

// enqueueCall makes the call, which refers to the items.
func enqueueCall(q *keys.Queue, stamp Stamp, items []Item) *call {
	a := &enqueueArgs{call: call{script: enqueueScript}, producer: producerArg(stamp.Producer), lane: uint64(stamp.Lane), seq: stamp.Seq}
	a.ids = appendIDs(make([]byte, 0, 16*len(items)), items)
	places, n, delayed := callKeys(items)
	if delayed {
		a.dues = appendDues(nil, items)
	}
	c, boxed := &a.call, q.Boxed()
	c.args = make([]any, 0, 3+n+5+len(items))
	c.args = append(c.args, "EVALSHA", enqueueScript.Arg(), n)
	for _, place := range places[:n] {
		c.args = append(c.args, boxed[place])
	}
	c.args = append(c.args, &a.producer, &a.lane, &a.seq, &a.ids, &a.dues)
	for i := range items {
		c.args = append(c.args, &items[i])
	}
	return c
}

// appendEnqueue is enqueueCall as it goes over the wire.
func appendEnqueue(dst []byte, q *keys.Queue, stamp Stamp, items []Item) []byte {
	places, n, delayed := callKeys(items)
	dst = appendArray(dst, 3+n+5+len(items))
	dst = append(append(append(dst, "$7\r\nEVALSHA\r\n$40\r\n"...), enqueueScript.Digest()...), '\r', '\n')
	dst = appendBulkNumber(dst, uint64(n))
	for _, place := range places[:n] {
		dst = appendBulk(dst, q.Key(place))
	}
	dst = appendBulk(dst, stamp.Producer[:])
	dst = appendBulkNumber(appendBulkNumber(dst, uint64(stamp.Lane)), stamp.Seq)
	dst = append(strconv.AppendInt(append(dst, '$'), int64(16*len(items)), 10), '\r', '\n')
	dst = append(appendIDs(dst, items), '\r', '\n')
	if delayed {
		dst = appendBulk(dst, appendDues(nil, items))
	} else {
		dst = append(dst, "$0\r\n\r\n"...)
	}
	for i := range items {
		dst = appendBulk(dst, items[i].Envelope)
	}
	return dst
}

// enqueued reads the script's answer: the server's time, ms, and what became of the items. A job is there already whose id was made
// for it where an earlier try stored it, of which the server has no record any more.
func enqueued(r *reply, items []Item) (now int64, outcomes []Outcome, err error) {
	n := len(items)
	r.Array()
	now = r.Number() / 1000
	words := r.Bytes()
	if len(words) != 0 && len(words) != n {
		r.Fail("outcomes and items differ in number")
	}
	if r.Err != nil {
		return 0, nil, r.Err
	}
	outcomes = allCreated(n)
	for i := range words {
		if o := Outcome(words[i]); !items[i].Made || o != Duplicate && o != DuplicateCancelled {
			outcomes[i] = o
		}
	}
	return now, outcomes, nil
}

func allCreated(n int) []Outcome {
	out := make([]Outcome, n)
	for i := range out {
		out[i] = Created
	}
	return out
}

// AddQueue writes the queue's name where listings look for it. Idempotent; a full Redis that has the name is no error.
func (b *Broker) AddQueue(ctx context.Context, q *keys.Queue) error {
	key := b.space.Queues()
	err := typedKey(b.rdb.SAdd(ctx, key, q.Name()).Err(), key)
	if errors.Is(err, ErrFull) {
		if known, e := b.rdb.SIsMember(ctx, key, q.Name()).Result(); e == nil && known {
			return nil
		}
	}
	return err
}

// Queues lists the names of all queues ever used in the namespace, in no order.
func (b *Broker) Queues(ctx context.Context) ([]string, error) {
	names, err := b.rdb.SMembers(ctx, b.space.Queues()).Result()
	return names, typedKey(err, b.space.Queues())
}

// Batch is one enqueue call of several that travel together.
type Batch struct {
	Queue *keys.Queue
	Stamp Stamp
	Items []Item
}

// BatchOutcome is what became of a Batch: an outcome for each item, or the error of the call.
type BatchOutcome struct {
	Outcomes  []Outcome
	Err       error
	Confirmed Confirmed // of EnqueueConfirmed
}

// EnqueueBatches makes several enqueue calls in one pipeline, carried out in order.
func (b *Broker) EnqueueBatches(ctx context.Context, batches []Batch) []BatchOutcome {
	if len(batches) == 0 {
		return nil
	}
	calls := make([]*call, len(batches))
	for i := range batches {
		calls[i] = enqueueCall(batches[i].Queue, batches[i].Stamp, batches[i].Items)
	}
	out := make([]BatchOutcome, len(batches))
	for i, res := range b.doAll(ctx, calls) {
		if out[i].Err = res.err; res.err == nil {
			_, out[i].Outcomes, out[i].Err = enqueued(res.reply, batches[i].Items)
		}
	}
	return out
}
