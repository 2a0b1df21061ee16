package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/loop"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// errBatchDone is why work ends with --once.
var errBatchDone = errors.New("the batch is done")

// batch is the sample jobs of one run, and what became of them.
type batch struct {
	jobs []sample
	done *loop.Trigger // set when the last one has ended

	mu      sync.Mutex
	open    map[uuid.UUID]string // the jobs that have not ended, with their queues
	retries int
	dead    int
	began   time.Time
	ended   time.Time
}

func newBatch(queues []worker.Queue) *batch {
	return &batch{jobs: firstBatch(queues), done: loop.NewTrigger(), open: make(map[uuid.UUID]string)}
}

func (b *batch) size() int { return len(b.jobs) }

// enqueue adds the jobs, before the worker runs. The clock starts here.
func (b *batch) enqueue(ctx context.Context, client *queue.Client) error {
	items := make([]queue.Item, len(b.jobs))
	for i, job := range b.jobs {
		items[i] = queue.Item{Args: job.args, Options: job.options}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.began = time.Now()
	results, err := client.EnqueueMany(ctx, items)
	if err != nil {
		return fmt.Errorf("enqueueing the sample jobs: %w", err)
	}
	for i, r := range results {
		b.open[r.ID] = b.jobs[i].queue
	}
	return nil
}

// watch is a middleware that notes what becomes of the jobs here.
func (b *batch) watch(next worker.Handler) worker.Handler {
	return func(ctx context.Context, job *queue.Job[queue.Raw]) error {
		err := next(ctx, job)
		b.mu.Lock()
		defer b.mu.Unlock()
		if _, ours := b.open[job.ID]; ours {
			if job.Attempt > 1 {
				b.retries++
			}
			if err == nil {
				b.finishLocked(job.ID)
			}
		}
		return err
	}
}

func (b *batch) finishLocked(id uuid.UUID) {
	delete(b.open, id)
	if b.ended = time.Now(); len(b.open) == 0 {
		b.done.Set()
	}
}

// lookEvery is how often it looks for jobs that ended elsewhere: another worker of the same Redis may run them, and a
// person may cancel them.
const lookEvery = time.Second

// follow calls then once every job has ended, unless ctx ends before.
func (b *batch) follow(ctx context.Context, client *queue.Client, then func()) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.done.C():
			then()
			return
		case <-tick.C:
			b.look(ctx, client)
		}
	}
}

// look asks Redis about every job that has not ended here. While Redis is away it learns nothing.
func (b *batch) look(ctx context.Context, client *queue.Client) {
	b.mu.Lock()
	open := maps.Clone(b.open)
	b.mu.Unlock()
	for id, name := range open {
		s, err := client.Get(ctx, name, id.String())
		gone := errors.Is(err, queue.ErrUnknownJob)
		if !gone && (err != nil || !over(s.State)) {
			continue
		}
		b.mu.Lock()
		if _, still := b.open[id]; still {
			if !gone && s.State == queue.DeadState {
				b.dead++
			}
			b.finishLocked(id)
		}
		b.mu.Unlock()
	}
}

// over tells the states that a job does not leave by itself.
func over(s queue.State) bool {
	return s == queue.DeadState || s == queue.Succeeded || s == queue.Cancelled || s == queue.Expired
}

// failed counts the jobs that are dead.
func (b *batch) failed() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dead
}

// summary is counts and rates for people.
func (b *batch) summary() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	took := b.ended.Sub(b.began)
	text := fmt.Sprintf("%d jobs in %.2f s (%.1f jobs/s), %d retries", b.size(), took.Seconds(), float64(b.size())/took.Seconds(), b.retries)
	if b.dead > 0 {
		text += fmt.Sprintf(", %d dead", b.dead)
	}
	return text
}
