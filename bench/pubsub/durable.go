package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidemill/tidemill/bench/internal/rig"
	"github.com/tidemill/tidemill/bench/internal/watermill"
	"github.com/tidemill/tidemill/pubsub"
)

// durableSpec is the order to a publisher or a consumer of a durable topic.
type durableSpec struct {
	System string     `json:"system"`
	Broker rig.Broker `json:"broker"`
	N      int        `json:"n"`
}

// durable is a system with durable topics.
type durable interface {
	// fill publishes messages 0 to n-1 in the way that is fastest with it.
	fill(ctx context.Context, n int) error
	// consume handles and acknowledges messages until ctx ends, as one process.
	consume(ctx context.Context, handle func(rig.Payload)) error
	// left is how many messages the group has not read or not acknowledged.
	left(ctx context.Context) (int64, error)
	close() error
}

func openDurable(ctx context.Context, spec durableSpec) (durable, error) {
	switch spec.System {
	case "watermill":
		p, err := watermill.Open(spec.Broker)
		return durableWatermill{p, spec.Broker}, err
	case "tidemill":
		return openDurableTidemill(ctx, spec.Broker)
	}
	return nil, fmt.Errorf("no system %q", spec.System)
}

// fillStep publishes into an empty stream.
func fillStep(ctx context.Context, spec durableSpec) ([]rig.Metric, error) {
	d, err := openDurable(ctx, spec)
	if err != nil {
		return nil, err
	}
	defer d.close()
	start, err := rig.MarkUsage(ctx, spec.Broker)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := d.fill(ctx, spec.N); err != nil {
		return nil, err
	}
	took := time.Since(began)
	end, err := rig.MarkUsage(ctx, spec.Broker)
	rate := rig.Metric{Name: "publish rate", Unit: "messages/s", Better: rig.Higher, Value: float64(spec.N) / took.Seconds()}
	return append([]rig.Metric{rate}, end.Per("message", spec.N, start, "publish ")...), err
}

// consumeStep takes the rate from the first handler to the last acknowledgement: once all have begun, a poll each
// millisecond first sees nothing left.
func consumeStep(ctx context.Context, spec durableSpec) ([]rig.Metric, error) {
	d, err := openDurable(ctx, spec)
	if err != nil {
		return nil, err
	}
	defer d.close()
	start, err := rig.MarkUsage(ctx, spec.Broker)
	if err != nil {
		return nil, err
	}
	t := rig.NewTally(spec.N)
	consuming, stop := context.WithCancel(ctx)
	defer stop()
	stopped := make(chan error, 1)
	go func() { stopped <- d.consume(consuming, t.Handle) }()
	if err := t.Await(ctx, 30*time.Second+time.Duration(spec.N)*time.Millisecond); err != nil {
		return nil, err
	}
	if err := awaitAcks(ctx, d); err != nil {
		return nil, err
	}
	took := t.SinceFirst()
	end, err := rig.MarkUsage(ctx, spec.Broker)
	if err != nil {
		return nil, err
	}
	stop()
	if err := <-stopped; err != nil {
		return nil, err
	}
	rate := rig.Metric{Name: "consume rate", Unit: "messages/s", Better: rig.Higher, Value: float64(spec.N) / took.Seconds()}
	return append([]rig.Metric{rate}, end.Per("message", spec.N, start, "consume ")...), t.Check()
}

// awaitAcks polls until nothing is left.
func awaitAcks(ctx context.Context, d durable) error {
	deadline := time.Now().Add(30 * time.Second)
	for {
		n, err := d.left(ctx)
		if err != nil || n == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("30 s after the last handler began, %d messages are left", n)
		}
		time.Sleep(time.Millisecond)
	}
}

// watermillSubscribers is at how many Watermill consumes fastest, and watermillPublishers at how many it publishes.
const (
	watermillSubscribers = 100
	watermillPublishers  = 32
)

// durableWatermill is Watermill's Redis streams.
type durableWatermill struct {
	pub *watermill.Publisher
	b   rig.Broker
}

func (w durableWatermill) fill(_ context.Context, n int) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, watermillPublishers)
	for range watermillPublishers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := w.pub.Publish(topic, rig.NewPayload(i)); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}

func (w durableWatermill) consume(ctx context.Context, handle func(rig.Payload)) error {
	return watermill.Consume(ctx, w.b, []string{topic}, watermillSubscribers, handle)
}

func (w durableWatermill) left(ctx context.Context) (int64, error) {
	unread, pending, err := w.pub.Backlog(ctx, topic)
	return unread + pending, err
}

func (w durableWatermill) close() error { return w.pub.Close() }

// durableGroup is Tidemill's group, durableBatch how many it publishes in a call.
const (
	durableGroup = "workers"
	durableBatch = 1000
)

// durableTidemill is this repository's own durable topic.
type durableTidemill struct {
	client *pubsub.Client
	topic  *pubsub.Durable[rig.Payload]
}

func openDurableTidemill(ctx context.Context, b rig.Broker) (durable, error) {
	client, err := pubsub.Open(ctx, "redis://"+b.Addr)
	if err != nil {
		return nil, err
	}
	t, err := pubsub.NewDurable[rig.Payload](client, topic)
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return durableTidemill{client, t}, nil
}

func (d durableTidemill) fill(ctx context.Context, n int) error {
	batch := make([]rig.Payload, 0, durableBatch)
	for i := range n {
		batch = append(batch, rig.NewPayload(i))
		if len(batch) < durableBatch && i < n-1 {
			continue
		}
		if _, err := d.topic.PublishMany(ctx, batch); err != nil {
			return err
		}
		batch = batch[:0]
	}
	return nil
}

func (d durableTidemill) consume(ctx context.Context, handle func(rig.Payload)) error {
	member, err := d.topic.Subscribe(ctx, durableGroup)
	if err != nil {
		return err
	}
	defer member.Close()
	return member.Handle(ctx, func(_ context.Context, m *pubsub.Message[rig.Payload]) error {
		handle(m.Data)
		return nil
	})
}

func (d durableTidemill) left(ctx context.Context) (int64, error) {
	info, err := d.client.Streams().Info(ctx, topic)
	if err != nil {
		return 0, err
	}
	for _, g := range info.Groups {
		if g.Group == durableGroup {
			return g.Lag + g.Pending, nil
		}
	}
	return info.Length, nil
}

func (d durableTidemill) close() error { return d.client.Close() }
