package main

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/adjust/rmq/v5"
	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/bench/internal/rig"
)

// rmqSystem measures github.com/adjust/rmq.
type rmqSystem struct{}

const (
	// rmqPoll is how long a worker pauses after each batch that it has fetched, empty or not.
	rmqPoll = time.Millisecond
	// rmqAhead is how many jobs a worker holds at most beside those that run: each acknowledgement looks through what is held.
	rmqAhead = 270
	// rmqClean is how often a worker looks for dead ones, of which one is known by a heartbeat that is silent for a minute.
	rmqClean = time.Second
)

func (rmqSystem) Module() string { return "github.com/adjust/rmq/v5" }

// Open makes a connection of rmq's, which sends a heartbeat each second.
func (rmqSystem) Open(_ context.Context, b rig.Broker) (client, error) {
	rdb := redis.NewClient(&redis.Options{Addr: b.Addr, PoolSize: producers})
	conn, err := rmq.OpenConnectionWithRedisClient("producer", rdb, nil)
	return &rmqClient{conn: conn, rdb: rdb}, err
}

func (rmqSystem) Work(ctx context.Context, spec workSpec, handle func(rig.Payload)) error {
	rdb := redis.NewClient(&redis.Options{Addr: spec.Broker.Addr, PoolSize: spec.Concurrency + 10})
	defer rdb.Close()
	faults := make(chan error, 1) // the first is enough
	conn, err := rmq.OpenConnectionWithRedisClient("worker", rdb, faults)
	if err != nil {
		return err
	}
	for _, name := range spec.Queues {
		q, err := conn.OpenQueue(name)
		if err != nil {
			return err
		}
		if err := q.StartConsuming(int64(spec.Concurrency+rmqAhead), rmqPoll); err != nil {
			return err
		}
		for range spec.Concurrency {
			if _, err := q.AddConsumerFunc("bench", func(d rmq.Delivery) {
				if err := rmqRun(d, handle); err != nil {
					select {
					case faults <- err:
					default:
					}
				}
			}); err != nil {
				return err
			}
		}
	}
	cleaner, tick := rmq.NewCleaner(conn), time.NewTicker(rmqClean)
	defer tick.Stop()
	for err == nil {
		select {
		case <-ctx.Done():
			<-conn.StopAllConsuming()
			return nil
		case err = <-faults:
		case <-tick.C:
			_, err = cleaner.Clean()
		}
	}
	<-conn.StopAllConsuming()
	return err
}

// rmqRun handles one and acknowledges it.
func rmqRun(d rmq.Delivery, handle func(rig.Payload)) error {
	var p rig.Payload
	if err := json.Unmarshal([]byte(d.Payload()), &p); err != nil {
		return errors.Join(err, d.Reject())
	}
	handle(p)
	return d.Ack()
}

// rmqClient publishes.
type rmqClient struct {
	conn   rmq.Connection
	rdb    *redis.Client
	queues sync.Map // rmq.Queue by name
}

func (r *rmqClient) publish(queue string, ps ...rig.Payload) error {
	data := make([][]byte, len(ps))
	for i := range ps {
		var err error
		if data[i], err = json.Marshal(ps[i]); err != nil {
			return err
		}
	}
	q, known := r.queues.Load(queue)
	if !known {
		opened, err := r.conn.OpenQueue(queue)
		if err != nil {
			return err
		}
		q, _ = r.queues.LoadOrStore(queue, opened)
	}
	return q.(rmq.Queue).PublishBytes(data...)
}

func (r *rmqClient) Enqueue(_ context.Context, queue string, p rig.Payload, delay time.Duration) error {
	if delay > 0 {
		return errors.ErrUnsupported
	}
	return r.publish(queue, p)
}

func (r *rmqClient) EnqueueMany(_ context.Context, queue string, ps []rig.Payload) error {
	return r.publish(queue, ps...)
}

// Backlog reads the lengths of rmq's own keys, of which each connection has one for what it runs: its CollectStats reads far more.
func (r *rmqClient) Backlog(ctx context.Context, queue string) (backlog, error) {
	names, err := r.rdb.SMembers(ctx, "rmq::connections").Result()
	if err != nil {
		return backlog{}, err
	}
	pipe := r.rdb.Pipeline()
	pending := pipe.LLen(ctx, "rmq::queue::["+queue+"]::ready")
	rejected := pipe.LLen(ctx, "rmq::queue::["+queue+"]::rejected")
	active := make([]*redis.IntCmd, len(names))
	for i, name := range names {
		active[i] = pipe.LLen(ctx, "rmq::connection::"+name+"::queue::["+queue+"]::unacked")
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return backlog{}, err
	}
	b := backlog{Pending: pending.Val(), Other: rejected.Val()}
	for _, c := range active {
		b.Active += c.Val()
	}
	return b, nil
}

func (r *rmqClient) Close() error {
	<-r.conn.StopAllConsuming()
	return r.rdb.Close()
}
