package main

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/gocraft/work"
	"github.com/gomodule/redigo/redis"

	"github.com/tidemill/tidemill/bench/internal/rig"
)

// gocraftSystem measures github.com/gocraft/work, where a kind of job is a queue.
type gocraftSystem struct{}

// gocraftSpace is the namespace of its keys.
const gocraftSpace = "work"

func (gocraftSystem) Module() string { return "github.com/gocraft/work" }

// gocraftPool is a pool that waits for a connection where all are taken.
func gocraftPool(b rig.Broker, size int) *redis.Pool {
	return &redis.Pool{MaxActive: size, MaxIdle: size, Wait: true, Dial: func() (redis.Conn, error) { return redis.Dial("tcp", b.Addr) }}
}

func (gocraftSystem) Open(_ context.Context, b rig.Broker) (client, error) {
	pool := gocraftPool(b, producers)
	return gocraftClient{work.NewEnqueuer(gocraftSpace, pool), pool}, nil
}

func (gocraftSystem) Work(ctx context.Context, spec workSpec, handle func(rig.Payload)) error {
	redisPool := gocraftPool(spec.Broker, spec.Concurrency)
	defer redisPool.Close()
	pool := work.NewWorkerPool(struct{}{}, uint(spec.Concurrency), gocraftSpace, redisPool)
	for _, q := range spec.Queues {
		pool.Job(q, func(job *work.Job) error {
			p, err := gocraftPayload(job)
			if err == nil {
				handle(p)
			}
			return err
		})
	}
	pool.Start()
	<-ctx.Done()
	pool.Stop()
	return nil
}

// gocraftPayload makes a struct of the arguments, which the library has decoded into a map. A number above 2^53 is not one that it
// reads again.
func gocraftPayload(job *work.Job) (rig.Payload, error) {
	p := rig.Payload{UserID: job.ArgInt64("user_id"), Email: job.ArgString("email"), Subject: job.ArgString("subject"), Body: job.ArgString("body")}
	ts := job.ArgString("ts")
	if err := job.ArgError(); err != nil {
		return p, err
	}
	var err error
	p.TS, err = strconv.ParseInt(ts, 10, 64)
	return p, err
}

// gocraftClient enqueues.
type gocraftClient struct {
	enqueuer *work.Enqueuer
	pool     *redis.Pool
}

// Enqueue cuts a delay to whole seconds, as the library has no others.
func (g gocraftClient) Enqueue(_ context.Context, queue string, p rig.Payload, delay time.Duration) error {
	args := work.Q{"user_id": p.UserID, "email": p.Email, "subject": p.Subject, "body": p.Body, "ts": strconv.FormatInt(p.TS, 10)}
	if delay > 0 {
		_, err := g.enqueuer.EnqueueIn(queue, int64(delay/time.Second), args)
		return err
	}
	_, err := g.enqueuer.Enqueue(queue, args)
	return err
}

// EnqueueMany is missing: there is no batch call.
func (gocraftClient) EnqueueMany(context.Context, string, []rig.Payload) error {
	return errors.ErrUnsupported
}

// Backlog reads the library's own keys; what runs is counted by a queue's lock.
func (g gocraftClient) Backlog(_ context.Context, queue string) (b backlog, err error) {
	conn := g.pool.Get()
	defer conn.Close()
	const space = gocraftSpace + ":"
	commands := [][]any{{"LLEN", space + "jobs:" + queue}, {"GET", space + "jobs:" + queue + ":lock"},
		{"ZCARD", space + "scheduled"}, {"ZCARD", space + "retry"}, {"ZCARD", space + "dead"}}
	for _, c := range commands {
		if err := conn.Send(c[0].(string), c[1:]...); err != nil {
			return b, err
		}
	}
	if err := conn.Flush(); err != nil {
		return b, err
	}
	for i, sum := range []*int64{&b.Pending, &b.Active, &b.Other, &b.Other, &b.Other} {
		n, err := redis.Int64(conn.Receive())
		if err != nil && !(errors.Is(err, redis.ErrNil) && i == 1) { // there is no lock before the first job
			return b, err
		}
		*sum += n
	}
	return b, nil
}

func (g gocraftClient) Close() error { return g.pool.Close() }
