package pitfalls

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/internal/redistest"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// The proxy executes calls and then resets their connections; go-redis, in clients that were passed in as it makes them,
// sends what failed again up to three times on its own. Nothing is done twice for that.
func TestPitfall03ClientRetries(t *testing.T) {
	x := newWorld(t)
	p := redistest.NewProxy(t, x.srv.Addr())
	around := func() *queue.Client {
		rdb := redis.NewClient(&redis.Options{Addr: p.Addr()})
		t.Cleanup(func() { _ = rdb.Close() })
		if rdb.Options().MaxRetries != 3 {
			t.Fatalf("go-redis retries %d times: this shows nothing", rdb.Options().MaxRetries)
		}
		client, err := queue.New(rdb, queue.Config{Logger: zerolog.Nop()})
		x.must(err)
		t.Cleanup(func() { _ = client.Close() })
		return client
	}
	var calls atomic.Int64
	mux := worker.NewMux()
	mux.HandleKind("twice", func(ctx context.Context, job *queue.Job[queue.Raw]) error {
		calls.Add(1)
		return failOnce(ctx, job)
	})
	client := around()
	x.work(around(), mux, worker.Config{SessionTTL: time.Minute}) // no lost session shall explain a repeat
	x.wait("the worker's session", func() bool { return len(x.sessions()) == 1 })
	_, err := client.Pause(x.ctx, queue.DefaultQueue)
	x.must(err)
	rnd := rand.New(rand.NewPCG(3, 3))
	p.DropReply(func(cmd string, _ []string) bool { return (cmd == "EVALSHA" || cmd == "EVAL") && rnd.IntN(3) == 0 })

	// jobs <= calls with the same id
	const ids, plain, bulk = 100, 100, 1000
	job := queue.Raw{Name: "twice", Payload: []byte("{}")}
	created := 0
	for i := range 2 * ids {
		_, err := client.Enqueue(x.ctx, job, queue.ID(fmt.Sprint("id ", i%ids)))
		switch {
		case err == nil:
			created++
		case !errors.Is(err, queue.ErrDuplicate):
			t.Fatal(err)
		}
	}
	for range plain {
		if _, err := client.Enqueue(x.ctx, job); err != nil {
			t.Fatal(err)
		}
	}
	items := make([]queue.Raw, bulk)
	for i := range items {
		items[i] = job
	}
	_, err = client.EnqueueMany(x.ctx, queue.Items(items))
	x.must(err)
	if n := x.counts(); created != ids || n.Enqueued != ids+plain+bulk || n.Ready != n.Enqueued {
		t.Errorf("%d calls created the %d ids; %+v", created, ids, n)
	}

	// Claims, failures and acknowledgements: each attempt was made once and counts once.
	// Resume is not sent again by us, only by go-redis, whose four tries may all lose their replies.
	for err = queue.ErrOutcomeUnknown; errors.Is(err, queue.ErrOutcomeUnknown); {
		_, err = client.Resume(x.ctx, queue.DefaultQueue)
	}
	x.must(err)
	n := x.drained()
	if n.Succeeded != n.Enqueued || n.Failed != n.Enqueued || n.Recovered != 0 || calls.Load() != 2*n.Enqueued {
		t.Errorf("%d handler calls, %+v", calls.Load(), n)
	}
	if p.Dropped() < 100 {
		t.Errorf("%d replies were lost: this shows nothing", p.Dropped())
	}
}
