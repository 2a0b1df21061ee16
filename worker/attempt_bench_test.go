package worker

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/wire"
	"github.com/tidemill/tidemill/queue"
)

// BenchmarkAttempt is one attempt without Redis, of a queue whose lives are not told.
func BenchmarkAttempt(b *testing.B) {
	mux := NewMux()
	mux.HandleKind("job", func(context.Context, *queue.Job[queue.Raw]) error { return nil })
	w := bench(b, Config{})
	w.rules.Store(newRouting(mux.sealed([]queue.Codec{queue.JSON}), &w.config))
	e := wire.Envelope{Kind: "job", Args: make([]byte, 200), CreatedAt: time.Now().UnixMilli()}
	env := e.Append(nil)
	c := w.consumers[0]
	b.ReportAllocs()
	for b.Loop() {
		bt := &batch{runs: make([]run, 1), open: 1}
		r := &bt.runs[0]
		*r = run{c: c, batch: bt, claim: broker.Claim{ID: uuid.UUID{1}, Token: 1}, envelope: env}
		r.ctx = &r.own
		r.own.w = w
		o := w.attempt(r, time.Time{})
		_ = o
	}
}
