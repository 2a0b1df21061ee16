package pitfalls

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// many is more than a script may unpack, and more than it may move in one call.
const many = 20_000

// Scripts that could fail half-way, since Lua does not roll back: on more items than fit a call, on keys of a wrong type,
// and where Redis refuses to grow in the middle of the work.
func TestPitfall10PartialEffects(t *testing.T) {
	t.Parallel()
	t.Run("20000 items", func(t *testing.T) {
		t.Run("due", func(t *testing.T) { manyDue(newWorld(t)) })
		t.Run("expired", func(t *testing.T) { manyExpired(newWorld(t)) })
		t.Run("retention over", func(t *testing.T) { manyForgotten(newWorld(t)) })
		t.Run("of a lost session", func(t *testing.T) { manyRecovered(newWorld(t)) })
	})
	t.Run("wrong-type keys", func(t *testing.T) { wrongKeys(newWorld(t)) })
	t.Run("maxmemory mid-run", func(t *testing.T) { fullMidRun(newWorld(t)) })
}

// manyDue makes all scheduled jobs due at once.
func manyDue(x *world) {
	x.add(many, 0, queue.In(time.Hour))
	x.must(x.rdb.ZUnionStore(x.ctx, x.key("scheduled"), &redis.ZStore{Keys: []string{x.key("scheduled")}, Weights: []float64{0.5}}).Err())
	var l ledger
	x.work(x.client, l.mux(), worker.Config{Concurrency: 100})
	x.conserved(many, 1, l.read)
}

// manyExpired makes all jobs miss the time until which they were to be started.
func manyExpired(x *world) {
	x.add(many, 0, queue.ExpireIn(time.Millisecond))
	x.pass(5 * time.Millisecond)
	var l ledger
	x.work(x.client, l.mux(), worker.Config{Concurrency: 100})
	if n := x.drained(); n.Expired != many || n.Succeeded != 0 || l.starts() != 0 {
		x.Errorf("%d starts, %+v", l.starts(), n)
	}
	x.nothingLeft()
}

// manyForgotten ends the time of all finished jobs at once.
func manyForgotten(x *world) {
	x.add(many, 0, queue.Retain(time.Hour))
	var l ledger
	x.work(x.client, l.mux(), worker.Config{Concurrency: 100})
	if n := x.conserved(many, 1, l.read); n.Finished != many {
		x.Errorf("%+v", n)
	}
	x.must(x.rdb.ZUnionStore(x.ctx, x.key("finished"), &redis.ZStore{Keys: []string{x.key("finished")}, Weights: []float64{0.5}}).Err())
	x.wait("them to be forgotten", func() bool { return x.counts().Finished == 0 })
	x.nothingLeft()
}

// manyRecovered cuts a worker off with all jobs running.
func manyRecovered(x *world) {
	p := redistest.NewProxy(x, x.srv.Addr())
	var first, second ledger
	wake := make(chan struct{})
	mux := first.mux()
	mux.HandleKind("block", func(context.Context, *queue.Job[queue.Raw]) error { <-wake; return nil })
	victim := x.work(x.open(p.Addr(), 0), mux, worker.Config{Concurrency: many, Drain: time.Millisecond, Settle: time.Millisecond})
	items := make([]queue.Raw, many)
	for i := range items {
		items[i] = queue.Raw{Name: "block", Payload: []byte("{}")}
	}
	_, err := x.client.EnqueueMany(x.ctx, queue.Items(items))
	x.must(err)
	x.wait("all to run", func() bool { return first.starts() == many })
	p.Refuse(true)
	p.Cut()
	other := second.mux()
	other.HandleKind("block", succeed)
	x.work(x.client, other, worker.Config{Concurrency: 100})
	n := x.conserved(many, 1, second.read)
	if n.Recovered != many {
		x.Errorf("%+v", n)
	}
	close(wake)
	victim.end()
	x.nothingLeft()
}

// nothingLeft holds that no job has left an entry behind.
func (x *world) nothingLeft() {
	x.Helper()
	for _, part := range []string{"jobs", "state", "scheduled", "finished", "results", "ready:0", "suspect", "cancels"} {
		if x.rdb.Exists(x.ctx, x.key(part)).Val() != 0 {
			x.Errorf("%s is left", x.key(part))
		}
	}
}
