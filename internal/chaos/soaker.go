package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// roleSoaker is a worker process of a soak: it writes nothing down.
const roleSoaker = "soaker"

// Soaked is a job of a soak.
type Soaked struct {
	N    int    // its number
	Do   string // "" succeeds; fail does so the second time; dead gives up; slow takes its time
	Some string // bytes as a job has them
}

// Kind is the kind of every job of a soak.
func (Soaked) Kind() string { return "soak" }

const (
	doFail = "fail"
	doSlow = "slow"
)

// soak is the real worker with a handler that does as its jobs say.
func (r role) soak(ctx context.Context, client *queue.Client) error {
	mux := worker.NewMux()
	worker.Handle(mux, func(ctx context.Context, job *queue.Job[Soaked]) error {
		switch {
		case job.Args.Do == doDead:
			return queue.Dead(errors.New("it gives up on purpose"))
		case job.Args.Do == doFail && job.Attempt == 1:
			return errors.New("it fails on purpose")
		case job.Args.Do == doSlow:
			pause(ctx, 100*time.Millisecond)
		}
		return job.SetResult([]byte("done"))
	}, worker.Retry(worker.Backoff{Base: 50 * time.Millisecond, Cap: time.Second, Factor: 2}))
	log := zerolog.Nop()
	w, err := worker.New(client, mux, worker.Config{Queues: []worker.Queue{{Name: soakQueue}}, Concurrency: 100, SessionTTL: r.TTL,
		Drain: 5 * time.Second, Logger: &log})
	if err != nil {
		return err
	}
	return w.Run(ctx)
}

// soakQueue is where a soak's jobs go.
const soakQueue = "soak"

// some is a payload of a usual size.
var some = fmt.Sprintf("%0100d", 7)

// soakBatch is a batch of jobs: of a hundred, about 2 fail once, 1 dies, 2 are kept for a while, 10 have an id of their
// producer's own, 1 is slow; and 1 is put off for a day, to be deleted.
func soakBatch(rnd *rand.Rand, from, n int) (items []queue.Item) {
	for i := from; i < from+n; i++ {
		job, opts := Soaked{N: i, Some: some}, []queue.Option{queue.Queue(soakQueue)}
		switch x := rnd.IntN(100); {
		case x < 2:
			job.Do = doFail
		case x < 3:
			job.Do = doDead
		case x < 5:
			opts = append(opts, queue.Retain(time.Second))
		case x < 15:
			opts = append(opts, queue.ID(fmt.Sprintf("soak-%d", i)))
		case x < 16:
			job.Do = doSlow
		case x < 17:
			opts = append(opts, queue.In(24*time.Hour))
		case x < 20:
			opts = append(opts, queue.Priority(1+rnd.IntN(9)))
		}
		items = append(items, queue.Item{Args: job, Options: opts})
	}
	return items
}
