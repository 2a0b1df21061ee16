//go:build machinery

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/RichardKnop/machinery/v2"
	"github.com/RichardKnop/machinery/v2/backends/null"
	brokers "github.com/RichardKnop/machinery/v2/brokers/redis"
	settings "github.com/RichardKnop/machinery/v2/config"
	"github.com/RichardKnop/machinery/v2/locks/eager"
	"github.com/RichardKnop/machinery/v2/log"
	"github.com/RichardKnop/machinery/v2/tasks"
	"github.com/redis/go-redis/v9"

	"github.com/tidemill/tidemill/bench/internal/rig"
)

func init() {
	systems = append(systems, entry{"machinery", inGo{machinerySystem{}, rig.Redis}, "machinery@10", 8, true, false,
		"at most once: a popped task is gone with its process; retries; no results kept here; no batch call"})
}

// machinerySystem measures github.com/RichardKnop/machinery without a result backend, as it is fastest so.
type machinerySystem struct{}

func (machinerySystem) Module() string { return "github.com/RichardKnop/machinery/v2" }

// Skips says what it cannot do.
func (machinerySystem) Skips(measure string) string {
	switch measure {
	case "recovery":
		return "what it has popped is gone when it is killed"
	case "delayed":
		return "by default its worker runs two delayed tasks a second, the newest first"
	}
	return ""
}

// machineryDelayed is the key of what waits for its time, of all queues.
const machineryDelayed = "delayed_tasks"

// machineryServer is a server of one queue: its broker consumes from one only. What it logs of each task is dropped.
func machineryServer(b rig.Broker, queue string) *machinery.Server {
	log.SetDebug(silent{})
	log.SetInfo(silent{})
	log.SetWarning(silent{})
	cnf := &settings.Config{DefaultQueue: queue, NoUnixSignals: true, Redis: &settings.RedisConfig{DelayedTasksKey: machineryDelayed}}
	return machinery.NewServer(cnf, brokers.NewGR(cnf, []string{b.Addr}, 0), null.New(), eager.New())
}

func (machinerySystem) Open(_ context.Context, b rig.Broker) (client, error) {
	return machineryClient{machineryServer(b, mainQueue), redis.NewClient(&redis.Options{Addr: b.Addr})}, nil
}

func (machinerySystem) Work(ctx context.Context, spec workSpec, handle func(rig.Payload)) error {
	ended := make(chan error, len(spec.Queues))
	for _, q := range spec.Queues {
		server := machineryServer(spec.Broker, q)
		err := server.RegisterTask(rig.JobKind, func(data string) error {
			var p rig.Payload
			if err := json.Unmarshal([]byte(data), &p); err != nil {
				return err
			}
			handle(p)
			return nil
		})
		if err != nil {
			return err
		}
		w := server.NewWorker("bench", spec.Concurrency)
		w.SetErrorHandler(func(err error) {
			select {
			case ended <- err:
			default: // one is enough
			}
		})
		w.LaunchAsync(ended)
		defer w.Quit()
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-ended:
		return fmt.Errorf("a worker ended: %w", err)
	}
}

// machineryClient sends tasks.
type machineryClient struct {
	server *machinery.Server
	rdb    *redis.Client
}

func (m machineryClient) Enqueue(ctx context.Context, queue string, p rig.Payload, delay time.Duration) error {
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	task := &tasks.Signature{Name: rig.JobKind, RoutingKey: queue, Args: []tasks.Arg{{Type: "string", Value: string(data)}}}
	if delay > 0 {
		at := time.Now().Add(delay)
		task.ETA = &at
	}
	_, err = m.server.SendTaskWithContext(ctx, task)
	return err
}

// EnqueueMany is missing: a group is sent task by task.
func (machineryClient) EnqueueMany(context.Context, string, []rig.Payload) error {
	return errors.ErrUnsupported
}

// Backlog does not know what runs: that was popped.
func (m machineryClient) Backlog(ctx context.Context, queue string) (b backlog, err error) {
	pipe := m.rdb.Pipeline()
	pending, delayed := pipe.LLen(ctx, queue), pipe.ZCard(ctx, machineryDelayed)
	_, err = pipe.Exec(ctx)
	return backlog{Pending: pending.Val(), Other: delayed.Val()}, err
}

func (m machineryClient) Close() error { return m.rdb.Close() }

// silent is a log that nothing is written to.
type silent struct{}

func (silent) Print(...any)          {}
func (silent) Printf(string, ...any) {}
func (silent) Println(...any)        {}
func (silent) Fatal(...any)          {}
func (silent) Fatalf(string, ...any) {}
func (silent) Fatalln(...any)        {}
func (silent) Panic(...any)          {}
func (silent) Panicf(string, ...any) {}
func (silent) Panicln(...any)        {}
