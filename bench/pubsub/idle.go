package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/bench/internal/rig"
	"github.com/tidemill/tidemill/bench/internal/watermill"
	"github.com/tidemill/tidemill/pubsub"
)

// idleSpec is the order to a process that publishes to itself.
type idleSpec struct {
	System  string     `json:"system"`
	Broker  rig.Broker `json:"broker"`
	Samples int        `json:"samples"`
}

// idlers subscribe and return once messages are handled, with a function that publishes one by one. They end with ctx.
var idlers = map[string]func(ctx context.Context, b rig.Broker, handle func(rig.Payload)) (func(rig.Payload) error, error){
	"go-redis":         idleGoRedis,
	"tidemill":         idleTidemill,
	"watermill":        idleWatermill,
	"tidemill-durable": idleDurable,
}

// idleStep publishes messages 1 to 3 ms apart at random and times each from just before the call to its handler's start,
// payload decoded. Publisher and subscriber are one process and so have one clock.
func idleStep(ctx context.Context, spec idleSpec) ([]rig.Metric, error) {
	start, ok := idlers[spec.System]
	if !ok {
		return nil, fmt.Errorf("no system %q", spec.System)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Message n is a warm-up: it opens connections and loads scripts.
	n := spec.Samples
	warm, t := rig.NewTally(1), rig.NewTally(n)
	publish, err := start(ctx, spec.Broker, func(p rig.Payload) {
		if p.UserID == int64(n) {
			p.UserID = 0
			warm.Handle(p)
			return
		}
		t.Handle(p)
	})
	if err != nil {
		return nil, err
	}
	if err := publish(rig.NewPayload(n)); err != nil {
		return nil, err
	}
	if err := warm.Await(ctx, 30*time.Second); err != nil {
		return nil, err
	}
	sent := make([]time.Time, n)
	for i := range n {
		time.Sleep(time.Millisecond + rand.N(2*time.Millisecond))
		sent[i] = time.Now()
		if err := publish(rig.NewPayload(i)); err != nil {
			return nil, err
		}
	}
	if err := t.Await(ctx, 30*time.Second); err != nil {
		return nil, err
	}
	took := make([]time.Duration, n)
	for i := range took {
		took[i] = t.Started(i).Sub(sent[i])
	}
	return rig.Quantiles(took, ""), t.Check()
}

func idleGoRedis(ctx context.Context, b rig.Broker, handle func(rig.Payload)) (func(rig.Payload) error, error) {
	rdb := redis.NewClient(&redis.Options{Addr: b.Addr})
	context.AfterFunc(ctx, func() { _ = rdb.Close() })
	sub := rdb.Subscribe(ctx, topic)
	if _, err := sub.Receive(ctx); err != nil {
		return nil, err
	}
	go func() {
		for m := range sub.Channel() {
			var p rig.Payload
			if json.Unmarshal([]byte(m.Payload), &p) == nil { // else it is missed at the end
				handle(p)
			}
		}
	}()
	return func(p rig.Payload) error {
		data, err := json.Marshal(p)
		if err != nil {
			return err
		}
		return rdb.Publish(ctx, topic, data).Err()
	}, nil
}

func idleTidemill(ctx context.Context, b rig.Broker, handle func(rig.Payload)) (func(rig.Payload) error, error) {
	client, err := pubsub.Open(ctx, "redis://"+b.Addr)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { _ = client.Close() })
	t, err := pubsub.NewTopic[rig.Payload](client, topic)
	if err != nil {
		return nil, err
	}
	sub, err := t.Subscribe(ctx)
	if err != nil {
		return nil, err
	}
	go func() { _ = sub.Handle(ctx, handler(handle)) }() // what it does not handle is missed at the end
	return func(p rig.Payload) error {
		_, err := t.Publish(ctx, p)
		return err
	}, nil
}

func idleDurable(ctx context.Context, b rig.Broker, handle func(rig.Payload)) (func(rig.Payload) error, error) {
	d, err := openDurableTidemill(ctx, b)
	if err != nil {
		return nil, err
	}
	t := d.(durableTidemill)
	context.AfterFunc(ctx, func() { _ = t.close() })
	go func() { _ = t.consume(ctx, handle) }()
	return func(p rig.Payload) error {
		_, err := t.topic.Publish(ctx, p)
		return err
	}, nil
}

// idleWatermill has one subscriber, as one is enough.
func idleWatermill(ctx context.Context, b rig.Broker, handle func(rig.Payload)) (func(rig.Payload) error, error) {
	pub, err := watermill.Open(b)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { _ = pub.Close() })
	go func() { _ = watermill.Consume(ctx, b, []string{topic}, 1, handle) }()
	return func(p rig.Payload) error { return pub.Publish(topic, p) }, nil
}

// handler makes a function of the payload a handler.
func handler(handle func(rig.Payload)) pubsub.Handler[rig.Payload] {
	return func(_ context.Context, m *pubsub.Message[rig.Payload]) error {
		handle(m.Data)
		return nil
	}
}
