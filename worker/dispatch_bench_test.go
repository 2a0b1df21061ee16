package worker

import (
	"context"
	"encoding/binary"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/loop"
	"github.com/tidemill/tidemill/internal/wire"
	"github.com/tidemill/tidemill/queue"
)

type letter struct {
	To, Subject string
	Number      int64
}

func (letter) Kind() string { return "letter" }

// still is a codec that costs nothing: codecs have benchmarks of their own.
type still struct{}

func (still) Name() string                { return "json" }
func (still) Marshal(any) ([]byte, error) { return []byte("{}"), nil }
func (still) Unmarshal(data []byte, v any) error {
	v.(*letter).Number = int64(len(data))
	return nil
}

// dispatcher drives what a worker does with one batch after another, without Redis and in one goroutine.
type dispatcher struct {
	w    *Worker
	t    *task
	jobs []broker.Claimed
	last int64 // token
}

func newDispatcher(t testing.TB, mux *Mux, kind string, n int) *dispatcher {
	w := bench(t, Config{})
	w.fetched, w.kick = loop.NewTrigger(), make(chan struct{}, 1)
	w.rules.Store(newRouting(mux.sealed([]queue.Codec{still{}}), &w.config))
	e := wire.Envelope{Kind: kind, Args: make([]byte, 200), CreatedAt: time.Now().UnixMilli()}
	d := &dispatcher{w: w, t: w.task(), jobs: make([]broker.Claimed, n)}
	for i := range d.jobs {
		d.jobs[i].Envelope = e.Append(nil)
	}
	return d
}

// batch buffers, runs and acknowledges a batch.
func (d *dispatcher) batch(t testing.TB) {
	w, c := d.w, d.w.consumers[0]
	jobs := append(c.rooms[0], d.jobs...)
	for i := range jobs {
		d.last++
		jobs[i].Token = d.last
		binary.BigEndian.PutUint64(jobs[i].ID[8:], uint64(d.last))
	}
	w.executors = w.config.Concurrency // none but this one
	w.claimedLocked(c, 0, &broker.Exchanged{Jobs: jobs})
	for r := w.takeLocked(); r != nil; r = w.takeLocked() {
		w.finishLocked(r, w.attempt(d.t, r, time.Time{}))
	}
	if len(c.done) != len(d.jobs) || len(c.fails) > 0 {
		t.Fatalf("%d of %d succeeded, %d failed", len(c.done), len(d.jobs), len(c.fails))
	}
	w.releaseSlotsLocked(w.orderLocked(c, 0, 0, time.Now()), true)
}

func raw() *Mux {
	mux := NewMux()
	mux.HandleKind("letter", func(context.Context, *queue.Job[queue.Raw]) error { return nil })
	return mux
}

func typedMux() *Mux {
	mux := NewMux()
	Handle(mux, func(context.Context, *queue.Job[letter]) error { return nil })
	return mux
}

// BenchmarkDispatch is what a worker does with a job beside Redis and its codec: from the batch to the handler, and to the
// call that acknowledges it.
func BenchmarkDispatch(b *testing.B) {
	for name, mux := range map[string]*Mux{"raw": raw(), "typed": typedMux()} {
		b.Run(name, func(b *testing.B) {
			d := newDispatcher(b, mux, "letter", maxClaim)
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; i += maxClaim {
				d.batch(b)
			}
		})
	}
}

// What a job may allocate on its way, beside its codec and its part of the reply: the Job that the handler gets, and
// its part of what a batch does.
func TestDispatchAllocations(t *testing.T) {
	for name, mux := range map[string]*Mux{"raw": raw(), "typed": typedMux()} {
		d := newDispatcher(t, mux, "letter", maxClaim)
		for range 4 {
			d.batch(t)
		}
		const budget = 1.1 // measured: 1.02
		if n := testing.AllocsPerRun(20, func() { d.batch(t) }) / maxClaim; n > budget {
			t.Errorf("%s: %.3f allocations a job; allowed: %v", name, n, budget)
		}
	}
}

// Runs are used again only once nothing points into them: contexts that handlers leave to others stay what they are.
func TestContextOutlivesItsRun(t *testing.T) {
	var kept []context.Context
	mux := NewMux()
	mux.HandleKind("letter", func(ctx context.Context, job *queue.Job[queue.Raw]) error {
		if len(kept) < 10 {
			kept = append(kept, ctx)
			ctx.Done()
		}
		return nil
	})
	d := newDispatcher(t, mux, "letter", 10)
	d.batch(t)
	first := d.w.consumers[0].held[0]
	for range 3 {
		d.batch(t)
	}
	reused := false
	for _, b := range d.w.consumers[0].held {
		reused = reused || b == first
	}
	if !reused && len(d.w.spare) == 0 {
		t.Error("no batch is used again")
	}
	for i, ctx := range kept {
		if ctx.Err() == nil {
			t.Errorf("context %d of a handler that returned goes on", i)
		}
	}
}

// A handler that does not return keeps its run, though its claim was given back.
func TestStuckRunIsNotUsedAgain(t *testing.T) {
	d := newDispatcher(t, raw(), "letter", 1)
	w, c := d.w, d.w.consumers[0]
	w.executors = w.config.Concurrency
	w.claimedLocked(c, 0, &broker.Exchanged{Jobs: []broker.Claimed{{Claim: broker.Claim{ID: uuid.UUID{1}, Token: 1}, Envelope: d.jobs[0].Envelope}}})
	stuck := w.takeLocked()
	if n := w.abandonLocked(); n != 1 {
		t.Fatalf("%d stuck", n)
	}
	stuck.settled()
	for range 3 {
		w.claimedLocked(c, 0, &broker.Exchanged{Jobs: []broker.Claimed{{Claim: broker.Claim{ID: uuid.UUID{2}, Token: 2}, Envelope: d.jobs[0].Envelope}}})
		w.dropBufferedLocked(c)
	}
	if stuck.claim.Token != 1 || c.twin(uuid.UUID{1}) != stuck {
		t.Error("the run of a handler that goes on is another job's by now")
	}
}
