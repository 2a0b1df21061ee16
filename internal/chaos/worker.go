package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// work is a worker process: the real worker, with a handler that writes down what it does.
func (r role) work(ctx context.Context, client *queue.Client, book *ledger) error {
	mux := worker.NewMux()
	worker.Handle(mux, func(ctx context.Context, job *queue.Job[Args]) error { return handle(ctx, job, book) },
		worker.Retry(worker.Backoff{Base: 100 * time.Millisecond, Cap: time.Second, Factor: 2}))
	served := make([]worker.Queue, len(queues))
	for i, name := range queues {
		served[i] = worker.Queue{Name: name, Weight: len(queues) - i}
	}
	log := zerolog.New(os.Stderr).Level(zerolog.ErrorLevel)
	for {
		w, err := worker.New(client, mux, worker.Config{Queues: served, Concurrency: 50, SessionTTL: r.TTL,
			Drain: time.Second, Settle: 2 * time.Second, Logger: &log})
		if err != nil {
			return err
		}
		if err = w.Run(ctx); err == nil || ctx.Err() != nil || !away(err) {
			return err
		}
		pause(ctx, 100*time.Millisecond) // it could not start: Redis is away
	}
}

// handle is every job's handler. What it cannot write down ends the process: a ledger with gaps proves nothing.
func handle(ctx context.Context, job *queue.Job[Args], book *ledger) error {
	must := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, "ledger:", err)
			os.Exit(exitFailed)
		}
	}
	must(book.note(wordStart, job.Args.Name, job.ID, job.Token(), job.Attempt, job.Crashes))
	outcome, err := attempt(ctx, job)
	must(book.note(wordEnd, job.Args.Name, job.ID, job.Token(), outcome))
	if outcome == endFail && job.Token()%4 == 0 {
		panic(err)
	}
	return err
}

// attempt is what a job does, by its args.
func attempt(ctx context.Context, job *queue.Job[Args]) (outcome string, err error) {
	takes := time.Duration(job.Args.MS) * time.Millisecond
	if job.Args.Deaf {
		pause(context.WithoutCancel(ctx), takes)
	} else if pause(ctx, takes); ctx.Err() != nil {
		switch cause := context.Cause(ctx); {
		case errors.Is(cause, queue.ErrDraining):
			return endDrain, ctx.Err()
		case errors.Is(cause, queue.ErrCancelled):
			return endCancel, ctx.Err()
		}
		return endLost, ctx.Err()
	}
	switch {
	case job.Attempt <= job.Args.Fails:
		return endFail, errors.New("it fails on purpose")
	case job.Args.Do == doDead:
		return endDead, queue.Dead(errors.New("it gives up on purpose"))
	case job.Args.Do == doSnooze && job.Token()%2 == 0:
		return endSnooze, queue.Snooze(200 * time.Millisecond)
	}
	return endOK, job.SetResult(strconv.AppendInt(nil, job.Token(), 10))
}
