package queue

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tidemill/tidemill/internal/broker"
	"github.com/tidemill/tidemill/internal/bus"
	"github.com/tidemill/tidemill/internal/wire"
)

// ErrUnknownWorker: there is no worker of this instance, or it is not alive.
var ErrUnknownWorker = errors.New("unknown worker")

// WorkerInfo is a worker process as it announced itself, at least each minute and when it changes, and whether it lives.
type WorkerInfo struct {
	Instance    string // names the worker in logs and orders
	Host        string
	PID         int
	Version     string // of this library in it; may be empty
	Started     time.Time
	Queues      []string
	Kinds       []string // and patterns, that it has handlers for
	Concurrency int
	Running     int       // jobs that it holds now, those fetched ahead included
	Quiet       bool      // it claims nothing
	Stopping    bool      // it finishes what it runs
	LogLevel    string    // debug, info, warn or error; empty of a version that does not say
	Alive       bool      // a session of it lives: it was heard of within the session TTL
	LastSeen    time.Time // by the server's clock
}

// Workers lists the worker processes of the namespace, the oldest first. One that was killed is not alive, and leaves the
// list after about five minutes, when another worker notices.
func (c *Client) Workers(ctx context.Context) ([]WorkerInfo, error) {
	return c.workers(ctx, c.reads())
}

func (c *Client) workers(ctx context.Context, b *broker.Broker) ([]WorkerInfo, error) {
	if err := c.closed(); err != nil {
		return nil, err
	}
	lines, err := b.Workers(ctx)
	if err != nil {
		return nil, outward(err)
	}
	ttl, err := b.TTL(ctx)
	if err != nil {
		return nil, outward(err)
	}
	out := make([]WorkerInfo, 0, len(lines))
	var sessions []broker.Serving
	var of []int // the place in out of whose session it is
	for instance, text := range lines {
		var line wire.Announcement
		_ = json.Unmarshal([]byte(text), &line) // another version may write it otherwise: what is known is shown
		for name, session := range line.Sessions {
			if q, err := c.space.Queue(name); err == nil {
				sessions, of = append(sessions, broker.Serving{Queue: q, Session: session}), append(of, len(out))
			}
		}
		out = append(out, WorkerInfo{Instance: instance, Host: line.Host, PID: line.PID, Version: line.Version, Started: line.Started,
			Queues: line.Queues, Kinds: line.Kinds, Concurrency: line.Concurrency, Quiet: line.Quiet, Stopping: line.Stopping, LogLevel: line.LogLevel, LastSeen: line.Seen})
	}
	now, lives, err := b.Lives(ctx, sessions)
	if err != nil {
		return nil, outward(err)
	}
	for i, life := range lives {
		w := &out[of[i]]
		w.Running += int(life.Running)
		w.Alive = w.Alive || life.Expiry > now.UnixMilli()
		if seen := time.UnixMilli(life.Expiry).Add(-ttl); life.Expiry > 0 && seen.After(w.LastSeen) {
			w.LastSeen = seen
		}
	}
	slices.SortFunc(out, func(a, b WorkerInfo) int {
		return cmp.Or(a.Started.Compare(b.Started), strings.Compare(a.Instance, b.Instance))
	})
	return out, nil
}

// QuietWorker tells a worker to claim nothing any more while what it runs goes on, or with false to claim again: for a
// deploy that stops it later. An empty instance is all that are alive now. The worker hears of it at once, or within a
// minute where it cannot subscribe; WorkerInfo.Quiet tells when it did.
//
// Errors: ErrUnknownWorker, ErrUnavailable and ErrOutcomeUnknown as of Cancel.
func (c *Client) QuietWorker(ctx context.Context, instance string, quiet bool) error {
	order := wire.OrderResume
	if quiet {
		order = wire.OrderQuiet
	}
	return c.order(ctx, instance, order, c.broker.Order)
}

// StopWorker tells a worker to stop as a TERM signal does: it claims nothing any more, what it runs may finish within its
// Config.Drain, and its Run returns nil. An empty instance is all that are alive now. Errors: as of QuietWorker.
func (c *Client) StopWorker(ctx context.Context, instance string) error {
	return c.order(ctx, instance, wire.OrderStop, c.broker.Order)
}

// LogLevels are what SetWorkerLogLevel takes.
func LogLevels() []string { return []string{"debug", "info", "warn", "error"} }

// SetWorkerLogLevel tells a worker to log from a level on: debug, info, warn or error, until it is told otherwise or ends
// (worker.Config.SetLogLevel). An empty instance is all that are alive now. The worker hears of it at once, or within a minute
// where it cannot subscribe; WorkerInfo.LogLevel tells when it did. Errors: ErrInvalid, and as of QuietWorker.
func (c *Client) SetWorkerLogLevel(ctx context.Context, instance, level string) error {
	if !slices.Contains(LogLevels(), level) {
		return invalid("log level", fmt.Sprintf("%.140q", level), strings.Join(LogLevels(), ", "))
	}
	return c.order(ctx, instance, level, c.broker.OrderLevel)
}

// order writes an order where the worker reads it, and tells it to look.
func (c *Client) order(ctx context.Context, instance, order string, write func(ctx context.Context, instance, order string) error) error {
	workers, err := c.workers(ctx, c.broker)
	if err != nil {
		return err
	}
	hint, known := "*", instance == ""
	if instance != "" {
		hint = instance
	}
	for _, w := range workers {
		if instance != "" && w.Instance != instance || instance == "" && !w.Alive {
			continue
		}
		if known = true; !w.Alive {
			return fmt.Errorf("%s worker %s: %w: it was last heard of at %s", order, instance, ErrUnknownWorker, w.LastSeen.Format(time.RFC3339))
		}
		if err := write(ctx, w.Instance, order); err != nil {
			return uncertain(err, c.retries)
		}
	}
	if !known {
		return fmt.Errorf("%s worker: %w: %s", order, ErrUnknownWorker, instance)
	}
	_ = bus.Publish(ctx, c.conn.Shared(), c.space.Control(), wire.OrderHint+" "+hint)
	return nil
}
