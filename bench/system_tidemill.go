package main

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
)

// tidemillSystem measures this repository's own queue.
type tidemillSystem struct{}

// Kind makes the common payload a Tidemill job.
func (payload) Kind() string { return jobKind }

func (tidemillSystem) Module() string { return "github.com/tidemill/tidemill" }

func (tidemillSystem) Open(ctx context.Context, addr string) (producer, error) {
	client, err := queue.Open(ctx, "redis://"+addr)
	if err != nil {
		return nil, err
	}
	return tidemillProducer{client}, nil
}

func (tidemillSystem) Work(ctx context.Context, spec workSpec, handle func(payload)) error {
	client, err := queue.Open(ctx, "redis://"+spec.Addr)
	if err != nil {
		return err
	}
	defer client.Close()
	mux := worker.NewMux()
	worker.Handle(mux, func(_ context.Context, job *queue.Job[payload]) error {
		handle(job.Args)
		return nil
	})
	config := worker.Config{Concurrency: spec.Concurrency}
	for _, name := range spec.Queues {
		config.Queues = append(config.Queues, worker.Queue{Name: name})
	}
	w, err := worker.New(client, mux, config)
	if err != nil {
		return err
	}
	return w.Run(ctx)
}

// counters holds a client for each connection that Backlog is called with.
var counters sync.Map

func (tidemillSystem) Backlog(ctx context.Context, rdb *redis.Client, name string) (backlog, error) {
	found, ok := counters.Load(rdb)
	if !ok {
		client, err := queue.New(rdb)
		if err != nil {
			return backlog{}, err
		}
		found, _ = counters.LoadOrStore(rdb, client)
	}
	n, err := found.(*queue.Client).Counts(ctx, name)
	return backlog{Pending: n.Ready, Active: n.Running, Other: n.Scheduled + n.Dead}, err
}

type tidemillProducer struct{ client *queue.Client }

func (t tidemillProducer) Enqueue(ctx context.Context, name string, p payload, delay time.Duration) error {
	options := []queue.Option{queue.Queue(name)}
	if delay > 0 {
		options = append(options, queue.In(delay))
	}
	_, err := t.client.Enqueue(ctx, p, options...)
	return err
}

func (t tidemillProducer) EnqueueMany(ctx context.Context, name string, ps []payload) error {
	_, err := t.client.EnqueueMany(ctx, queue.Items(ps), queue.Queue(name))
	return err
}

func (t tidemillProducer) Close() error { return t.client.Close() }
