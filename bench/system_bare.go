package main

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/bench/internal/rig"
)

// bare is the least that a queue on Redis can be, with whose latency that of Tidemill is compared.
const bare = "bare"

// bareSystem pushes payloads onto a list and pops them off it, one at a time from one connection.
type bareSystem struct{}

func (bareSystem) Module() string { return "github.com/redis/go-redis/v9" }

func (bareSystem) Open(_ context.Context, b rig.Broker) (client, error) {
	return bareClient{redis.NewClient(&redis.Options{Addr: b.Addr, PoolSize: producers})}, nil
}

// Work pops until ctx ends, which it sees within a second.
func (bareSystem) Work(ctx context.Context, spec workSpec, handle func(rig.Payload)) error {
	rdb := redis.NewClient(&redis.Options{Addr: spec.Broker.Addr})
	defer rdb.Close()
	for ctx.Err() == nil {
		popped, err := rdb.BLPop(context.WithoutCancel(ctx), time.Second, spec.Queues...).Result()
		if errors.Is(err, redis.Nil) {
			continue
		}
		if err != nil {
			return err
		}
		var p rig.Payload
		if err := json.Unmarshal([]byte(popped[1]), &p); err != nil {
			return err
		}
		handle(p)
	}
	return nil
}

type bareClient struct{ *redis.Client }

func (c bareClient) Enqueue(ctx context.Context, queue string, p rig.Payload, delay time.Duration) error {
	if delay > 0 {
		return errors.ErrUnsupported
	}
	return c.EnqueueMany(ctx, queue, []rig.Payload{p})
}

func (c bareClient) EnqueueMany(ctx context.Context, queue string, ps []rig.Payload) error {
	values := make([]any, len(ps))
	for i := range ps {
		data, err := json.Marshal(ps[i])
		if err != nil {
			return err
		}
		values[i] = data
	}
	return c.RPush(ctx, queue, values...).Err()
}

func (c bareClient) Backlog(ctx context.Context, queue string) (backlog, error) {
	n, err := c.LLen(ctx, queue).Result()
	return backlog{Pending: n}, err
}

// Skips says what it cannot do.
func (bareSystem) Skips(measure string) string {
	switch measure {
	case "recovery":
		return "what it has popped is gone when it is killed"
	case "handlers":
		return "it runs one at a time"
	}
	return ""
}
