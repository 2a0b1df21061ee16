package main

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidemill/tidemill/bench/internal/rig"
	"github.com/tidemill/tidemill/queue"
	"github.com/tidemill/tidemill/worker"
	"github.com/tidemill/tidemill/worker/metrics"
)

// tidemillSystem measures this repository's own queue, with its metrics on or off.
type tidemillSystem struct{ metrics bool }

func (tidemillSystem) Module() string { return "github.com/tidemill/tidemill" }

func (tidemillSystem) Open(ctx context.Context, b rig.Broker) (client, error) {
	client, err := queue.Open(ctx, "redis://"+b.Addr)
	if err != nil {
		return nil, err
	}
	return tidemillClient{client}, nil
}

func (t tidemillSystem) Work(ctx context.Context, spec workSpec, handle func(rig.Payload)) error {
	client, err := queue.Open(ctx, "redis://"+spec.Broker.Addr)
	if err != nil {
		return err
	}
	defer client.Close()
	mux := worker.NewMux()
	worker.Handle(mux, func(_ context.Context, job *queue.Job[rig.Payload]) error {
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
	if t.metrics {
		if err := scrape(ctx, client, w); err != nil {
			return err
		}
	}
	return w.Run(ctx)
}

// scrape turns the metrics on and reads them each second until ctx ends.
func scrape(ctx context.Context, client *queue.Client, w *worker.Worker) error {
	collector, err := metrics.New(client, w, metrics.Config{})
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	if err := registry.Register(collector); err != nil {
		return err
	}
	go func() {
		for tick := time.Tick(time.Second); ctx.Err() == nil; {
			select {
			case <-tick:
				_, _ = registry.Gather() // what it gathers is for the tests of package metrics
			case <-ctx.Done():
			}
		}
	}()
	return nil
}

type tidemillClient struct{ client *queue.Client }

func (t tidemillClient) Enqueue(ctx context.Context, name string, p rig.Payload, delay time.Duration) error {
	options := []queue.Option{queue.Queue(name)}
	if delay > 0 {
		options = append(options, queue.In(delay))
	}
	_, err := t.client.Enqueue(ctx, p, options...)
	return err
}

func (t tidemillClient) EnqueueMany(ctx context.Context, name string, ps []rig.Payload) error {
	_, err := t.client.EnqueueMany(ctx, queue.Items(ps), queue.Queue(name))
	return err
}

func (t tidemillClient) Backlog(ctx context.Context, name string) (backlog, error) {
	n, err := t.client.Counts(ctx, name)
	return backlog{Pending: n.Ready, Active: n.Running, Other: n.Scheduled + n.Dead}, err
}

// Keep runs jobs that are retained, or dead at their first failure.
func (tidemillSystem) Keep(ctx context.Context, b rig.Broker, n int, dead bool) error {
	client, err := queue.Open(ctx, "redis://"+b.Addr)
	if err != nil {
		return err
	}
	defer client.Close()
	ps := make([]rig.Payload, n)
	for i := range ps {
		ps[i] = rig.NewPayload(i)
	}
	if _, err := client.EnqueueMany(ctx, queue.Items(ps, queue.Queue(mainQueue), queue.Retain(farAway))); err != nil {
		return err
	}
	mux := worker.NewMux()
	worker.Handle(mux, func(context.Context, *queue.Job[rig.Payload]) error {
		if dead {
			return queue.Dead(errBench)
		}
		return nil
	})
	w, err := worker.New(client, mux, worker.Config{Queues: []worker.Queue{{Name: mainQueue}}, Concurrency: 100})
	if err != nil {
		return err
	}
	return keepAll(ctx, n, w.Run, func(ctx context.Context) (int64, error) {
		counts, err := client.Counts(ctx, mainQueue)
		if dead {
			return counts.Dead, err
		}
		return counts.Finished, err
	})
}

func (t tidemillClient) Close() error { return t.client.Close() }
