package brokertest

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/keys"
)

// rawEnqueue is a call as it is sent: EVAL, the script, 7 keys, producer, lane, seq, ids, dues, an envelope.
func (e *env) rawEnqueue() []any {
	pipe := e.rdb.TxPipeline()
	e.b.EnqueueTx(e.ctx, pipe, e.q, e.stamp(), []broker.Item{item(1, 0)})
	args := slices.Clone(pipe.Cmds()[0].Args())
	pipe.Discard()
	if len(args) != 3+7+6 || args[2] != 7 {
		e.Fatalf("a call of %d arguments, keys: %v", len(args), args[2])
	}
	return args
}

// malformed is what makes calls that no producer of this version sends.
var malformed = map[string]func(args []any) []any{
	"a seq that is no number": func(args []any) []any { args[3+7+2] = "1.5"; return args },
	"an empty seq":            func(args []any) []any { args[3+7+2] = ""; return args },
	"too few keys":            func(args []any) []any { args[2] = 5; return slices.Delete(args, 3+5, 3+7) },
	"the 23 keys of old": func(args []any) []any {
		args[2] = 23
		return slices.Insert(args, 3+7, slices.Repeat([]any{args[3]}, 16)...)
	},
}

var enqueueCases = []testCase{
	{"enqueue/first in first out", func(e *env) {
		e.add(1, 3)
		e.add(4, 5)
		e.counts(5, 0, 0, 0, 0)
		e.total("enqueued", 5)
		e.register("s")
		e.claimed(e.claim("s", 10), ids(1, 5)...)
	}},
	{"enqueue/duplicates", func(e *env) {
		e.add(1, 2)
		e.enqueue("dcdd", item(2, 0), item(3, 0), item(3, 0), item(1, 9))
		e.counts(3, 0, 0, 0, 0)
		e.total("enqueued", 3)
		e.register("s")
		jobs := e.claim("s", 10)
		e.claimed(jobs, ids(1, 3)...)
		e.enqueue("d", item(1, 0)) // running
		e.settle("s", "oo", broker.Settle{Claim: jobs[0].Claim, Verdict: broker.Dead},
			broker.Settle{Claim: jobs[1].Claim, Verdict: broker.Retry, Delay: 60_000})
		e.enqueue("dd", item(1, 0), item(2, 0)) // dead, scheduled
		e.ack("s", jobs[2:])
		e.enqueue("c", item(3, 0)) // gone, so it may come again
	}},
	{"enqueue/a counter that is no number begins anew", func(e *env) {
		e.add(1, 2)
		e.must(e.rdb.HSet(e.ctx, e.q.Fixed()[keys.Meta], "enqueued", "many").Err())
		e.add(3, 5)
		e.counts(5, 0, 0, 0, 0)
		e.total("enqueued", 3)
	}},
	{"enqueue/a new lane finds meta of another type, also where there is nothing to add", func(e *env) {
		e.add(1, 1) // and a wake token is there
		e.must(e.rdb.Set(e.ctx, e.q.Fixed()[keys.Meta], "a string", 0).Err())
		stamp := broker.Stamp{Producer: e.producer, Lane: 2, Seq: 1}
		var wrong *broker.KeyTypeError
		if _, err := e.b.Enqueue(e.ctx, e.q, stamp, []broker.Item{item(1, 0)}); !errors.As(err, &wrong) {
			e.Fatalf("got %v, want a key of another type", err)
		}
		e.must(e.rdb.Del(e.ctx, e.q.Fixed()[keys.Meta]).Err())
	}},
	{"enqueue/of an id that comes twice in a call the first one counts", func(e *env) {
		items := make([]broker.Item, 0, 1000)
		for i := range 999 {
			items = append(items, item(i+1, 0))
		}
		second := item(1, 7) // as far from the first as it can be, and it would go elsewhere
		second.Due.In = 60_000
		e.enqueue(strings.Repeat("c", 999)+"d", append(items, second)...)
		e.counts(999, 0, 0, 0, 0)
		e.total("enqueued", 999)
		e.equal("envelope", e.state(1, broker.StateReady).Envelope, envelope(1, 0))
		first, later := item(1001, 3), item(1001, 0)
		first.Due.In = 60_000
		e.enqueue("cd", first, later)
		e.counts(999, 1, 0, 0, 0)
		e.equal("envelope", e.state(1001, broker.StateScheduled).Envelope, envelope(1001, 3))
	}},
	{"enqueue/a duplicate overwrites nothing", func(e *env) {
		e.add(1, 1)
		e.enqueue("d", broker.Item{ID: id(1), Envelope: envelope(99, 5), Due: broker.Due{In: 1000}})
		e.equal("envelope", e.state(1, broker.StateReady).Envelope, envelope(1, 0))
		e.counts(1, 0, 0, 0, 0)
	}},
	{"enqueue/id of a cancelled job whose entry is still listed", func(e *env) {
		e.add(1, 2)
		e.verb(e.b.Cancel, 1, broker.StateCancelled, "")
		e.enqueue("x", item(1, 0))
		e.state(1, broker.StateUnknown)
		e.register("s")
		e.claimed(e.claim("s", 10), id(2))
		e.enqueue("c", item(1, 0))
		e.claimed(e.claim("s", 10), id(1))
	}},
	{"enqueue/delayed", func(e *env) {
		now := e.now()
		in, at, past := item(1, 0), item(2, 0), item(3, 0)
		in.Due.In, at.Due.At, past.Due.At = 60_000, now+90_000, now-1
		e.enqueue("", in, at, past, item(4, 0))
		e.counts(2, 2, 0, 0, 0)
		e.equal("due at", e.state(2, broker.StateScheduled).Score, now+90_000)
		if due := e.state(1, broker.StateScheduled).Score; due < now+60_000 || due > now+65_000 {
			e.Errorf("due in %d ms, want 60000", due-now)
		}
		e.register("s")
		e.claimed(e.claim("s", 10), ids(3, 4)...)
		e.equal("due tokens", e.length(keys.Due), int64(1))
	}},
	{"enqueue/a due token for each earlier head", func(e *env) {
		for n, in := range []int64{60_000, 90_000, 30_000, 10_000} {
			it := item(n+1, 0)
			it.Due.In = in
			e.enqueue("", it)
			e.equal("due tokens", e.length(keys.Due), []int64{1, 1, 2, 2}[n])
		}
	}},
	{"enqueue/priorities", func(e *env) {
		e.enqueue("", item(1, 0), item(2, 5), item(3, 9), item(4, 0), item(5, 9), item(6, 5), item(7, 1))
		e.register("s")
		e.claimed(e.claim("s", 3), id(3), id(5), id(2))
		e.claimed(e.claim("s", 10), id(6), id(7), id(1), id(4))
	}},
	{"enqueue/a batch of 1000", func(e *env) {
		items := make([]broker.Item, broker.MaxBatch)
		for i := range items {
			items[i] = item(i+1, uint8(i%10))
			if i%4 == 3 {
				items[i].Due.In = 3_600_000
			}
		}
		e.enqueue("", items...)
		e.counts(750, 250, 0, 0, 0)
		e.enqueue(strings.Repeat("d", 1000), items...)
		e.counts(750, 250, 0, 0, 0)
		e.register("s")
		e.claimed(e.claim("s", 3), id(10), id(30), id(50))
	}},
	{"enqueue/not an envelope", func(e *env) {
		bad := func(n int, raw []byte) broker.Item { return broker.Item{ID: id(n), Envelope: raw} }
		e.enqueue("eeeeeec", bad(1, nil), bad(2, []byte{0, 1}), bad(3, []byte{1, 0, 0, 0}), bad(4, []byte{1, 0, 10, 0, 5}),
			bad(5, []byte{0, 0, 0, 0, 5}), broker.Item{ID: uuid.Nil, Envelope: envelope(1, 0)}, item(6, 0))
		e.counts(1, 0, 0, 0, 0)
		e.enqueue("ec", bad(7, []byte{1}), item(7, 0)) // the bad one does not shadow the good one
		e.counts(2, 0, 0, 0, 0)
	}},
	{"enqueue/bytes are bytes", func(e *env) {
		all := make([]byte, 256)
		for i := range all {
			all[i] = byte(i)
		}
		raw := append(envelope(1, 0), bytes.Repeat(all, 200)...)
		odd := uuid.UUID(all[240:])
		e.enqueue("", broker.Item{ID: odd, Envelope: raw},
			broker.Item{ID: uuid.UUID([]byte("\r\n$1\r\n*1\r\n:5\r\n\x00\xff")), Envelope: raw})
		e.register("s")
		jobs := e.claim("s", 10)
		if len(jobs) != 2 || jobs[0].ID != odd || !bytes.Equal(jobs[0].Envelope, raw) || !bytes.Equal(jobs[1].Envelope, raw) {
			e.Fatalf("got %d jobs, or other bytes", len(jobs))
		}
	}},
	{"enqueue/malformed calls", func(e *env) {
		before := e.dump()
		for name, change := range malformed {
			if err := e.rdb.Do(e.ctx, change(e.rawEnqueue())...).Err(); err == nil || !strings.HasPrefix(err.Error(), "BADCALL") {
				e.Errorf("%s: %v", name, err)
			}
		}
		for name, items := range map[string][]broker.Item{
			"no items":     nil,
			"1001 items":   make([]broker.Item, broker.MaxBatch+1),
			"negative due": {{ID: id(1), Envelope: envelope(1, 0), Due: broker.Due{At: -5}}},
		} {
			if _, err := e.b.Enqueue(e.ctx, e.q, e.stamp(), items); err == nil || !strings.HasPrefix(err.Error(), "BADCALL") {
				e.Errorf("%s: %v", name, err)
			}
		}
		e.unchanged(before)
	}},
	{"queues/names", func(e *env) {
		for _, name := range []string{"b", "a", "b"} {
			e.must(e.b.AddQueue(e.ctx, e.queue(name)))
		}
		names, err := e.b.Queues(e.ctx)
		e.must(err)
		if len(names) != 2 || !strings.Contains(strings.Join(names, " "), "a") {
			e.Errorf("got %v", names)
		}
	}},
}
