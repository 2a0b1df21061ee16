package main

import (
	"context"
	"errors"
	"time"

	"github.com/tidemill/tidemill/bench/internal/rig"
	"github.com/tidemill/tidemill/bench/internal/watermill"
)

// watermillSystem measures github.com/ThreeDotsLabs/watermill-redisstream as a
// queue: a topic each, and one group of as many subscribers as the concurrency.
type watermillSystem struct{}

func (watermillSystem) Module() string { return watermill.Module }

func (watermillSystem) Open(_ context.Context, b rig.Broker) (client, error) {
	p, err := watermill.Open(b)
	return watermillClient{p}, err
}

func (watermillSystem) Work(ctx context.Context, spec workSpec, handle func(rig.Payload)) error {
	return watermill.Consume(ctx, spec.Broker, spec.Queues, spec.Concurrency, handle)
}

// watermillClient publishes.
type watermillClient struct{ *watermill.Publisher }

func (w watermillClient) Enqueue(_ context.Context, queue string, p rig.Payload, delay time.Duration) error {
	if delay > 0 {
		return errors.ErrUnsupported
	}
	return w.Publish(queue, p)
}

func (w watermillClient) EnqueueMany(_ context.Context, queue string, ps []rig.Payload) error {
	return w.Publish(queue, ps...)
}

func (w watermillClient) Backlog(ctx context.Context, queue string) (backlog, error) {
	unread, pending, err := w.Publisher.Backlog(ctx, queue)
	return backlog{Pending: unread, Active: pending}, err
}
