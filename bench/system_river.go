package main

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/tidemill/tidemill/bench/internal/rig"
)

// riverSystem measures github.com/riverqueue/river, on a Postgres.
type riverSystem struct{}

// riverCooldown is how long River waits between fetches. Its default of 100 ms
// bounds a drain at MaxWorkers jobs each 100 ms; it drains fastest with the
// least that it takes. A client that enqueues notifies no more often either.
const riverCooldown = river.FetchCooldownMin

func (riverSystem) Module() string { return "github.com/riverqueue/river" }

// Open makes River's tables where there are none, and a client that works no queue.
func (riverSystem) Open(ctx context.Context, b rig.Broker) (client, error) {
	pool, err := riverPool(ctx, b)
	if err != nil {
		return nil, err
	}
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), nil)
	if err != nil {
		return nil, err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return nil, err
	}
	c, err := river.NewClient(riverpgxv5.New(pool), &river.Config{FetchCooldown: riverCooldown})
	return riverClient{pool, c}, err
}

// riverPool has a connection for each of the goroutines that enqueue.
func riverPool(ctx context.Context, b rig.Broker) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(b.PostgresURL())
	if err != nil {
		return nil, err
	}
	config.MaxConns = producers
	return pgxpool.NewWithConfig(ctx, config)
}

func (r riverSystem) Work(ctx context.Context, spec workSpec, handle func(rig.Payload)) error {
	pool, err := riverPool(ctx, spec.Broker)
	if err != nil {
		return err
	}
	defer pool.Close()
	workers := river.NewWorkers()
	river.AddWorker(workers, river.WorkFunc(func(_ context.Context, job *river.Job[rig.Payload]) error {
		handle(job.Args)
		return nil
	}))
	queues := make(map[string]river.QueueConfig)
	for _, q := range spec.Queues {
		queues[q] = river.QueueConfig{MaxWorkers: spec.Concurrency}
	}
	c, err := river.NewClient(riverpgxv5.New(pool), &river.Config{Queues: queues, Workers: workers, FetchCooldown: riverCooldown})
	if err != nil {
		return err
	}
	if err := c.Start(ctx); err != nil {
		return err
	}
	<-c.Stopped() // the end of ctx stops it
	return nil
}

// riverClient inserts.
type riverClient struct {
	pool   *pgxpool.Pool
	client *river.Client[pgx.Tx]
}

func riverOptions(queue string, delay time.Duration) *river.InsertOpts {
	opts := &river.InsertOpts{Queue: queue}
	if delay > 0 {
		opts.ScheduledAt = time.Now().Add(delay)
	}
	return opts
}

func (r riverClient) Enqueue(ctx context.Context, queue string, p rig.Payload, delay time.Duration) error {
	_, err := r.client.Insert(ctx, p, riverOptions(queue, delay))
	return err
}

// EnqueueMany uses the call that copies, which answers only a number.
func (r riverClient) EnqueueMany(ctx context.Context, queue string, ps []rig.Payload) error {
	params := make([]river.InsertManyParams, len(ps))
	for i, p := range ps {
		params[i] = river.InsertManyParams{Args: p, InsertOpts: riverOptions(queue, 0)}
	}
	_, err := r.client.InsertManyFast(ctx, params)
	return err
}

// Backlog counts rows by state: completed ones stay in the table for a day.
func (r riverClient) Backlog(ctx context.Context, queue string) (b backlog, err error) {
	err = r.pool.QueryRow(ctx, `SELECT count(*) FILTER (WHERE state = 'available'), count(*) FILTER (WHERE state = 'running'),
		count(*) FILTER (WHERE state NOT IN ('available', 'running'))
		FROM river_job WHERE queue = $1 AND state <> 'completed'`, queue).Scan(&b.Pending, &b.Active, &b.Other)
	return b, err
}

func (r riverClient) Close() error {
	r.pool.Close()
	return nil
}
