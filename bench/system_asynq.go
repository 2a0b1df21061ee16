package main

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// asynqSystem measures github.com/hibiken/asynq.
type asynqSystem struct{}

func (asynqSystem) Module() string { return "github.com/hibiken/asynq" }

func (asynqSystem) Open(_ context.Context, addr string) (producer, error) {
	return asynqProducer{asynq.NewClient(asynq.RedisClientOpt{Addr: addr})}, nil
}

func (asynqSystem) Work(ctx context.Context, spec workSpec, handle func(payload)) error {
	queues := make(map[string]int, len(spec.Queues))
	for _, q := range spec.Queues {
		queues[q] = 1
	}
	srv := asynq.NewServer(asynq.RedisClientOpt{Addr: spec.Addr}, asynq.Config{
		Concurrency: spec.Concurrency,
		Queues:      queues,
		LogLevel:    asynq.ErrorLevel,
	})
	mux := asynq.NewServeMux()
	mux.HandleFunc(jobKind, func(_ context.Context, t *asynq.Task) error {
		var p payload
		if err := json.Unmarshal(t.Payload(), &p); err != nil {
			return err
		}
		handle(p)
		return nil
	})
	if err := srv.Start(mux); err != nil {
		return err
	}
	<-ctx.Done()
	srv.Shutdown()
	return nil
}

// Backlog reads the lengths of asynq's own keys: its Inspector answers the
// same, but samples memory use on the way, which is no poll each millisecond.
func (asynqSystem) Backlog(ctx context.Context, rdb *redis.Client, queue string) (backlog, error) {
	prefix := "asynq:{" + queue + "}:"
	pipe := rdb.Pipeline()
	pending := pipe.LLen(ctx, prefix+"pending")
	active := pipe.LLen(ctx, prefix+"active")
	other := []*redis.IntCmd{
		pipe.ZCard(ctx, prefix+"scheduled"),
		pipe.ZCard(ctx, prefix+"retry"),
		pipe.ZCard(ctx, prefix+"archived"),
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return backlog{}, err
	}
	b := backlog{Pending: pending.Val(), Active: active.Val()}
	for _, c := range other {
		b.Other += c.Val()
	}
	return b, nil
}

// asynqProducer enqueues through an asynq client.
type asynqProducer struct{ client *asynq.Client }

func (p asynqProducer) Enqueue(ctx context.Context, queue string, pl payload, delay time.Duration) error {
	data, err := json.Marshal(pl)
	if err != nil {
		return err
	}
	opts := []asynq.Option{asynq.Queue(queue)}
	if delay > 0 {
		opts = append(opts, asynq.ProcessIn(delay))
	}
	_, err = p.client.EnqueueContext(ctx, asynq.NewTask(jobKind, data), opts...)
	return err
}

// EnqueueMany is missing: asynq has no batch call.
func (asynqProducer) EnqueueMany(context.Context, string, []payload) error {
	return errors.ErrUnsupported
}

func (p asynqProducer) Close() error { return p.client.Close() }
