package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/bench/internal/rig"
)

// asynqSystem measures github.com/hibiken/asynq.
type asynqSystem struct{}

func (asynqSystem) Module() string { return "github.com/hibiken/asynq" }

func (asynqSystem) Open(_ context.Context, b rig.Broker) (client, error) {
	return asynqClient{asynq.NewClient(asynq.RedisClientOpt{Addr: b.Addr}), redis.NewClient(&redis.Options{Addr: b.Addr})}, nil
}

func (asynqSystem) Work(ctx context.Context, spec workSpec, handle func(rig.Payload)) error {
	queues := make(map[string]int, len(spec.Queues))
	for _, q := range spec.Queues {
		queues[q] = 1
	}
	srv := asynq.NewServer(asynq.RedisClientOpt{Addr: spec.Broker.Addr}, asynq.Config{
		Concurrency: spec.Concurrency,
		Queues:      queues,
		LogLevel:    asynq.ErrorLevel,
	})
	mux := asynq.NewServeMux()
	mux.HandleFunc(rig.JobKind, func(_ context.Context, t *asynq.Task) error {
		var p rig.Payload
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

// asynqClient enqueues through an asynq client.
type asynqClient struct {
	client *asynq.Client
	rdb    *redis.Client
}

func (a asynqClient) Enqueue(ctx context.Context, queue string, p rig.Payload, delay time.Duration) error {
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	opts := []asynq.Option{asynq.Queue(queue)}
	if delay > 0 {
		opts = append(opts, asynq.ProcessIn(delay))
	}
	_, err = a.client.EnqueueContext(ctx, asynq.NewTask(rig.JobKind, data), opts...)
	return err
}

// EnqueueMany is missing: asynq has no batch call.
func (asynqClient) EnqueueMany(context.Context, string, []rig.Payload) error {
	return errors.ErrUnsupported
}

// Backlog reads the lengths of asynq's own keys: its Inspector answers the
// same, but samples memory use on the way, which is no poll each millisecond.
func (a asynqClient) Backlog(ctx context.Context, queue string) (backlog, error) {
	prefix := "asynq:{" + queue + "}:"
	pipe := a.rdb.Pipeline()
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

// Keep runs tasks that are retained, or archived at their first failure.
func (a asynqSystem) Keep(ctx context.Context, b rig.Broker, n int, dead bool) error {
	c := asynqClient{asynq.NewClient(asynq.RedisClientOpt{Addr: b.Addr}), redis.NewClient(&redis.Options{Addr: b.Addr})}
	defer c.Close()
	for i := range n {
		data, err := json.Marshal(rig.NewPayload(i))
		if err != nil {
			return err
		}
		if _, err := c.client.EnqueueContext(ctx, asynq.NewTask(rig.JobKind, data), asynq.Queue(mainQueue), asynq.Retention(farAway)); err != nil {
			return err
		}
	}
	key, result := "asynq:{"+mainQueue+"}:completed", error(nil)
	if dead {
		key, result = "asynq:{"+mainQueue+"}:archived", fmt.Errorf("%w: %w", errBench, asynq.SkipRetry)
	}
	srv := asynq.NewServer(asynq.RedisClientOpt{Addr: b.Addr}, asynq.Config{Concurrency: 100, Queues: map[string]int{mainQueue: 1}, LogLevel: asynq.FatalLevel})
	return keepAll(ctx, n, func(ctx context.Context) error {
		if err := srv.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error { return result })); err != nil {
			return err
		}
		<-ctx.Done()
		srv.Shutdown()
		return nil
	}, func(ctx context.Context) (int64, error) { return c.rdb.ZCard(ctx, key).Result() })
}

func (a asynqClient) Close() error { return errors.Join(a.client.Close(), a.rdb.Close()) }
